//! How many neighbours there are, and how many more there may be.

/// Who has fewer looks for others in the DHT.
const ENOUGH: usize = 12;
/// With fewer free places nobody should be called by others.
const ROOM: usize = 8;

/// The neighbours, of all clubs: a connection serves all that both sides are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Company {
    /// How many there are.
    pub(crate) neighbours: usize,
    /// Free places.
    pub(crate) places: usize,
}

/// Whether there are enough of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Supply {
    Alone,
    Some,
    Enough,
}

impl Company {
    /// Nobody is here, and everybody may come.
    pub(super) const NOBODY: Self = Self { neighbours: 0, places: usize::MAX };

    pub(super) fn supply(self) -> Supply {
        match self.neighbours {
            0 => Supply::Alone,
            neighbours if neighbours < ENOUGH => Supply::Some,
            _ => Supply::Enough,
        }
    }

    /// Whether callers would find a place.
    pub(super) fn has_room(self) -> bool {
        self.places >= ROOM
    }
}
