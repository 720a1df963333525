//! A time of day as a schedule names it: `"08:00"`.

use toml::de::DeValue;

use super::value;

/// Minutes since midnight by the clock on the wall: 0 to 1440, which is the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimeOfDay(u16);

impl TimeOfDay {
    /// The end of a day, which is the start of the next.
    const MIDNIGHT: Self = Self(24 * 60);

    /// `"00:00"` to `"23:59"`.
    pub(super) fn start(value: &DeValue<'_>) -> Result<Self, String> {
        Self::end(value).and_then(|time| {
            if time < Self::MIDNIGHT { Ok(time) } else { Err("a day begins at \"00:00\", not at \"24:00\"".to_owned()) }
        })
    }

    /// `"00:00"` to `"24:00"`.
    pub(super) fn end(value: &DeValue<'_>) -> Result<Self, String> {
        let text = value::text(value)?;
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a time of day, for example \"08:00\" or \"23:30\""))
    }

    fn parse(text: &str) -> Option<Self> {
        let (hours, minutes) = text.split_once(':')?;
        let number = |digits: &str, most: usize| {
            let plain = (1..=most).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (hours, minutes) = (number(hours, 2)?, number(minutes, 2).filter(|at| *at < 60)?);
        Some(Self(hours * 60 + minutes)).filter(|time| *time <= Self::MIDNIGHT)
    }

    /// Minutes since midnight, 0 to 1440.
    pub(crate) fn minutes(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_hours_and_minutes() {
        for (text, minutes) in
            [("00:00", Some(0)), ("8:05", Some(485)), ("23:59", Some(1439)), ("24:00", Some(1440)), ("24:01", None)]
        {
            assert_eq!(TimeOfDay::parse(text).map(TimeOfDay::minutes), minutes, "{text}");
        }
        for text in ["", "8", "08:60", "8:00pm", "-1:00", "+8:00", "008:00", "08:000", ":", "99:00", "08:00:00"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
    }
}
