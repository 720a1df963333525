//! Our answers: what they ask waits here until the driver has them.

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use p2p_wire::{Answer, DatabaseClaim, MAX_NEWEST, PackagesMessage, Pointer, Refusal, What};

use super::errands::{About, Question};
use super::limits::{MAX_GETS, MAX_QUESTIONS, MAX_UNANSWERED};
use super::outbox::Ends;
use super::{Conversation, Event, NeighbourFault};

impl Conversation {
    /// Answers their question, an answer for each id. What they did not wish for is not sent; infos and signatures neither
    /// where they leave our answers unread: they can get them later. A number that waits for no answer is ignored.
    pub fn answer_have(&mut self, number: u32, mut answers: Vec<Answer>, now: Instant) {
        let is_meant: fn(&About) -> bool = |about| matches!(about, About::Packages { .. });
        let Some(About::Packages { ids, wishes }) = self.errands.take_question(number, is_meant) else { return };
        answers.resize(ids.len(), Answer::Absent);
        let has_room = self.outbox.has_room();
        for (id, answer) in ids.into_iter().zip(&mut answers) {
            match answer {
                Answer::Here(holding) => {
                    holding.info.take_if(|_| !has_room || !wishes.info);
                    holding.signature.take_if(|_| !has_room || !wishes.signature);
                }
                Answer::Coming | Answer::Absent => self.denials.note(id, now),
            }
        }
        self.say(&PackagesMessage::Has { n: number, answers }, Ends::Question, now);
    }

    /// Answers what they ask about a club's repository, with the first four of each. Where they leave our answers unread they
    /// are told that we are too busy. A number that waits for no such answer is ignored.
    pub fn answer_recent(
        &mut self,
        number: u32,
        mut databases: Vec<DatabaseClaim>,
        mut pointers: Vec<Pointer>,
        now: Instant,
    ) {
        if !self.outbox.has_room() {
            return self.refuse(number, Refusal::TooBusy, now);
        }
        if self.errands.take_question(number, |about| matches!(about, About::Club(_))).is_some() {
            databases.truncate(MAX_NEWEST);
            pointers.truncate(MAX_NEWEST);
            self.say(&PackagesMessage::Newest { n: number, databases, pointers }, Ends::Question, now);
        }
    }

    /// Answers whether they were reached where they wished to be dialled. A number that waits for no such answer is ignored.
    pub fn answer_call(&mut self, number: u32, reached: bool, now: Instant) {
        if self.errands.take_question(number, |about| matches!(about, About::Call(_))).is_some() {
            self.say(&PackagesMessage::Called { n: number, reached }, Ends::Question, now);
        }
    }

    /// Sends the bytes that [`Self::wants_data`] asked for; fewer than that, and it asks for the rest. No bytes at all mean
    /// that the file ends there. A number that waits for none is ignored.
    pub fn answer_data(&mut self, number: u32, bytes: Bytes, now: Instant) {
        if bytes.is_empty() {
            return self.refuse(number, Refusal::NotHere, now);
        }
        if let Some((message, ends)) = self.errands.carry(number, bytes) {
            self.say(&message, ends, now);
        }
    }

    /// Refuses their question, or get, or the rest of it. A number that waits for no answer is ignored.
    pub fn refuse(&mut self, number: u32, why: Refusal, now: Instant) {
        if let Some(ends) = self.errands.remove(number) {
            self.say(&PackagesMessage::No { n: number, why }, ends, now);
        }
    }

    /// The next block that the driver shall get, and then pass to [`Self::answer_data`], or refuse: number, file, and at most
    /// 16 KiB of it, which the file may not have. One at a time, and none while 64 KiB wait to be sent.
    pub fn wants_data(&mut self) -> Option<(u32, What, Range<u64>)> {
        if self.outbox.has_room() { self.errands.hand_out() } else { None }
    }

    /// Takes a question of theirs in; the event where it is to be answered.
    pub(super) fn handle_question(
        &mut self,
        number: u32,
        about: About,
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        if !self.admit(number, Ends::Question, now)? {
            return Ok(None);
        }
        let event = match &about {
            About::Packages { ids, wishes } => Event::Asked { number, ids: ids.clone(), wishes: *wishes },
            About::Club(club) => Event::AskedRecent { number, club: *club },
            About::Call(port) => Event::AskedCall { number, port: *port },
        };
        self.errands.add_question(Question { number, about });
        Ok(Some(event))
    }

    /// Takes a get of theirs in; the event where it is to be answered.
    pub(super) fn handle_get(
        &mut self,
        number: u32,
        what: What,
        range: Range<u64>,
        now: Instant,
    ) -> Result<Option<Event>, NeighbourFault> {
        if !self.admit(number, Ends::Get, now)? {
            return Ok(None);
        }
        let length = range.end - range.start;
        self.errands.add_get(number, what, range);
        Ok(Some(Event::Wanted { number, length }))
    }

    /// Whether they may ask this now; else they are told that it is too much.
    fn admit(&mut self, n: u32, kind: Ends, now: Instant) -> Result<bool, NeighbourFault> {
        if self.errands.contains(n) {
            return Err(NeighbourFault::SameNumber(n));
        }
        let unanswered = [Ends::Question, Ends::Get, Ends::Excess].map(|ends| self.unanswered(ends));
        if unanswered.iter().sum::<usize>() >= MAX_UNANSWERED {
            return Err(NeighbourFault::Flood);
        }
        let most = if kind == Ends::Get { MAX_GETS } else { MAX_QUESTIONS };
        let may_ask = self.unanswered(kind) < most;
        if !may_ask {
            self.say(&PackagesMessage::No { n, why: Refusal::TooMuch }, Ends::Excess, now);
        }
        Ok(may_ask)
    }

    fn unanswered(&self, ends: Ends) -> usize {
        self.errands.count(ends) + self.outbox.count(ends)
    }
}
