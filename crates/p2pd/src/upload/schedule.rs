//! Which rule of `[[seed.schedule]]` holds, by the clock on the wall: pure.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, Zoned};

use crate::config::{ScheduleRule, TimeOfDay};

/// The first rule that matches.
///
/// Where the clock is put back, an hour comes twice, and the rule holds in both; where it is put forward, a rule that lies
/// in the hour that is left out does not come.
pub(crate) fn rule_in_force(rules: &[ScheduleRule], at: DateTime) -> Option<&ScheduleRule> {
    rules.iter().find(|rule| matches(rule, at))
}

/// When another rule may hold at the earliest; none without rules.
pub(crate) fn next_boundary(rules: &[ScheduleRule], now: &Zoned) -> Option<Timestamp> {
    if rules.is_empty() {
        return None;
    }
    let zone = now.time_zone();
    // Each boundary comes once a day, but a day may be short.
    let days = std::iter::successors(Some(now.date()), |day| day.tomorrow().ok()).take(3);
    let boundaries = days.flat_map(|day| rules.iter().flat_map(move |rule| [(day, rule.from), (day, rule.to)]));
    let moments = boundaries.filter_map(|(day, time)| moment(day, time)).flat_map(|moment| {
        let ambiguous = zone.to_ambiguous_timestamp(moment);
        [ambiguous.earlier().ok(), ambiguous.later().ok()]
    });
    // When the clock is changed, it may jump over a boundary.
    let change = zone.following(now.timestamp()).next().map(|change| change.timestamp());
    moments.flatten().chain(change).filter(|moment| *moment > now.timestamp()).min()
}

fn matches(rule: &ScheduleRule, at: DateTime) -> bool {
    let minute = u16::from(at.hour().unsigned_abs()) * 60 + u16::from(at.minute().unsigned_abs());
    let (from, to) = (rule.from.minutes(), rule.to.minutes());
    let is_day = |day: Date| rule.days.is_empty() || rule.days.contains(&day.weekday());
    if from < to {
        return (from..to).contains(&minute) && is_day(at.date());
    }
    let began_yesterday = || at.date().yesterday().is_ok_and(is_day);
    (minute >= from && is_day(at.date())) || (minute < to && began_yesterday())
}

fn moment(day: Date, time: TimeOfDay) -> Option<DateTime> {
    let (hours, minutes) = (time.minutes() / 60, time.minutes() % 60);
    let (day, hours) = if hours == 24 { (day.tomorrow().ok()?, 0) } else { (day, hours) };
    Some(day.at(i8::try_from(hours).ok()?, i8::try_from(minutes).ok()?, 0, 0))
}
