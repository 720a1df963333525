//! How soon neighbours are asked again what publishers say: pure.

use std::time::Duration;

/// After the first question that nobody answers; then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(15);

/// What came of asking everybody who is here about every repository that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Somebody has answered, about each.
    Answered,
    /// Nobody has, about one of them at least. Who refuses, being no member of that club, looks the same: that is why it ends.
    Unanswered,
}

/// How often nobody has answered, in a row.
#[derive(Debug, Default)]
pub(super) struct Asking {
    unanswered: u32,
}

impl Asking {
    /// How long to wait after a round, where the next one is due after `regular` otherwise.
    pub(super) fn handle_round(&mut self, outcome: Outcome, regular: Duration) -> Duration {
        match outcome {
            Outcome::Answered => {
                self.unanswered = 0;
                regular
            }
            Outcome::Unanswered => {
                let retry = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(self.unanswered));
                self.unanswered = self.unanswered.saturating_add(1);
                retry.min(regular)
            }
        }
    }

    /// Others are here than before: they have not been asked yet.
    pub(super) fn handle_neighbours(&mut self) {
        self.unanswered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGULAR: Duration = Duration::from_mins(10);

    fn waits(asking: &mut Asking, outcomes: &[Outcome]) -> Vec<u64> {
        outcomes.iter().map(|outcome| asking.handle_round(*outcome, REGULAR).as_secs()).collect()
    }

    #[test]
    fn what_nobody_answers_is_asked_again_soon_and_ever_more_seldom() {
        let mut asking = Asking::default();
        assert_eq!(waits(&mut asking, &[Outcome::Unanswered; 8]), [15, 30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(waits(&mut asking, &[Outcome::Unanswered; 100]), [600; 100], "as often as what is answered");
        assert_eq!(waits(&mut asking, &[Outcome::Answered, Outcome::Unanswered]), [600, 15]);
    }

    #[test]
    fn newcomers_who_do_not_answer_are_asked_again_as_soon_as_the_first_were() {
        let mut asking = Asking::default();
        waits(&mut asking, &[Outcome::Unanswered; 8]);
        asking.handle_neighbours();
        assert_eq!(waits(&mut asking, &[Outcome::Unanswered]), [15]);
    }

    #[test]
    fn no_answer_makes_no_question_later_than_it_would_be() {
        let mut asking = Asking::default();
        let waits = [1; 4].map(|_| asking.handle_round(Outcome::Unanswered, Duration::from_secs(40)).as_secs());
        assert_eq!(waits, [15, 30, 40, 40]);
    }
}
