//! How things stand when a package's fetch begins.

use std::time::Instant;

use p2p_package::PieceLength;
use p2p_pacman::Known;

use super::{lending, reach};
use crate::fetch::plan::{Brief, Resume, Sharing, Urgency};
use crate::fetch::store::{Leftover, Store};
use crate::fetch::story::{Mirror, Opening, mirror_name};
use crate::fetch::tally::Tally;
use crate::knowledge::Target;
use crate::services::Services;

/// What a plan is told of a package that nobody has begun; `is_urgent` where somebody waits.
pub(super) fn brief(
    services: &Services,
    known: &Known,
    target: &Target,
    (sharing, is_urgent): (Sharing, bool),
) -> Brief {
    let prospect = |mirror| services.mirror_book.prospect(mirror, Instant::now());
    Brief {
        size: known.id.size,
        pieces: PieceLength::canonical(known.id.size).map_or(0, |length| length.pieces(known.id.size)),
        prospects: target.mirrors.iter().map(prospect).collect(),
        sharing,
        policy: services.settings().fetch.policy,
        urgency: if is_urgent { Urgency::Urgent } else { Urgency::Leisurely },
        grace: None,
        neighbours: lending::turn(services),
        resume: Resume::Prefix(0),
    }
}

/// What an earlier run left of the package, as far as it is of use.
pub(super) fn leftover(services: &Services, known: &Known, shared: bool) -> Leftover {
    let leftover = services.store.leftover(&known.id);
    if shared || leftover.resume != Resume::Pieces {
        return leftover;
    }
    // It was shared when its pieces came from a swarm, and is not now.
    Store::discard(&services.store.path(&known.id, 0));
    Leftover { resume: Resume::Prefix(0), metainfo: None }
}

/// The bytes by source, before any has come.
pub(super) fn tally(resume: Resume) -> Tally {
    let mut tally = Tally::default();
    match resume {
        Resume::Prefix(prefix) => tally.begin_anew(prefix),
        Resume::Pieces => tally.resume_pieces(),
    }
    tally
}

/// What the plan was told, and what else people want to know.
pub(super) fn opening(services: &Services, known: &Known, target: &Target, brief: &Brief) -> Opening {
    Opening {
        size: Some(brief.size),
        pieces: brief.pieces,
        reach: Some(reach(services, known, target)),
        policy: brief.policy,
        ..unlisted(services, target)
    }
}

/// The same for a file that no database lists.
pub(in crate::fetch) fn unlisted(services: &Services, target: &Target) -> Opening {
    let now = Instant::now();
    let mirror = |url| Mirror { name: mirror_name(url), rests_for: services.mirror_book.rest(url, now) };
    Opening {
        size: None,
        pieces: 0,
        reach: None,
        policy: services.settings().fetch.policy,
        neighbours: services.neighbours.count(),
        mirrors: target.mirrors.iter().map(mirror).collect(),
    }
}
