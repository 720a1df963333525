use std::path::Path;

use jiff::SignedDuration;
use p2p_api::PauseReason;

use super::*;

const KIB: u64 = 1024;

/// A machine and its clock.
struct Machine {
    settings: Settings,
    policy: UploadPolicy,
    now: Zoned,
    uploaded: u64,
}

impl Machine {
    fn new(config: &str, now: &str) -> Self {
        let settings = Settings::read(config, Path::new("p2pd.toml")).expect("a valid configuration");
        let policy = UploadPolicy::new(Wishes::default(), MonthBytes::default());
        Self { settings, policy, now: now.parse().expect("a time with its zone"), uploaded: 0 }
    }

    fn ask(&mut self, request: UploadRequest) {
        self.policy.handle_request(request, self.now.timestamp());
    }

    fn pause(&mut self, seconds: u64, reason: PauseReason) {
        self.ask(UploadRequest::Pause { seconds: NonZeroU64::new(seconds), reason });
    }

    fn upload(&mut self, bytes: u64) {
        self.uploaded += bytes;
        self.policy.handle_uploaded(self.uploaded, &self.now);
    }

    fn decide(&self) -> Decision {
        self.policy.decide(&self.settings, &self.now)
    }

    fn holds(&self) -> (Option<u64>, UploadReason) {
        let decision = self.decide();
        (decision.limit, decision.reason)
    }

    /// Sleeps as the daemon does: until it has to look again.
    fn sleep(&mut self) {
        let wake_up = self.decide().look_again.expect("a month ends");
        assert!(wake_up > self.now.timestamp(), "{wake_up} is past at {}", self.now);
        self.now = wake_up.to_zoned(self.now.time_zone().clone());
        self.policy.handle_uploaded(self.uploaded, &self.now);
    }

    /// When what holds changes within these days, and to what, by sleeping; checked against a look at every minute.
    fn changes(&mut self, days: i64) -> Vec<(String, Option<u64>)> {
        let (start, end) = (self.now.clone(), &self.now + SignedDuration::from_hours(24 * days));
        let mut changes = vec![(self.now.strftime("%d %H:%M %:z").to_string(), self.decide().limit)];
        while self.decide().look_again.is_some_and(|at| at <= end.timestamp()) {
            self.sleep();
            if changes.last().is_some_and(|(_, limit)| *limit != self.decide().limit) {
                changes.push((self.now.strftime("%d %H:%M %:z").to_string(), self.decide().limit));
            }
        }
        self.now = start;
        let mut at_every_minute = Vec::new();
        while self.now <= end {
            if at_every_minute.last().is_none_or(|(_, limit)| *limit != self.decide().limit) {
                at_every_minute.push((self.now.strftime("%d %H:%M %:z").to_string(), self.decide().limit));
            }
            self.now = &self.now + SignedDuration::from_mins(1);
        }
        assert_eq!(changes, at_every_minute);
        changes
    }
}

fn rule(from: &str, to: &str, days: &str, limit: &str) -> String {
    format!("[[seed.schedule]]\nfrom = \"{from}\"\nto = \"{to}\"\ndays = [{days}]\nupload_limit = \"{limit}\"\n")
}

fn change(at: &str, kib: u64) -> (String, Option<u64>) {
    (at.to_owned(), Some(kib * KIB))
}

#[test]
fn outside_of_every_rule_the_configured_limit_holds() {
    assert_eq!(Machine::new("", "2026-07-01T12:00[UTC]").holds(), (Some(2048 * KIB), UploadReason::Default));
    let machine = Machine::new("[network]\nupload_limit = \"0\"\n", "2026-07-01T12:00[UTC]");
    assert_eq!(machine.holds(), (None, UploadReason::Default));
    assert_eq!(machine.decide().slots, 8);
}

#[test]
fn a_rule_on_working_days_leaves_the_nights_and_the_weekend_alone() {
    let days = "\"mon\",\"tue\",\"wed\",\"thu\",\"fri\"";
    // 2026-07-24 is a Friday.
    let mut machine = Machine::new(&rule("08:00", "18:00", days, "200KiB/s"), "2026-07-24T00:00[Europe/Berlin]");
    let expected = [
        change("24 00:00 +02:00", 2048),
        change("24 08:00 +02:00", 200),
        change("24 18:00 +02:00", 2048),
        change("27 08:00 +02:00", 200),
        change("27 18:00 +02:00", 2048),
    ];
    assert_eq!(machine.changes(4), expected);
}

