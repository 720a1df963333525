//! What becomes of a request, as far as its fetch has come: pure.

use std::path::Path;
use std::time::Duration;

use p2p_api::{FailureCode, Ready};

use super::wanted::Wanted;
use crate::fetch::{Outcome, Snapshot};

/// So many bytes at the end of an answer are sent only when the file is complete, and verified where that is possible: so
/// pacman never takes a wrong file for a whole one. Few, because a slow mirror's last bytes must not look like a stall.
pub(super) const HELD_BACK: u64 = 4 * 1024;

/// An answer is decided within this time: pacman gives up on a server that says nothing for 10 s.
pub(super) const DECIDE_WITHIN: Duration = Duration::from_secs(4);
/// A file that can be verified is sent before it is complete only when it takes longer than this: until then, a mirror that
/// sends something else costs pacman nothing.
const STREAM_AFTER: Duration = Duration::from_secs(1);

/// What a request wants.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// What vouches for the file.
    pub(super) trust: Trust,
    /// `Range`.
    pub(super) range: Option<String>,
}

/// What vouches for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// A sync database knows the package: nothing else than that is served.
    Database {
        /// Whether others may be asked for it, so that peers may write to the growing file.
        shared: bool,
    },
    /// Nothing but the mirror; `dated` where the answer must say how old the file is.
    Mirror { dated: bool },
}

/// What to do.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    Wait,
    /// The file is complete.
    Serve(Ready),
    /// Send the growing file, if it can be kept free of peers' bytes.
    Stream,
    /// Nothing good comes in time: a mirror may do it.
    Redirect,
    /// No mirror has it.
    Lack,
}

impl Wish {
    /// Decides, when the client has waited for so long. Growing files lie in `store` where they are a package of a sync
    /// database, and nobody has found it to be wrong.
    pub(super) fn decide(&self, snapshot: &Snapshot, waited: Duration, store: &Path) -> Decision {
        let is_late = waited >= DECIDE_WITHIN;
        match &snapshot.outcome {
            Some(Outcome::Ready(ready)) if self.accepts(ready) => Decision::Serve(ready.clone()),
            Some(Outcome::Failed(failed)) if failed.code == FailureCode::NotFound => Decision::Lack,
            Some(_) => Decision::Redirect,
            None if self.can_stream(snapshot, store) && waited >= self.streams_after(snapshot) => Decision::Stream,
            None if is_late => Decision::Redirect,
            None => Decision::Wait,
        }
    }

    /// Whether a complete file may be served.
    pub(super) fn accepts(&self, ready: &Ready) -> bool {
        ready.verified || matches!(self.trust, Trust::Mirror { .. })
    }

    /// When a growing file may be sent: a shared package could have become a swarm, unless nobody knows its pieces.
    fn streams_after(&self, snapshot: &Snapshot) -> Duration {
        match self.trust {
            Trust::Mirror { .. } => Duration::ZERO,
            Trust::Database { shared } if !shared || snapshot.settled => STREAM_AFTER,
            Trust::Database { .. } => DECIDE_WITHIN,
        }
    }

