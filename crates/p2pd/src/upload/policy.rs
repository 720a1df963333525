//! What peers outside of the local networks may be given at a moment, and why: pure.
//!
//! A pause wins over everything; then the month's cap; then what a person has said; then the schedule; then
//! `network.upload_limit`. Of a finite limit, own fetches leave a quarter.

use std::num::NonZeroU64;

use jiff::{Timestamp, Zoned};
use p2p_api::{ManualLimit, Pause, Upload, UploadReason, UploadRequest};

use super::month::{Month, MonthBytes, MonthTally};
use super::schedule::{next_boundary, rule_in_force};
use super::wishes::Wishes;
use crate::config::Settings;

/// What is left of a limit while a file is downloaded that somebody waits for: enough to stay a good neighbour, and little
/// enough that acknowledgements of the download find room in a home line's upstream.
const SHARE_BESIDE_FETCHES: u64 = 4;

/// What is known, and what follows from it.
#[derive(Debug)]
pub(crate) struct UploadPolicy {
    wishes: Wishes,
    month: MonthTally,
    own_fetches: usize,
}

/// What holds from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// In bytes a second; none: no limit; 0: nothing.
    pub(crate) limit: Option<u64>,
    pub(crate) slots: usize,
    pub(crate) reason: UploadReason,
    /// When it may change by itself; none: never.
    pub(crate) look_again: Option<Timestamp>,
    /// Bytes that may be uploaded until the cap is reached; none: there is no cap, or it is reached.
    pub(crate) cap_left: Option<u64>,
}

impl UploadPolicy {
    pub(crate) fn new(wishes: Wishes, month: MonthBytes) -> Self {
        Self { wishes, month: MonthTally::new(month), own_fetches: 0 }
    }

    /// Takes in what a person, or the network, asks for.
    pub(crate) fn handle_request(&mut self, request: UploadRequest, now: Timestamp) -> &Wishes {
        self.wishes.handle_request(request, now);
        &self.wishes
    }

    /// Takes in how many files are being downloaded that somebody waits for.
    pub(crate) fn handle_fetches(&mut self, own_fetches: usize) {
        self.own_fetches = own_fetches;
    }

    /// Takes in how many bytes this run has uploaded to others than the local networks.
    pub(crate) fn handle_uploaded(&mut self, bytes: u64, now: &Zoned) {
        self.month.handle_total(bytes, now);
    }

    pub(crate) fn month(&self) -> MonthBytes {
        self.month.counted()
    }

    /// What holds at this moment.
    pub(crate) fn decide(&self, settings: &Settings, now: &Zoned) -> Decision {
        let (full, reason) = self.full(settings, now);
        let cap_left = settings.seed.monthly_cap.map(|cap| cap.get().saturating_sub(self.month.bytes()));
        let finite = full.filter(|limit| self.own_fetches > 0 && *limit > 0);
        let (limit, reason) = match finite {
            Some(limit) => (Some((limit / SHARE_BESIDE_FETCHES).max(1)), UploadReason::OwnFetch),
            None => (full, reason),
        };
        Decision {
            limit,
            slots: settings.seed.upload_slots,
            reason,
            look_again: self.look_again(settings, now),
            cap_left: cap_left.filter(|left| *left > 0),
        }
    }

    /// The same for people.
    pub(crate) fn describe(&self, settings: &Settings, now: &Zoned) -> Upload {
        let decision = self.decide(settings, now);
        let pauses: Vec<Pause> = self.wishes.pauses(now.timestamp()).collect();
        let is_endless = pauses.iter().any(|pause| pause.until.is_none());
        let last_end = pauses.iter().filter_map(|pause| pause.until).max();
        Upload {
            limit: decision.limit,
            reason: decision.reason,
            paused_until: last_end.filter(|_| !is_endless),
            month_bytes: self.month.bytes(),
            monthly_cap: settings.seed.monthly_cap.map(NonZeroU64::get),
            slots: decision.slots as u64,
            pauses,
            manual_limit: self.wishes.manual_limit(),
        }
    }

    /// What would hold without own fetches.
    fn full(&self, settings: &Settings, now: &Zoned) -> (Option<u64>, UploadReason) {
        if self.wishes.pauses(now.timestamp()).next().is_some() {
            return (Some(0), UploadReason::Paused);
        }
        if settings.seed.monthly_cap.is_some_and(|cap| self.month.bytes() >= cap.get()) {
            return (Some(0), UploadReason::Cap);
        }
        if let Some(ManualLimit { bytes_per_second }) = self.wishes.manual_limit() {
            return (bytes_per_second.map(NonZeroU64::get), UploadReason::Limit);
        }
        if let Some(rule) = rule_in_force(&settings.seed.schedule, now.datetime()) {
            return (Some(rule.upload_limit.map_or(0, NonZeroU64::get)), UploadReason::Schedule);
        }
        (settings.network.upload_limit.map(NonZeroU64::get), UploadReason::Default)
    }

    fn look_again(&self, settings: &Settings, now: &Zoned) -> Option<Timestamp> {
        let ends = self.wishes.pauses(now.timestamp()).filter_map(|pause| pause.until);
        let ends = ends.filter_map(|end| Timestamp::from_second(i64::try_from(end).ok()?).ok());
        ends.chain(next_boundary(&settings.seed.schedule, now)).chain(Month::end(now)).min()
    }
}

#[cfg(test)]
mod tests;