#[test]
fn a_rule_across_midnight_belongs_to_the_day_on_which_it_begins() {
    let mut machine = Machine::new(&rule("22:00", "06:00", "\"sun\"", "0"), "2026-07-25T00:00[UTC]");
    let expected = [change("25 00:00 +00:00", 2048), change("26 22:00 +00:00", 0), change("27 06:00 +00:00", 2048)];
    assert_eq!(machine.changes(4), expected);
}

#[test]
fn the_first_rule_that_matches_wins_and_a_day_may_end_at_midnight() {
    let rules = rule("12:00", "13:00", "", "1KiB/s") + &rule("00:00", "24:00", "\"sat\"", "7KiB/s");
    let mut machine = Machine::new(&rules, "2026-07-24T13:00[UTC]");
    let expected = [
        change("24 13:00 +00:00", 2048),
        change("25 00:00 +00:00", 7),
        change("25 12:00 +00:00", 1),
        change("25 13:00 +00:00", 7),
        change("26 00:00 +00:00", 2048),
        change("26 12:00 +00:00", 1),
        change("26 13:00 +00:00", 2048),
    ];
    assert_eq!(machine.changes(2), expected);
}

#[test]
fn when_the_clock_is_put_forward_a_rule_begins_at_the_first_moment_that_there_is() {
    // 02:00 to 03:00 did not exist in Berlin on 2026-03-29.
    let rules = rule("02:30", "04:00", "", "5KiB/s");
    let mut machine = Machine::new(&rules, "2026-03-29T00:00[Europe/Berlin]");
    let expected = [
        change("29 00:00 +01:00", 2048),
        change("29 03:00 +02:00", 5),
        change("29 04:00 +02:00", 2048),
        change("30 02:30 +02:00", 5),
        change("30 04:00 +02:00", 2048),
    ];
    assert_eq!(machine.changes(2), expected);
    let mut machine = Machine::new(&rule("02:10", "02:50", "", "5KiB/s"), "2026-03-29T00:00[Europe/Berlin]");
    assert_eq!(machine.changes(1), [change("29 00:00 +01:00", 2048)], "it lies in the hour that is left out");
}

#[test]
fn when_the_clock_is_put_back_a_rule_holds_in_both_of_the_hours() {
    let mut machine = Machine::new(&rule("02:15", "02:45", "", "5KiB/s"), "2026-10-25T00:00[Europe/Berlin]");
    let expected = [
        change("25 00:00 +02:00", 2048),
        change("25 02:15 +02:00", 5),
        change("25 02:45 +02:00", 2048),
        change("25 02:15 +01:00", 5),
        change("25 02:45 +01:00", 2048),
    ];
    assert_eq!(machine.changes(1), expected);
    let mut machine = Machine::new(&rule("01:00", "02:30", "", "5KiB/s"), "2026-10-25T00:00[Europe/Berlin]");
    let expected = [
        change("25 00:00 +02:00", 2048),
        change("25 01:00 +02:00", 5),
        change("25 02:30 +02:00", 2048),
        change("25 02:00 +01:00", 5),
        change("25 02:30 +01:00", 2048),
    ];
    assert_eq!(machine.changes(1), expected, "the clock jumps back into the rule");
}

#[test]
fn the_cap_stops_the_upload_until_the_month_is_over() {
    let mut machine = Machine::new("[seed]\nmonthly_cap = \"1MiB\"\n", "2026-02-10T12:00[America/New_York]");
    machine.upload(1024 * KIB - 1);
    assert_eq!((machine.holds(), machine.decide().cap_left), ((Some(2048 * KIB), UploadReason::Default), Some(1)));
    machine.upload(1);
    assert_eq!((machine.holds(), machine.decide().cap_left), ((Some(0), UploadReason::Cap), None));
    machine.sleep();
    assert_eq!(machine.now.to_string(), "2026-03-01T00:00:00-05:00[America/New_York]");
    assert_eq!((machine.holds().1, machine.decide().cap_left), (UploadReason::Default, Some(1024 * KIB)));
}

