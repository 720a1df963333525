//! Whom to ask for a small file, and when to ask a second mirror beside the first: pure.

use std::time::{Duration, Instant};

/// Requests for one file at one time.
const MOST_AT_ONCE: usize = 2;
/// No further mirror is asked after this time.
const PATIENCE: Duration = Duration::from_secs(15);

/// A mirror, before it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prospect {
    /// How long it may take to answer before another one is asked, too.
    pub(crate) patience: Duration,
    /// Whether it has failed lately, so that it is no help to one that is late.
    pub(crate) backs_off: bool,
    /// Bytes a second, as last measured.
    pub(crate) rate: Option<u64>,
}

/// A mirror that was overtaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overtaken {
    /// Its place in the list.
    pub(crate) mirror: usize,
    /// How long it had said nothing.
    pub(crate) silence: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Fresh,
    Asked(Instant),
    Delivers,
    Failed,
}

/// The requests for one file.
#[derive(Debug)]
pub(crate) struct Hedge {
    mirrors: Vec<(Prospect, Standing)>,
    begun: Instant,
}

impl Hedge {
    /// Mirrors in the order in which they are to be asked.
    pub(crate) fn new(prospects: impl IntoIterator<Item = Prospect>, now: Instant) -> Self {
        Self { mirrors: prospects.into_iter().map(|prospect| (prospect, Standing::Fresh)).collect(), begun: now }
    }

    /// The mirror to ask now; call until there is none.
    pub(crate) fn poll_ask(&mut self, now: Instant) -> Option<usize> {
        let mirror = match self.asked().count() {
            _ if self.mirrors.iter().any(|(_, standing)| *standing == Standing::Delivers) => None,
            0 if now.duration_since(self.begun) > PATIENCE => None,
            0 => self.helper().or_else(|| self.mirrors.iter().position(|(_, standing)| *standing == Standing::Fresh)),
            1 => self.helper().filter(|_| self.poll_timeout().is_some_and(|at| at <= now)),
            MOST_AT_ONCE.. => None,
        }?;
        self.mirrors[mirror].1 = Standing::Asked(now);
        Some(mirror)
    }

