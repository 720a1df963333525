//! What can be wrong with a mirror.

use std::time::{Duration, SystemTime};

/// A fault of one file on a [`Mirror`](crate::Mirror), or of all. Offsets count from the start of the *file*, whatever
/// range is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status and a short text.
    Status(u16),
    /// Answers 503 with `Retry-After`, in whole seconds.
    RetryAfter(Duration),
    /// Answers 302 to this URL.
    RedirectTo(String),
    /// Waits before the answer begins.
    Delay(Duration),
    /// Answers a range request with 200 and the whole file.
    IgnoreRange,
    /// Sends nothing from this offset on, and keeps the connection open, until the fault is healed.
    StallAt(u64),
    /// Closes the connection at this offset.
    CutAt(u64),
    /// Sends another byte at this offset than the file has.
    CorruptAt(u64),
    /// Sends at most so many bytes a second, on each connection.
    Rate(u64),
    /// Answers 200 with a web page instead of the file, as captive portals do, under this Content-Type.
    Page(String),
    /// Answers 200 with an empty body.
    Empty,
    /// Says that the file has this entity tag, and answers 304 to who names it, whatever the file is now.
    EntityTag(String),
    /// Says that the file was last modified then, and answers 304 to who names that date or a later one.
    Modified(SystemTime),
}

/// All faults of one file, sorted by what they act on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) delay: Option<Duration>,
    pub(crate) ignore_range: bool,
    pub(crate) stall_at: Option<u64>,
    pub(crate) cut_at: Option<u64>,
    pub(crate) corrupt_at: Option<u64>,
    pub(crate) rate: Option<u64>,
    pub(crate) entity_tag: Option<String>,
    pub(crate) modified: Option<SystemTime>,
}

/// An answer that is not the file.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Status(u16),
    RetryAfter(Duration),
    RedirectTo(String),
    Page(String),
    Empty,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        match fault {
            Fault::Status(status) => self.refusal = Some(Refusal::Status(status)),
            Fault::RetryAfter(delay) => self.refusal = Some(Refusal::RetryAfter(delay)),
            Fault::RedirectTo(url) => self.refusal = Some(Refusal::RedirectTo(url)),
            Fault::Delay(delay) => self.delay = Some(delay),
            Fault::IgnoreRange => self.ignore_range = true,
            Fault::StallAt(offset) => self.stall_at = Some(offset),
            Fault::CutAt(offset) => self.cut_at = Some(offset),
            Fault::CorruptAt(offset) => self.corrupt_at = Some(offset),
            Fault::Rate(rate) => self.rate = Some(rate),
            Fault::Page(content_type) => self.refusal = Some(Refusal::Page(content_type)),
            Fault::Empty => self.refusal = Some(Refusal::Empty),
            Fault::EntityTag(tag) => self.entity_tag = Some(tag),
            Fault::Modified(at) => self.modified = Some(at),
        }
    }
}
