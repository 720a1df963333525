//! Which of the offers that are due should be announced first.

/// How much an announce is worth, the least first: what is wanted much and had by few, then what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worth {
    score: u8,
    since: u32,
}

/// The highest level: 128 and more.
const MAX_LEVEL: u8 = 8;
/// Nobody has told how many others have it: it counts as if there were one, so that what is known to be ours alone
/// goes first, and what many have goes last.
const UNKNOWN: u32 = 1;

impl Worth {
    /// `demand`: how often peers asked lately; `others`: who has it beside us; `since`: when we got it, seconds since 1970.
    pub(super) fn new(demand: u32, others: Option<u32>, since: u32) -> Self {
        let score = level(demand) + MAX_LEVEL - level(others.unwrap_or(UNKNOWN));
        Self { score, since }
    }
}

/// Twice as much is one level more: whether 40 or 50 have it does not matter.
fn level(count: u32) -> u8 {
    let bits = u32::BITS - count.leading_zeros();
    u8::try_from(bits).unwrap_or(MAX_LEVEL).min(MAX_LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_rare_comes_first_and_then_what_is_new() {
        let order = [
            Worth::new(0, Some(5000), 9),
            Worth::new(0, Some(10), 9),
            Worth::new(0, None, 1),
            Worth::new(0, Some(1), 2),
            Worth::new(0, Some(0), 1),
            Worth::new(3, Some(0), 0),
            Worth::new(u32::MAX, Some(0), 0),
        ];
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(Worth::new(0, None, 7), Worth::new(0, Some(1), 7));
    }
}
