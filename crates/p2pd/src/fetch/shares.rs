//! Which pieces each of several machines asks a mirror for: pure.
//!
//! Machines of one network that download the same package take different pieces from the mirror, and the rest from one another.
//! Pieces that follow one another are a run, so that a mirror is asked for few ranges; whose a run is says rendezvous hashing of
//! package, run and machine, without a vote. Where views differ, a run is fetched twice, or by the one who is next in line.

use std::collections::BTreeSet;

use p2p_package::{Info, Sha256};
use p2p_wire::PieceSet;

/// A package has so many runs at most, and none is shorter than this but the last, in bytes.
const MOST_RUNS: u64 = 64;
const SHORTEST_RUN: u64 = 1024 * 1024;

/// What our neighbours know a machine by.
pub(crate) type Machine = [u8; 20];

/// How much of what is missing a mirror is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Share {
    /// The pieces that are ours to ask for.
    #[default]
    Own,
    /// Also those for which we are the next in line.
    Deputy,
    /// Whatever is missing.
    Everything,
}

impl Share {
    /// The next larger share of one who is in the company of so many others.
    pub(crate) fn next(self, others: usize) -> Self {
        match self {
            Self::Own if others > 1 => Self::Deputy,
            Self::Own | Self::Deputy | Self::Everything => Self::Everything,
        }
    }
}

/// The pieces of `share` that are `ours`, in the company of `others`; none for all.
pub(crate) fn pieces(
    share: Share,
    (id, info): (&Sha256, &Info),
    ours: &Machine,
    others: &BTreeSet<Machine>,
) -> Option<PieceSet> {
    let rank = match share {
        Share::Own => 1,
        Share::Deputy => 2,
        Share::Everything => return None,
    };
    if others.len() < rank {
        return None;
    }
    let count = u32::try_from(info.pieces().len()).expect("a package has fewer than 2^32 pieces");
    let piece = u64::from(info.piece_length().bytes());
    let run = info.length().div_ceil(MOST_RUNS).max(SHORTEST_RUN).div_ceil(piece);
    let mut pieces = PieceSet::none(count);
    for (number, first) in (0..u64::from(count)).step_by(usize::try_from(run).unwrap_or(usize::MAX)).enumerate() {
        let weight = |machine: &Machine| weight(id, number as u64, machine);
        let ours = weight(ours);
        if others.iter().filter(|other| weight(other) > ours).count() < rank {
            (first..first + run)
                .filter_map(|piece| u32::try_from(piece).ok())
                .for_each(|piece| _ = pieces.insert(piece));
        }
    }
    Some(pieces)
}

fn weight(id: &Sha256, run: u64, machine: &Machine) -> Sha256 {
    Sha256::of(&[id.as_bytes().as_slice(), &run.to_be_bytes(), machine].concat())
}

#[cfg(test)]
mod tests {
    use p2p_package::{PieceHash, PieceLength};

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn info(size: u64) -> Info {
        let pieces = PieceLength::canonical(size).expect("a package's size").pieces(size);
        let hashes = (0..pieces).map(|piece| PieceHash::of(&piece.to_be_bytes())).collect();
        Info::canonical("a-1-1-any.pkg.tar".parse().expect("a package's name"), size, hashes)
    }

    /// The share of each of so many machines that know one another.
    fn shares(share: Share, size: u64, machines: u8) -> Vec<Option<PieceSet>> {
        let (id, info) = (Sha256::of(b"a"), info(size));
        let all: BTreeSet<Machine> = (0..machines).map(|machine| [machine; 20]).collect();
        let of = |ours: &Machine| {
            let others = all.iter().copied().filter(|other| other != ours).collect();
            pieces(share, (&id, &info), ours, &others)
        };
        all.iter().map(of).collect()
    }

    fn holders(shares: &[Option<PieceSet>], piece: u32) -> usize {
        shares.iter().filter(|share| share.as_ref().is_none_or(|share| share.contains(piece))).count()
    }

    #[test]
    fn each_piece_is_one_machines_and_in_its_absence_one_others() {
        for (size, machines) in [(5 * MIB, 2), (12_000_000, 3), (60 * MIB + 1, 20), (700 * MIB, 5)] {
            let count = u32::try_from(info(size).pieces().len()).expect("few pieces");
            let (own, deputies) = (shares(Share::Own, size, machines), shares(Share::Deputy, size, machines));
            for piece in 0..count {
                assert_eq!((holders(&own, piece), holders(&deputies, piece)), (1, 2), "{size} {machines} {piece}");
            }
        }
    }

    #[test]
    fn a_large_package_is_shared_evenly_and_in_long_runs() {
        let size = 500 * MIB;
        let count = u32::try_from(info(size).pieces().len()).expect("few pieces");
        for share in shares(Share::Own, size, 4).into_iter().flatten() {
            let own: Vec<u32> = (0..count).filter(|piece| share.contains(*piece)).collect();
            let per_cent = own.len() * 100 / count as usize;
            assert!((10..=45).contains(&per_cent), "{per_cent} of 100");
            let breaks = own.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
            assert!(breaks < 64, "{breaks}");
        }
    }

    #[test]
    fn one_machine_alone_takes_everything_and_the_deputy_of_one_other_too() {
        assert_eq!(shares(Share::Own, 12_000_000, 1), [None]);
        assert_eq!(shares(Share::Deputy, 12_000_000, 2), [None, None]);
        assert_eq!(shares(Share::Everything, 12_000_000, 3), [None, None, None]);
        assert_eq!((Share::Own.next(1), Share::Own.next(2)), (Share::Everything, Share::Deputy));
    }
}