    fn can_stream(&self, snapshot: &Snapshot, store: &Path) -> bool {
        let Some((source, total)) = snapshot.source.as_ref().zip(snapshot.total) else { return false };
        let is_trusted = match self.trust {
            Trust::Database { .. } => source.starts_with(store),
            Trust::Mirror { dated } => !dated || snapshot.modified.is_some(),
        };
        let wanted = Wanted::of(self.range.as_deref(), total).bytes(total);
        let is_worth_it = wanted.end.saturating_sub(wanted.start) > HELD_BACK && snapshot.contiguous > wanted.start;
        is_trusted && is_worth_it && snapshot.mirrors_alone
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use p2p_api::Failed;

    use super::*;

    const STORE: &str = "/store";
    const SHARED: Trust = Trust::Database { shared: true };

    fn growing(contiguous: u64) -> Snapshot {
        let source: Arc<Path> = Path::new("/store/a").into();
        Snapshot { total: Some(100_000), source: Some(source), contiguous, mirrors_alone: true, ..Snapshot::default() }
    }

    fn ended(outcome: Outcome) -> Snapshot {
        Snapshot { outcome: Some(outcome), ..growing(100_000) }
    }

    fn ready(verified: bool) -> Snapshot {
        ended(Outcome::Ready(Ready {
            path: "/store/a".into(),
            size: 100_000,
            modified: None,
            verified,
            from_peers: 0,
            from_mirrors: 0,
            signature: None,
            transaction: None,
        }))
    }

    fn failed(code: FailureCode) -> Snapshot {
        ended(Outcome::Failed(Failed { code, message: String::new(), hint: None }))
    }

    const EARLY: Duration = Duration::ZERO;
    const LATE: Duration = DECIDE_WITHIN;

    fn decide(trust: Trust, range: Option<&str>, snapshot: &Snapshot, waited: Duration) -> String {
        let wish = Wish { trust, range: range.map(str::to_owned) };
        let decision = format!("{:?}", wish.decide(snapshot, waited, Path::new(STORE)));
        decision.split('(').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_complete_file_is_served_if_it_is_the_databases() {
        assert_eq!(decide(SHARED, None, &ready(true), EARLY), "Serve");
        assert_eq!(decide(SHARED, None, &ready(false), EARLY), "Redirect");
        assert_eq!(decide(Trust::Mirror { dated: false }, None, &ready(false), LATE), "Serve");
    }

    #[test]
    fn a_file_that_no_mirror_has_is_lacking_and_other_failures_are_the_mirrors_to_mend() {
        assert_eq!(decide(SHARED, None, &failed(FailureCode::NotFound), EARLY), "Lack");
        assert_eq!(decide(SHARED, None, &failed(FailureCode::Unreachable), EARLY), "Redirect");
        assert_eq!(decide(SHARED, None, &ended(Outcome::Abandoned), EARLY), "Redirect");
    }

    #[test]
    fn a_shared_package_may_become_a_swarm_until_it_is_late_and_is_streamed_then() {
        assert_eq!(decide(SHARED, None, &growing(50_000), EARLY), "Wait");
        assert_eq!(decide(SHARED, None, &growing(50_000), LATE), "Stream");
        let private = Trust::Database { shared: false };
        assert_eq!(decide(private.clone(), None, &growing(1), EARLY), "Wait");
        assert_eq!(decide(private, None, &growing(1), STREAM_AFTER), "Stream");
        let settled = Snapshot { settled: true, ..growing(1) };
        assert_eq!(decide(SHARED, None, &settled, EARLY), "Wait");
        assert_eq!(decide(SHARED, None, &settled, STREAM_AFTER), "Stream");
        assert_eq!(decide(SHARED, None, &growing(0), LATE), "Redirect");
    }

    #[test]
    fn bytes_of_peers_are_never_streamed() {
        let swarm = Snapshot { mirrors_alone: false, ..growing(50_000) };
        assert_eq!(decide(SHARED, None, &swarm, LATE), "Redirect");
        let passing: Arc<Path> = Path::new("/passing/1").into();
        let disputed = Snapshot { source: Some(passing), ..growing(50_000) };
        assert_eq!(decide(SHARED, None, &disputed, LATE), "Redirect");
    }

    #[test]
    fn a_database_is_streamed_only_with_its_date() {
        let database = Trust::Mirror { dated: true };
        assert_eq!(decide(database.clone(), None, &growing(50_000), LATE), "Redirect");
        let dated = Snapshot { modified: Some(1_700_000_000), ..growing(50_000) };
        assert_eq!(decide(database, None, &dated, EARLY), "Stream");
    }

    #[test]
    fn a_range_is_streamed_when_its_first_byte_is_there() {
        let file = Trust::Mirror { dated: false };
        assert_eq!(decide(file.clone(), Some("bytes=49999-"), &growing(50_000), EARLY), "Stream");
        assert_eq!(decide(file.clone(), Some("bytes=50000-"), &growing(50_000), EARLY), "Wait");
        assert_eq!(decide(file.clone(), Some("bytes=0-99"), &growing(50_000), LATE), "Redirect");
        assert_eq!(decide(file, Some("bytes=100000-"), &growing(50_000), LATE), "Redirect");
    }
}
