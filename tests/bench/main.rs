//! What it costs and how fast it is, as ratios to what one would use otherwise, measured in the same run. Figures, not
//! verdicts: only wrong bytes fail.
//!
//! Small sizes, for CI: `cargo nextest run --package p2p-tests --test bench`. The sizes that count, with an optimised
//! build: `cargo build --release --bins`, then
//! `P2P_BENCH=full cargo nextest run --release --package p2p-tests --test bench`.

mod catalog;
mod clubs;
mod cost;
mod crowd;
mod dead_peers;
mod downloader;
mod figures;
mod neighbours;
mod old_way;
mod sizes;
mod speed;
mod together;
mod transactions;
mod upload;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// Enough to see that it runs.
    Small,
    /// What issue and README speak of.
    Full,
}

impl Size {
    fn chosen() -> Self {
        if std::env::var("P2P_BENCH").is_ok_and(|size| size == "full") { Self::Full } else { Self::Small }
    }

    /// One of two amounts.
    fn of<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }
}
