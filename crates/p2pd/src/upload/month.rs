//! What has been uploaded outside of the local networks in a calendar month: pure.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// How long a clock may show an earlier month than the one that is counted before it is believed. Machines without a clock
/// of their own wake up in the past, and learn the time from the network.
const BELIEVED_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// A calendar month; the default is before all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Month {
    year: i16,
    /// 1 to 12.
    month: i8,
}

/// What is kept over restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MonthBytes {
    pub(crate) month: Month,
    pub(crate) bytes: u64,
}

/// Counts, and begins anew with each month.
#[derive(Debug)]
pub(crate) struct MonthTally {
    counted: MonthBytes,
    /// What this run has uploaded, as far as it has been counted.
    total: u64,
    behind_since: Option<Timestamp>,
}

impl Month {
    fn of(now: &Zoned) -> Self {
        Self { year: now.year(), month: now.month() }
    }

    /// When the month of this moment is over.
    pub(crate) fn end(now: &Zoned) -> Option<Timestamp> {
        let next = now.date().last_of_month().tomorrow().ok()?;
        now.time_zone().to_ambiguous_timestamp(next.at(0, 0, 0, 0)).compatible().ok()
    }
}

impl MonthTally {
    pub(crate) fn new(before: MonthBytes) -> Self {
        Self { counted: before, total: 0, behind_since: None }
    }

    /// Takes in what this run has uploaded so far.
    pub(crate) fn handle_total(&mut self, total: u64, now: &Zoned) {
        let fresh = total.saturating_sub(std::mem::replace(&mut self.total, total));
        let month = Month::of(now);
        match month.cmp(&self.counted.month) {
            Ordering::Greater => self.counted = MonthBytes { month, bytes: fresh },
            Ordering::Equal => self.counted.bytes += fresh,
            Ordering::Less => {
                self.counted.bytes += fresh;
                let since = *self.behind_since.get_or_insert(now.timestamp());
                if now.timestamp().duration_since(since) >= BELIEVED_AFTER {
                    self.counted.month = month;
                }
            }
        }
        if month >= self.counted.month {
            self.behind_since = None;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.counted.bytes
    }

    /// What is to be kept.
    pub(crate) fn counted(&self) -> MonthBytes {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Zoned {
        text.parse().expect("a time with its zone")
    }

    #[test]
    fn a_new_month_begins_at_nothing_by_the_local_clock() {
        let mut tally = MonthTally::new(MonthBytes::default());
        tally.handle_total(100, &at("2026-01-31T23:59:59[Asia/Tokyo]"));
        tally.handle_total(150, &at("2026-01-31T23:59:59[Asia/Tokyo]"));
        assert_eq!(tally.bytes(), 150);
        tally.handle_total(170, &at("2026-02-01T00:00:00[Asia/Tokyo]"));
        assert_eq!(tally.bytes(), 20);
    }

    #[test]
    fn what_earlier_runs_uploaded_in_this_month_counts() {
        let mut tally = MonthTally::new(MonthBytes { month: Month { year: 2026, month: 7 }, bytes: 1_000 });
        tally.handle_total(5, &at("2026-07-30T12:00[UTC]"));
        assert_eq!(tally.bytes(), 1_005);
        let mut tally = MonthTally::new(tally.counted());
        tally.handle_total(5, &at("2026-08-30T12:00[UTC]"));
        assert_eq!(tally.bytes(), 5);
    }

    #[test]
    fn a_clock_that_wakes_up_in_the_past_gives_nothing_for_free() {
        let mut tally = MonthTally::new(MonthBytes { month: Month { year: 2026, month: 7 }, bytes: 1_000 });
        tally.handle_total(1, &at("1970-01-01T00:00[UTC]"));
        tally.handle_total(3, &at("2026-07-30T12:00[UTC]"));
        assert_eq!(tally.bytes(), 1_003);
    }

    #[test]
    fn a_clock_that_was_ahead_once_does_not_stop_the_months_for_ever() {
        let mut tally = MonthTally::new(MonthBytes { month: Month { year: 2037, month: 1 }, bytes: 1_000 });
        for hours in 0..=24_u32 {
            tally
                .handle_total(hours.into(), &(&at("2026-07-29T12:00[UTC]") + SignedDuration::from_hours(hours.into())));
        }
        assert_eq!(tally.counted(), MonthBytes { month: Month { year: 2026, month: 7 }, bytes: 1_024 });
        tally.handle_total(30, &at("2026-08-01T00:00[UTC]"));
        assert_eq!(tally.bytes(), 6);
    }

    #[test]
    fn a_month_ends_at_its_last_midnight() {
        let end = |text: &str| Month::end(&at(text)).expect("a month ends").to_string();
        assert_eq!(end("2026-12-31T23:59[Europe/Berlin]"), "2026-12-31T23:00:00Z");
        assert_eq!(end("2024-02-01T00:00[UTC]"), "2024-03-01T00:00:00Z");
    }
}
