//! Packages that have just been verified, on their way into the catalog.
//!
//! Their pieces are hashed after the hand-over, one package after the other, at low priority: a client waits for the SHA-256,
//! nobody for the SHA-1 of pieces, and on two cores that costs a third of the throughput.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::SystemTime;

use p2p_api::Report;
use p2p_neighbours::Asker;
use p2p_package::{Info, InfoHash, Metainfo};
use p2p_pacman::Known;
use p2p_seeder::{FileStamp, Row};

use super::digests::hash_pieces;
use crate::services::Services;
use crate::sharing::Reach;

/// As the cache scan: what the machine is for goes first.
const NICE: i32 = 15;

/// A verified file, as it was at that moment.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) path: Arc<Path>,
    pub(crate) stamp: FileStamp,
    pub(crate) known: Known,
    /// Whether a client of this machine asked for it.
    pub(crate) asked_for: bool,
    /// Where it was found.
    pub(crate) metainfo: Option<Metainfo>,
}

/// The line in which they wait; dropped, its thread ends.
#[derive(Debug)]
pub(crate) struct Newcomers(Sender<(Arc<Services>, Newcomer)>);

impl Newcomers {
    /// Starts the thread that takes them in.
    pub(crate) fn start() -> io::Result<Self> {
        let (line, waiting) = channel();
        std::thread::Builder::new().name("newcomers".to_owned()).spawn(move || take_in(&waiting))?;
        Ok(Self(line))
    }

    /// Serves the package soon, and says so.
    pub(crate) fn put(&self, services: &Arc<Services>, newcomer: Newcomer) {
        // Without its thread the daemon is ending.
        let _ = self.0.send((Arc::clone(services), newcomer));
    }
}

fn take_in(waiting: &Receiver<(Arc<Services>, Newcomer)>) {
    // On Linux, without an id, this means the calling thread. Root could also raise its priority by this.
    let is_low = rustix::process::getpriority_process(None).is_ok_and(|nice| nice >= NICE);
    if !is_low && let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "newcomers are hashed at normal priority");
    }
    while let Ok((services, newcomer)) = waiting.recv() {
        newcomer.take_in(&services);
    }
}

impl Newcomer {
    fn take_in(self, services: &Services) {
        let id = &self.known.id;
        // The cache scan may have been faster.
        if let Some(row) = services.catalog.by_name(&id.file_name).filter(|row| row.id == *id) {
            return self.announce(services, row.info_hash());
        }
        match hash_pieces(&self.path, id.size, id.file_name.clone()) {
            Ok(Some(info)) => self.enter(services, info),
            Ok(None) => tracing::debug!(package = %id.file_name, "a package changed before it was seeded"),
            Err(error) => {
                let error = Report(&error).to_string();
                tracing::warn!(package = %id.file_name, error, "a package cannot be seeded");
            }
        }
    }

    fn enter(self, services: &Services, info: Info) {
        let Known { id, repository, .. } = self.known.clone();
        let size = id.size;
        services.forgotten.recall(&id.sha256);
        let row = Row::new(id, info, self.path.to_path_buf(), self.stamp, Arc::clone(&repository));
        let row = services.catalog.insert(row);
        // The configuration may have been read again since the fetch began, and before the row was there to be dropped.
        if services.knowledge.last_sharing().reach(&row.id, &repository) == Reach::Nobody {
            return services.catalog.withdraw(&row);
        }
        if self.asked_for {
            services.store.grown_by(size);
        }
        self.announce(services, row.info_hash());
    }

    fn announce(self, services: &Services, info_hash: InfoHash) {
        // The trackers of another torrent of the same file would not know this one.
        let same = self.metainfo.filter(|metainfo| metainfo.info.info_hash() == info_hash);
        let trackers = same.map(|metainfo| metainfo.trackers).unwrap_or_default();
        if self.asked_for {
            services.catalog.touch(&info_hash, SystemTime::now());
        }
        let Known { id, repository, .. } = &self.known;
        let reach = services.knowledge.last_sharing().reach(id, repository);
        if reach > Reach::Nobody {
            let farthest = if reach == Reach::Public { Asker::Remote } else { Asker::Local };
            services.neighbours.tell_arrived(&[id.sha256], farthest);
        }
        if reach == Reach::Public {
            services.offers.make(&services.discovery, info_hash, &trackers);
        }
    }
}
