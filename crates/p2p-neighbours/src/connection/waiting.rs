//! What is still to be asked of a neighbour, which answers so much at a time: first come, first asked.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_package::Sha256;
use p2p_wire::{What, Wishes};
use tokio::sync::mpsc;

use crate::replies::{Part, Reply};

/// Questions that may wait until earlier ones are answered: with those that are not, 9,216 packages.
const MOST_QUESTIONS: usize = 64;
/// Gets that may wait: some four for each of a dozen clients.
const MOST_GETS: usize = 64;
/// How long nothing is got from one who has said that it is too much; twice as long each time, until something comes.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// Who has said so of a get for that long will not send it while somebody waits.
const REFUSED_FOR: Duration = Duration::from_secs(2);

/// A question about packages.
#[derive(Debug)]
pub(super) struct Have {
    pub(super) ids: Arc<[Sha256]>,
    pub(super) wishes: Wishes,
    pub(super) replies: mpsc::Sender<Reply>,
}

/// Bytes of a file that somebody waits for.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) what: What,
    /// What has not come yet.
    pub(super) range: Range<u64>,
    pub(super) parts: mpsc::Sender<Part>,
    /// When the neighbour first said that it was too much.
    refused: Option<Instant>,
}

impl Get {
    pub(super) fn new(what: What, range: Range<u64>, parts: mpsc::Sender<Part>) -> Self {
        Self { what, range, parts, refused: None }
    }
}

/// A large transaction is more than one neighbour answers at a time. Whoever waits for what is not taken sees the end.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    questions: VecDeque<Have>,
    gets: VecDeque<Get>,
    /// Until when nothing is got.
    rests_until: Option<Instant>,
    /// How long the last rest was, unless something has come since.
    pause: Option<Duration>,
}

impl Waiting {
    /// Takes a question, unless too many wait.
    pub(super) fn add_question(&mut self, question: Have) {
        if self.questions.len() >= MOST_QUESTIONS {
            self.questions.retain(|waiting| !waiting.replies.is_closed());
        }
        if self.questions.len() < MOST_QUESTIONS {
            self.questions.push_back(question);
        }
    }

    /// Takes a get, unless too many wait.
    pub(super) fn add_get(&mut self, get: Get) {
        if self.gets.len() >= MOST_GETS {
            self.gets.retain(|waiting| !waiting.parts.is_closed());
        }
        if self.gets.len() < MOST_GETS {
            self.gets.push_back(get);
        }
    }

    /// The next question that somebody still wants the answer to.
    pub(super) fn next_question(&mut self) -> Option<Have> {
        std::iter::from_fn(|| self.questions.pop_front()).find(|waiting| !waiting.replies.is_closed())
    }

    /// The next get that may be asked now, and that somebody still waits for.
    pub(super) fn next_get(&mut self, now: Instant) -> Option<Get> {
        self.rests_until = self.rests_until.filter(|until| now < *until);
        if self.rests_until.is_some() {
            return None;
        }
        std::iter::from_fn(|| self.gets.pop_front()).find(|waiting| !waiting.parts.is_closed())
    }

    /// It cannot be asked yet: it stays the first.
    pub(super) fn put_question_back(&mut self, question: Have) {
        self.questions.push_front(question);
    }

    /// It cannot be asked yet: it stays the first.
    pub(super) fn put_get_back(&mut self, get: Get) {
        self.gets.push_front(get);
    }

    /// The neighbour has said that this is too much now: it is asked again a little later, before the others, or given up.
    pub(super) fn handle_too_much(&mut self, mut get: Get, now: Instant) {
        // Those that were asked together are refused together.
        if self.rests_until.is_none_or(|until| until <= now) {
            let pause = self.pause.map_or(PAUSE, |last| last * 2).min(LONGEST_PAUSE);
            (self.pause, self.rests_until) = (Some(pause), Some(now + pause));
        }
        let first = *get.refused.get_or_insert(now);
        if self.rests_until.is_some_and(|until| until <= first + REFUSED_FOR) {
            let at = self.gets.iter().take_while(|waiting| waiting.refused.is_some()).count();
            self.gets.insert(at, get);
        }
    }

    /// Bytes of a get have come.
    pub(super) fn handle_bytes(&mut self) {
        self.pause = None;
    }

    /// When a get that waits may be asked, if not before.
    pub(super) fn due(&self) -> Option<Instant> {
        self.rests_until.filter(|_| !self.gets.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use p2p_wire::Kind;

    use super::*;

    /// Gets of one byte at different places, and who waits for them.
    fn gets(numbers: Range<u64>) -> (Vec<Get>, Vec<mpsc::Receiver<Part>>) {
        let get = |number| {
            let (parts, coming) = mpsc::channel(1);
            let what = What { id: Sha256::of(b"a file"), kind: Kind::Package };
            (Get::new(what, number..number + 1, parts), coming)
        };
        numbers.map(get).unzip()
    }

    fn add(waiting: &mut Waiting, gets: Vec<Get>) {
        for get in gets {
            waiting.add_get(get);
        }
    }

    fn next(waiting: &mut Waiting, now: Instant) -> Option<u64> {
        waiting.next_get(now).map(|get| get.range.start)
    }

    #[test]
    fn gets_are_asked_in_order_and_not_for_who_has_gone_who_leaves_room_for_others() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let (all, mut clients) = gets(0..MOST_GETS as u64 + 2);
        add(&mut waiting, all);
        assert_eq!(waiting.gets.len(), MOST_GETS);
        drop(clients.drain(..MOST_GETS - 1));
        let last = waiting.next_get(now).expect("somebody waits for it");
        assert_eq!((last.range.start, next(&mut waiting, now)), (MOST_GETS as u64 - 1, None));
        waiting.put_get_back(last);
        let (more, coming) = gets(100..100 + MOST_GETS as u64);
        add(&mut waiting, more);
        drop(coming);
        let (newest, _client) = gets(200..201);
        add(&mut waiting, newest);
        assert_eq!([next(&mut waiting, now), next(&mut waiting, now)], [Some(MOST_GETS as u64 - 1), Some(200)]);
    }

    #[test]
    fn what_was_too_much_is_asked_again_after_a_pause_that_doubles_and_before_the_others() {
        let (mut waiting, mut now) = (Waiting::default(), Instant::now());
        let (all, _clients) = gets(0..3);
        add(&mut waiting, all);
        for pause in [100, 200, 400, 800].map(Duration::from_millis) {
            let [first, second] = [waiting.next_get(now), waiting.next_get(now)].map(|get| get.expect("it waits"));
            assert_eq!([first.range.start, second.range.start], [0, 1]);
            waiting.handle_too_much(first, now);
            waiting.handle_too_much(second, now);
            assert_eq!((next(&mut waiting, now), waiting.due()), (None, Some(now + pause)));
            now += pause;
        }
        let [first, second] = [waiting.next_get(now), waiting.next_get(now)].map(|get| get.expect("it waits"));
        waiting.handle_too_much(first, now);
        waiting.handle_bytes();
        waiting.handle_too_much(second, now);
        now = waiting.due().expect("the third one waits");
        assert_eq!(waiting.gets.len(), 1, "after two seconds in all the others are given up");
        let third = waiting.next_get(now).expect("it waits");
        waiting.handle_too_much(third, now);
        assert_eq!(waiting.due(), Some(now + PAUSE), "something has come meanwhile");
        now += PAUSE;
        assert_eq!((next(&mut waiting, now), waiting.due()), (Some(2), None));
    }
}