    /// When [`Self::poll_ask`] may have a second mirror to ask.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let mut asked = self.asked();
        let (Some((_, prospect, at)), None) = (asked.next(), asked.next()) else { return None };
        self.helper().map(|_| at + prospect.patience)
    }

    /// A mirror failed.
    pub(crate) fn handle_fault(&mut self, mirror: usize) {
        self.mirrors[mirror].1 = Standing::Failed;
    }

    /// Gives up the one that is late, if any. Another one has answered, and its word is enough.
    pub(crate) fn give_up_late(&mut self, now: Instant) -> Option<Overtaken> {
        let is_late = |(mirror, prospect, at): (usize, Prospect, Instant)| {
            let silence = now.duration_since(at);
            (silence >= prospect.patience).then_some(Overtaken { mirror, silence })
        };
        let late = self.asked().find_map(is_late)?;
        self.mirrors[late.mirror].1 = Standing::Failed;
        Some(late)
    }

    /// Gives up all that have been asked, and names them.
    pub(crate) fn give_up_all(&mut self, now: Instant) -> Vec<Overtaken> {
        let name = |(mirror, _, at)| Overtaken { mirror, silence: now.duration_since(at) };
        let late: Vec<Overtaken> = self.asked().map(name).collect();
        for late in &late {
            self.mirrors[late.mirror].1 = Standing::Failed;
        }
        late
    }

    /// A mirror's answer is good. Nobody else is asked any more, unless it fails after all; the one that was late is named.
    pub(crate) fn handle_answer(&mut self, mirror: usize, now: Instant) -> Option<Overtaken> {
        self.mirrors[mirror].1 = Standing::Delivers;
        let mut overtaken = None;
        for (index, (prospect, standing)) in self.mirrors.iter_mut().enumerate() {
            let Standing::Asked(at) = *standing else { continue };
            *standing = Standing::Fresh;
            let silence = now.duration_since(at);
            if silence >= prospect.patience {
                prospect.backs_off = true;
                overtaken = Some(Overtaken { mirror: index, silence });
            }
        }
        overtaken
    }

    /// Those that have been asked, and have not answered.
    pub(crate) fn asks(&self) -> impl Iterator<Item = usize> {
        self.asked().map(|(mirror, _, _)| mirror)
    }

    fn asked(&self) -> impl Iterator<Item = (usize, Prospect, Instant)> {
        self.mirrors.iter().enumerate().filter_map(|(index, (prospect, standing))| match standing {
            Standing::Asked(at) => Some((index, *prospect, *at)),
            Standing::Fresh | Standing::Delivers | Standing::Failed => None,
        })
    }

    /// The first mirror that is well and was not asked.
    fn helper(&self) -> Option<usize> {
        self.mirrors.iter().position(|(prospect, standing)| *standing == Standing::Fresh && !prospect.backs_off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(300);

    fn prospect(backs_off: bool) -> Prospect {
        Prospect { patience: LATE, backs_off, rate: None }
    }

    fn hedge(backs_off: &[bool]) -> (Hedge, Instant) {
        let now = Instant::now();
        (Hedge::new(backs_off.iter().map(|backs_off| prospect(*backs_off)), now), now)
    }

    #[test]
    fn a_second_mirror_is_asked_when_the_first_is_late_and_never_a_third() {
        let (mut hedge, now) = hedge(&[false; 3]);
        assert_eq!(hedge.poll_ask(now), Some(0));
        assert_eq!(hedge.poll_ask(now), None);
        assert_eq!(hedge.poll_timeout(), Some(now + LATE));
        assert_eq!(hedge.poll_ask(now + LATE), Some(1));
        assert_eq!(hedge.poll_timeout(), None);
        assert_eq!(hedge.poll_ask(now + 10 * LATE), None);
    }

    #[test]
    fn one_that_fails_is_replaced_at_once() {
        let (mut hedge, now) = hedge(&[false; 3]);
        for mirror in 0..3 {
            assert_eq!(hedge.poll_ask(now), Some(mirror));
            assert_eq!(hedge.poll_ask(now), None);
            hedge.handle_fault(mirror);
        }
        assert_eq!(hedge.poll_ask(now), None);
    }

    #[test]
    fn one_that_backs_off_helps_nobody_and_is_still_the_last_resort() {
        let (mut hedge, now) = hedge(&[true, false, true]);
        assert_eq!(hedge.poll_ask(now), Some(1));
        assert_eq!(hedge.poll_timeout(), None);
        assert_eq!(hedge.poll_ask(now + LATE), None);
        hedge.handle_fault(1);
        assert_eq!(hedge.poll_ask(now + LATE), Some(0));
        hedge.handle_fault(0);
        assert_eq!(hedge.poll_ask(now + LATE), Some(2));
    }

    #[test]
    fn the_late_one_is_named_and_asked_again_only_when_nobody_else_is_left() {
        let (mut hedge, now) = hedge(&[false; 3]);
        assert_eq!(hedge.poll_ask(now), Some(0));
        assert_eq!(hedge.poll_ask(now + LATE), Some(1));
        let silence = LATE * 2;
        assert_eq!(hedge.handle_answer(1, now + silence), Some(Overtaken { mirror: 0, silence }));
        assert_eq!(hedge.poll_ask(now + silence), None, "the answer is good so far");
        hedge.handle_fault(1);
        assert_eq!(hedge.poll_ask(now + silence), Some(2));
        hedge.handle_fault(2);
        assert_eq!(hedge.poll_ask(now + silence), Some(0));
    }

    #[test]
    fn the_late_one_can_be_given_up() {
        let (mut hedge, now) = hedge(&[false; 2]);
        assert_eq!(hedge.poll_ask(now), Some(0));
        assert_eq!(hedge.give_up_late(now), None);
        assert_eq!(hedge.poll_ask(now + LATE), Some(1));
        hedge.handle_fault(1);
        assert_eq!(hedge.give_up_late(now + LATE), Some(Overtaken { mirror: 0, silence: LATE }));
        assert_eq!(hedge.poll_ask(now + LATE), None);
    }

    #[test]
    fn all_that_have_been_asked_can_be_given_up() {
        let (mut hedge, now) = hedge(&[false; 2]);
        assert_eq!(hedge.poll_ask(now), Some(0));
        assert_eq!(hedge.poll_ask(now + LATE), Some(1));
        let given_up = hedge.give_up_all(now + LATE * 2);
        let silences = given_up.iter().map(|late| (late.mirror, late.silence)).collect::<Vec<_>>();
        assert_eq!(silences, [(0, LATE * 2), (1, LATE)]);
        assert_eq!(hedge.give_up_all(now + LATE * 2), []);
        assert_eq!(hedge.poll_ask(now + LATE * 2), None);
    }

    #[test]
    fn one_that_was_asked_a_moment_before_the_answer_is_not_late() {
        let (mut hedge, now) = hedge(&[false; 2]);
        assert_eq!(hedge.poll_ask(now), Some(0));
        assert_eq!(hedge.poll_ask(now + LATE), Some(1));
        assert_eq!(hedge.handle_answer(0, now + LATE * 3 / 2), None);
        hedge.handle_fault(0);
        assert_eq!(hedge.poll_ask(now + LATE * 2), Some(1));
    }

    #[test]
    fn nobody_else_is_asked_when_it_has_taken_too_long() {
        let (mut hedge, now) = hedge(&[false; 2]);
        assert_eq!(hedge.poll_ask(now), Some(0));
        hedge.handle_fault(0);
        assert_eq!(hedge.poll_ask(now + PATIENCE + LATE), None);
    }
}
