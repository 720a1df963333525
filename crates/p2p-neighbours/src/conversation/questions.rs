//! What we asked and have no answer for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use p2p_wire::{Answer, DatabaseClaim, Pointer, Refusal};

use super::limits::{ANSWER_TIMEOUT, MAX_GETS, MAX_LATE, MAX_QUESTIONS, MAX_SILENT, MAX_STRAYS, MAX_UNKEPT, PATIENCE};
use super::{AskFault, Event, NeighbourFault};

/// Our questions and gets, the oldest first, until their answers are whole; with how fast and how well they are answered.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: Vec<Question>,
    next_number: u32,
    /// When bytes of any get last came. They share one connection: while some come, the rest is not silent but behind them.
    bytes_came: Option<Instant>,
    /// Questions that were given up since the last answer.
    silent: u32,
    /// Gets of what they had said to have that ended in nothing, since the last one that did not.
    unkept: u32,
    strays: usize,
    round_trip: Option<Duration>,
}

/// What an answer has to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// An answer for each of so many ids.
    Has { ids: usize },
    /// Databases and pointers.
    Newest,
    /// Whether they reached us.
    Called,
    /// These bytes of a file; whether they have said that they have it.
    Data { next: u64, end: u64, is_promised: bool },
}

#[derive(Debug)]
struct Question {
    number: u32,
    asked: Instant,
    awaited: Awaited,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Wanted,
    /// Nobody waits for the answer, but the other side still owes it.
    Forgotten,
    /// Given up, and reported so.
    Late,
}

impl Questions {
    /// A number for a new question.
    pub(super) fn ask(&mut self, awaited: Awaited, now: Instant) -> Result<u32, AskFault> {
        let most = if awaited.is_data() { MAX_GETS } else { MAX_QUESTIONS };
        let alike = self.open.iter().filter(|open| open.is_due() && open.awaited.is_data() == awaited.is_data());
        if alike.count() >= most {
            return Err(AskFault::Busy);
        }
        let number = self.free_number();
        self.open.push(Question { number, asked: now, awaited, standing: Standing::Wanted });
        Ok(number)
    }

    pub(super) fn forget(&mut self, number: u32) {
        let wanted = self.open.iter_mut().find(|open| open.number == number && open.standing == Standing::Wanted);
        if let Some(question) = wanted {
            question.standing = Standing::Forgotten;
        }
    }

    /// Takes a `has` in; the event where somebody waits for it.
    pub(super) fn handle_has(
        &mut self,
        number: u32,
        mut answers: Vec<Answer>,
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        let Some(at) = self.find(number)? else { return Ok(None) };
        let Awaited::Has { ids } = self.open[at].awaited else {
            return Err(NeighbourFault::WrongAnswer(number));
        };
        // The bit map is read in whole bytes; bits behind the last id stand for nothing.
        if answers.len() != ids.next_multiple_of(8) || answers[ids..].iter().any(|answer| *answer != Answer::Absent) {
            return Err(NeighbourFault::WrongAnswer(number));
        }
        answers.truncate(ids);
        Ok(self.end(at, now).then_some(Event::Answered { number, answers }))
    }

    /// Takes a `newest` in; the event where somebody waits for it.
    pub(super) fn handle_newest(
        &mut self,
        number: u32,
        databases: Vec<DatabaseClaim>,
        pointers: Vec<Pointer>,
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        let is_wanted = self.handle_short(number, Awaited::Newest, now)?;
        Ok(is_wanted.then_some(Event::Newest { number, databases, pointers }))
    }

    /// Takes a `called` in; the event where somebody waits for it.
    pub(super) fn handle_called(
        &mut self,
        number: u32,
        reached: bool,
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        let is_wanted = self.handle_short(number, Awaited::Called, now)?;
        Ok(is_wanted.then_some(Event::Called { number, reached }))
    }

    /// Takes an answer of one message in that fits every question of its kind; whether somebody waits for it.
    fn handle_short(&mut self, number: u32, awaited: Awaited, now: Instant) -> Result<bool, NeighbourFault> {
        match self.find(number)? {
            None => Ok(false),
            Some(at) if self.open[at].awaited == awaited => Ok(self.end(at, now)),
            Some(_) => Err(NeighbourFault::WrongAnswer(number)),
        }
    }

