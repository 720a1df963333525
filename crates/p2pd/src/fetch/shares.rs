//! Which pieces each of several machines asks a mirror for: pure.
//!
//! Machines of one network that download the same package take different pieces from the mirror, and the rest from one another.
//! Pieces that follow one another are a run, so that a mirror is asked for few ranges; whose a run is says rendezvous hashing of
//! package, run and machine, without a vote, and nobody gets more than one more than another: who is done first takes the rest for
//! late. Where views differ, a run is fetched twice, or by the one who is next in line.

use std::collections::{BTreeMap, BTreeSet};

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

/// A package of which several machines each ask mirrors for a part.
#[derive(Debug)]
pub(crate) struct Shares<'package> {
    pub(crate) id: &'package Sha256,
    pub(crate) info: &'package Info,
    pub(crate) ours: &'package Machine,
    pub(crate) others: &'package BTreeSet<Machine>,
}

impl Shares<'_> {
    /// The pieces that are ours; none for all.
    pub(crate) fn pieces(&self, share: Share) -> Option<PieceSet> {
        let Self { id, info, ours, others } = *self;
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
        let machines = others.iter().chain([ours]).collect();
        let mut pieces = PieceSet::none(count);
        for (number, line) in (0_u64..).zip(lines(id, u64::from(count).div_ceil(run), &machines)) {
            if line.iter().take(rank).any(|machine| *machine == ours) {
                (number * run..(number + 1) * run)
                    .filter_map(|piece| u32::try_from(piece).ok())
                    .for_each(|piece| _ = pieces.insert(piece));
            }
        }
        Some(pieces)
    }
}

/// The machines in line for each run: the heaviest first, but whose it is gets no more runs than the others, or one.
fn lines<'machine>(id: &Sha256, runs: u64, machines: &BTreeSet<&'machine Machine>) -> Vec<Vec<&'machine Machine>> {
    let weighed = |run| machines.iter().map(move |machine| (weight(id, run, machine), run, *machine));
    let mut heaviest: Vec<_> = (0..runs).flat_map(weighed).collect();
    heaviest.sort_unstable_by(|one, other| other.cmp(one));
    let (mut owners, mut loads) = (BTreeMap::new(), BTreeMap::new());
    let (each, mut one_more) = (runs / machines.len() as u64, runs % machines.len() as u64);
    for (_, run, machine) in &heaviest {
        let load: &mut u64 = loads.entry(*machine).or_default();
        if !owners.contains_key(run) && *load < each + u64::from(one_more > 0) {
            one_more -= u64::from(*load == each);
            *load += 1;
            owners.insert(*run, *machine);
        }
    }
    heaviest.sort_by_key(|(_, run, machine)| (*run, owners.get(run) != Some(machine)));
    let of_one_run = heaviest.chunk_by(|(_, one, _), (_, other, _)| one == other);
    of_one_run.map(|line| line.iter().map(|(_, _, machine)| *machine).collect()).collect()
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
            let others: BTreeSet<Machine> = all.iter().copied().filter(|other| other != ours).collect();
            Shares { id: &id, info: &info, ours, others: &others }.pieces(share)
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

    /// The runs of each of so many machines, of a package of 500 MiB.
    fn runs(machines: u8) -> Vec<BTreeSet<u32>> {
        let size = 500 * MIB;
        let count = u32::try_from(info(size).pieces().len()).expect("few pieces");
        let run = count.div_ceil(64);
        let of = |share: PieceSet| {
            let runs: BTreeSet<u32> =
                (0..count).filter(|piece| share.contains(*piece)).map(|piece| piece / run).collect();
            let is_whole =
                |number: &u32| (number * run..count.min((number + 1) * run)).all(|piece| share.contains(piece));
            assert!(runs.iter().all(is_whole), "a run is divided");
            runs
        };
        shares(Share::Own, size, machines).into_iter().flatten().map(of).collect()
    }

    #[test]
    fn every_machine_gets_as_many_runs_as_another_or_one_more() {
        for machines in [2, 3, 5, 20, 63] {
            let counts: Vec<usize> = runs(machines).iter().map(BTreeSet::len).collect();
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(most <= least.map(|least| least + 1).as_ref(), "{machines}: {counts:?}");
        }
        let counts: Vec<usize> = runs(100).iter().map(BTreeSet::len).collect();
        assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    }

    #[test]
    fn who_comes_moves_few_runs_of_the_others() {
        for machines in 2..20 {
            let (before, after) = (runs(machines), runs(machines + 1));
            let moved: usize = before.iter().zip(&after).map(|(before, after)| after.difference(before).count()).sum();
            assert!(moved <= 8, "{machines}: {moved} of 64 go from one to another who had been there before");
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
