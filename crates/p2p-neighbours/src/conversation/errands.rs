//! What they asked and have no answer to.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{DATA_BLOCK_BYTES, PackagesMessage, What, Wishes};

use super::outbox::Ends;

/// Their questions and gets, each in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Errands {
    questions: Vec<Question>,
    gets: VecDeque<Get>,
}

/// One of their questions.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) number: u32,
    pub(super) about: About,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum About {
    Packages { ids: Vec<Sha256>, wishes: Wishes },
    Club(InfoHash),
    Call(u16),
}

#[derive(Debug)]
struct Get {
    number: u32,
    what: What,
    /// What is still to be sent.
    left: Range<u64>,
    /// The block that the driver is getting.
    in_hand: Option<Range<u64>>,
}

impl Errands {
    pub(super) fn add_question(&mut self, question: Question) {
        self.questions.push(question);
    }

    pub(super) fn add_get(&mut self, number: u32, what: What, range: Range<u64>) {
        self.gets.push_back(Get { number, what, left: range, in_hand: None });
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.questions.iter().any(|question| question.number == number)
            || self.gets.iter().any(|get| get.number == number)
    }

    pub(super) fn count(&self, ends: Ends) -> usize {
        match ends {
            Ends::Question => self.questions.len(),
            Ends::Get => self.gets.len(),
            Ends::Nothing | Ends::Excess => 0,
        }
    }

    /// Takes a question that is to be answered, if it is one of this kind.
    pub(super) fn take_question(&mut self, number: u32, is_meant: fn(&About) -> bool) -> Option<About> {
        let at = self.questions.iter().position(|question| question.number == number && is_meant(&question.about))?;
        Some(self.questions.remove(at).about)
    }

    /// The next block for the driver to get: of the oldest get, and one at a time, so that bytes come in order.
    pub(super) fn hand_out(&mut self) -> Option<(u32, What, Range<u64>)> {
        let get = self.gets.front_mut().filter(|get| get.in_hand.is_none())?;
        let block = get.left.start..get.left.end.min(get.left.start + DATA_BLOCK_BYTES as u64);
        get.in_hand = Some(block.clone());
        Some((get.number, get.what, block))
    }

    /// The message that carries the block which the driver has got, and what that ends; none where it was not told to get
    /// any. Fewer bytes are sent as they are, and of more only those that were asked for.
    pub(super) fn carry(&mut self, number: u32, mut bytes: Bytes) -> Option<(PackagesMessage, Ends)> {
        let get = self.gets.front_mut().filter(|get| get.number == number)?;
        let block = get.in_hand.take()?;
        bytes.truncate(usize::try_from(block.end - block.start).expect("a block has at most 16 KiB"));
        get.left.start += bytes.len() as u64;
        let ends = if get.left.is_empty() { Ends::Get } else { Ends::Nothing };
        if ends == Ends::Get {
            self.gets.pop_front();
        }
        Some((PackagesMessage::Data { n: number, offset: block.start, bytes }, ends))
    }

    /// Gives an errand up; what it was, where there is one.
    pub(super) fn remove(&mut self, number: u32) -> Option<Ends> {
        if self.take_question(number, |_| true).is_some() {
            return Some(Ends::Question);
        }
        let at = self.gets.iter().position(|get| get.number == number)?;
        self.gets.remove(at);
        Some(Ends::Get)
    }
}