    /// Takes a `data` in; the event where somebody waits for it.
    pub(super) fn handle_data(
        &mut self,
        number: u32,
        offset: u64,
        bytes: &[u8],
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        let Some(at) = self.find(number)? else { return Ok(None) };
        let question = &mut self.open[at];
        let is_wanted = question.standing == Standing::Wanted;
        let Awaited::Data { next, end, is_promised } = &mut question.awaited else {
            return Err(NeighbourFault::WrongAnswer(number));
        };
        let length = bytes.len() as u64;
        if offset != *next || length > *end - *next {
            return Err(NeighbourFault::WrongAnswer(number));
        }
        *next += length;
        let is_last = next == end;
        self.bytes_came = Some(now);
        if is_last {
            // What nobody promised says nothing of what is.
            self.unkept = if *is_promised { 0 } else { self.unkept };
            self.end(at, now);
        }
        // Copied: one byte that waits for its reader must not keep a whole buffer in memory.
        Ok(is_wanted.then(|| Event::Got { number, offset, bytes: Bytes::copy_from_slice(bytes), is_last }))
    }

    /// Takes a `no` in; the event where somebody waits for an answer.
    pub(super) fn handle_no(
        &mut self,
        number: u32,
        why: Refusal,
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        let Some(at) = self.find(number)? else { return Ok(None) };
        let question = &self.open[at];
        // Who is too busy does not say that it never had it.
        if question.is_due() && question.awaited.is_promised() && why == Refusal::NotHere {
            self.unkept += 1;
        }
        let is_wanted = self.end(at, now);
        self.judge()?;
        Ok(is_wanted.then_some(Event::Refused { number, why }))
    }

    /// Gives up what has waited for too long; the events for those who wait.
    pub(super) fn give_up(&mut self, now: Instant) -> Result<Vec<Event>, NeighbourFault> {
        let mut given_up = Vec::new();
        for question in &mut self.open {
            if question.deadline(self.bytes_came).is_none_or(|due| now < due) {
                continue;
            }
            self.silent += 1;
            self.unkept += u32::from(question.awaited.is_promised());
            if question.standing == Standing::Wanted {
                given_up.push(Event::Refused { number: question.number, why: Refusal::TooBusy });
            }
            question.standing = Standing::Late;
        }
        self.judge()?;
        self.drop_oldest_late();
        Ok(given_up)
    }

    /// Whether they answer well enough.
    fn judge(&self) -> Result<(), NeighbourFault> {
        if self.silent >= MAX_SILENT {
            Err(NeighbourFault::Unanswering)
        } else if self.unkept >= MAX_UNKEPT {
            Err(NeighbourFault::Unkept)
        } else {
            Ok(())
        }
    }

    /// When [`Self::give_up`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.iter().filter_map(|question| question.deadline(self.bytes_came)).min()
    }

    /// How long an answer to a question takes, smoothed; none before the first.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Where the question is that an answer names; none where nobody asked it.
    fn find(&mut self, number: u32) -> Result<Option<usize>, NeighbourFault> {
        let found = self.open.iter().position(|question| question.number == number);
        if found.is_none() {
            self.strays += 1;
            if self.strays > MAX_STRAYS {
                return Err(NeighbourFault::Unasked);
            }
        }
        Ok(found)
    }

    /// Ends a question that has been answered; true where somebody waits for that.
    fn end(&mut self, at: usize, now: Instant) -> bool {
        let question = self.open.remove(at);
        // Whoever answers too late again and again is of no more use than who does not.
        if question.is_due() {
            self.silent = 0;
            // The others take as long as a database is looked up, or somebody is dialled.
            if matches!(question.awaited, Awaited::Has { .. }) {
                self.smooth(now.saturating_duration_since(question.asked));
            }
        }
        question.standing == Standing::Wanted
    }

    /// A new one counts for an eighth, as in TCP (RFC 6298).
    fn smooth(&mut self, sample: Duration) {
        self.round_trip = Some(self.round_trip.map_or(sample, |before| before * 7 / 8 + sample / 8));
    }

    fn free_number(&mut self) -> u32 {
        loop {
            let number = self.next_number;
            self.next_number = number.wrapping_add(1);
            if self.open.iter().all(|question| question.number != number) {
                return number;
            }
        }
    }

    fn drop_oldest_late(&mut self) {
        let late = self.open.iter().filter(|question| !question.is_due()).count();
        for _ in MAX_LATE..late {
            if let Some(oldest) = self.open.iter().position(|question| !question.is_due()) {
                self.open.remove(oldest);
            }
        }
    }
}

impl Question {
    /// Whether we still count on an answer.
    fn is_due(&self) -> bool {
        self.standing != Standing::Late
    }

    fn deadline(&self, bytes_came: Option<Instant>) -> Option<Instant> {
        let quiet_since = bytes_came.map_or(self.asked, |came| came.max(self.asked));
        self.is_due().then(|| (quiet_since + ANSWER_TIMEOUT).min(self.asked + PATIENCE))
    }
}

impl Awaited {
    fn is_data(self) -> bool {
        matches!(self, Self::Data { .. })
    }

    fn is_promised(self) -> bool {
        matches!(self, Self::Data { is_promised: true, .. })
    }
}