#[test]
fn a_pause_wins_over_all_then_the_cap_then_a_person_then_the_schedule() {
    let config = format!("[seed]\nmonthly_cap = \"1MiB\"\n{}", rule("00:00", "24:00", "", "5KiB/s"));
    let mut machine = Machine::new(&config, "2026-07-01T12:00[UTC]");
    assert_eq!(machine.holds(), (Some(5 * KIB), UploadReason::Schedule));
    machine.ask(UploadRequest::Limit(ManualLimit { bytes_per_second: None }));
    assert_eq!(machine.holds(), (None, UploadReason::Limit));
    machine.upload(1024 * KIB);
    assert_eq!(machine.holds(), (Some(0), UploadReason::Cap));
    machine.pause(60, PauseReason::User);
    assert_eq!(machine.holds(), (Some(0), UploadReason::Paused));
    machine.sleep();
    assert_eq!(machine.holds(), (Some(0), UploadReason::Cap));
    machine.now = "2026-08-01T00:00[UTC]".parse().expect("a time");
    machine.upload(0);
    assert_eq!(machine.holds(), (None, UploadReason::Limit));
    machine.ask(UploadRequest::Default);
    assert_eq!(machine.holds(), (Some(5 * KIB), UploadReason::Schedule));
}

#[test]
fn a_pause_ends_in_time_and_not_earlier() {
    let mut machine = Machine::new("", "2026-07-01T12:00:00.5[UTC]");
    machine.pause(3600, PauseReason::User);
    let until = machine.policy.describe(&machine.settings, &machine.now).paused_until.expect("it has an end");
    assert_eq!(
        Timestamp::from_second(i64::try_from(until).expect("a time")).expect("a time").to_string(),
        "2026-07-01T13:00:01Z"
    );
    machine.sleep();
    assert_eq!(machine.now.timestamp().to_string(), "2026-07-01T13:00:01Z");
    assert_eq!(machine.holds().1, UploadReason::Default);
}

#[test]
fn what_the_network_pauses_ends_without_a_persons_pause_and_the_other_way_round() {
    let mut machine = Machine::new("", "2026-07-01T12:00[UTC]");
    machine.pause(3600, PauseReason::User);
    machine.pause(0, PauseReason::Metered);
    let described = machine.policy.describe(&machine.settings, &machine.now);
    assert_eq!((described.paused_until, described.pauses.len()), (None, 2), "one of them has no end");
    machine.ask(UploadRequest::Resume { reason: Some(PauseReason::Metered) });
    assert_eq!(machine.holds().1, UploadReason::Paused);
    assert!(machine.policy.describe(&machine.settings, &machine.now).paused_until.is_some());
    machine.pause(0, PauseReason::Metered);
    machine.sleep();
    assert_eq!(machine.holds().1, UploadReason::Paused, "only the person's pause has ended");
    machine.ask(UploadRequest::Resume { reason: None });
    assert_eq!(machine.holds().1, UploadReason::Default);
}

#[test]
fn beside_own_fetches_a_quarter_of_a_finite_limit_is_left() {
    let mut machine = Machine::new("", "2026-07-01T12:00[UTC]");
    machine.policy.handle_fetches(3);
    assert_eq!(machine.holds(), (Some(512 * KIB), UploadReason::OwnFetch));
    machine.ask(UploadRequest::Limit(ManualLimit { bytes_per_second: NonZeroU64::new(2) }));
    assert_eq!(machine.holds(), (Some(1), UploadReason::OwnFetch), "never nothing");
    machine.ask(UploadRequest::Limit(ManualLimit { bytes_per_second: None }));
    assert_eq!(machine.holds(), (None, UploadReason::Limit));
    machine.pause(0, PauseReason::User);
    assert_eq!(machine.holds(), (Some(0), UploadReason::Paused));
    machine.ask(UploadRequest::Resume { reason: None });
    machine.ask(UploadRequest::Default);
    machine.policy.handle_fetches(0);
    assert_eq!(machine.holds(), (Some(2048 * KIB), UploadReason::Default));
}

#[test]
fn pauses_and_limits_survive_a_restart_with_their_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("upload.json");
    assert_eq!(Wishes::load(&file), Wishes::default());
    let mut machine = Machine::new("", "2026-07-01T12:00[UTC]");
    machine.pause(3600, PauseReason::User);
    machine.ask(UploadRequest::Limit(ManualLimit { bytes_per_second: NonZeroU64::new(7) }));
    machine.policy.wishes.save(&file).expect("it can be written");
    machine.policy = UploadPolicy::new(Wishes::load(&file), machine.policy.month());
    assert_eq!(machine.holds().1, UploadReason::Paused);
    machine.sleep();
    assert_eq!(machine.now.to_string(), "2026-07-01T13:00:00+00:00[UTC]");
    assert_eq!(machine.holds(), (Some(7), UploadReason::Limit));
    fs_err::write(&file, "{\"pauses\": 3}").expect("it can be written");
    assert_eq!(Wishes::load(&file), Wishes::default());
}
