//! `[seed]`: what is given to others, how much of it, and when.

use glob::Pattern;
use jiff::civil::Weekday;
use std::num::NonZeroU64;
use toml::de::DeValue;

use super::reader::{Reader, Section};
use super::time_of_day::TimeOfDay;
use super::value;

/// The rules that one schedule may have: enough for a line a day with breaks, few enough to be read by a person.
const MAX_RULES: usize = 32;
/// More peers at once than this would each get next to nothing.
const MAX_SLOTS: usize = 1000;

/// What is shared, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seed {
    pub(crate) repositories: Vec<String>,
    /// Matched against a package's name, or against `repository/name` where the pattern has a slash.
    pub(crate) exclude: Vec<Pattern>,
    pub(crate) old_versions: OldVersions,
    /// In bytes.
    pub(crate) max_store: u64,
    /// Bytes to others than the local networks in a calendar month; none: no cap.
    pub(crate) monthly_cap: Option<NonZeroU64>,
    /// Peers outside of the local networks that get data at the same time.
    pub(crate) upload_slots: usize,
    /// The first rule that matches wins; at most 32.
    pub(crate) schedule: Vec<ScheduleRule>,
}

/// Who may have what the databases list no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldVersions {
    Lan,
    Public,
}

/// One `[[seed.schedule]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScheduleRule {
    pub(crate) from: TimeOfDay,
    /// Never equal to `from`; not after it: the rule crosses midnight.
    pub(crate) to: TimeOfDay,
    /// The days on which `from` lies; empty: all.
    pub(crate) days: Vec<Weekday>,
    /// In bytes a second; none: nothing is uploaded.
    pub(crate) upload_limit: Option<NonZeroU64>,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            repositories: vec!["core".to_owned(), "extra".to_owned()],
            exclude: Vec::new(),
            old_versions: OldVersions::Lan,
            max_store: 10 * 1024 * 1024 * 1024,
            monthly_cap: None,
            upload_slots: 8,
            schedule: Vec::new(),
        }
    }
}

impl Seed {
    pub(super) fn read<'a>(&mut self, reader: &mut Reader<'a>, mut section: Section<'a>) {
        reader.take_list(&mut section, "repositories", &mut self.repositories, value::text);
        reader.take_list(&mut section, "exclude", &mut self.exclude, value::package_pattern);
        reader.take(&mut section, "old_versions", &mut self.old_versions, old_versions);
        reader.take(&mut section, "max_store", &mut self.max_store, value::size);
        reader.take(&mut section, "monthly_cap", &mut self.monthly_cap, value::cap);
        reader.take(&mut section, "upload_slots", &mut self.upload_slots, value::count(1..=MAX_SLOTS));
        let rules = reader.take_tables(&mut section, "schedule", "seed.schedule", MAX_RULES);
        self.schedule = rules.into_iter().filter_map(|rule| ScheduleRule::read(reader, rule)).collect();
        reader.finish_section(section);
    }
}

impl ScheduleRule {
    /// None where something is wrong with it; the reader knows what.
    fn read<'a>(reader: &mut Reader<'a>, mut section: Section<'a>) -> Option<Self> {
        let from = reader.require(&mut section, "from", TimeOfDay::start);
        let to = reader.require(&mut section, "to", TimeOfDay::end);
        let mut days = Vec::new();
        reader.take_list(&mut section, "days", &mut days, weekday);
        let upload_limit = reader.require(&mut section, "upload_limit", value::rate_or_nothing);
        reader.finish_section(section);
        let (from, to) = (from?.into_inner(), to?);
        if *to.get_ref() == from {
            let message = "seed.schedule.to: is the same time as from; a whole day is from = \"00:00\", to = \"24:00\"";
            reader.problem(&to.span(), message.to_owned());
            return None;
        }
        Some(Self { from, to: to.into_inner(), days, upload_limit: upload_limit?.into_inner() })
    }
}

fn old_versions(value: &DeValue<'_>) -> Result<OldVersions, String> {
    match value::text(value)?.as_str() {
        "lan" => Ok(OldVersions::Lan),
        "public" => Ok(OldVersions::Public),
        other => Err(format!("{other:?} is neither \"lan\" nor \"public\"")),
    }
}

fn weekday(value: &DeValue<'_>) -> Result<Weekday, String> {
    match value::text(value)?.as_str() {
        "mon" => Ok(Weekday::Monday),
        "tue" => Ok(Weekday::Tuesday),
        "wed" => Ok(Weekday::Wednesday),
        "thu" => Ok(Weekday::Thursday),
        "fri" => Ok(Weekday::Friday),
        "sat" => Ok(Weekday::Saturday),
        "sun" => Ok(Weekday::Sunday),
        other => {
            Err(format!("{other:?} is not a day; the days are \"mon\" \"tue\" \"wed\" \"thu\" \"fri\" \"sat\" \"sun\""))
        }
    }
}

#[cfg(test)]
mod tests;
