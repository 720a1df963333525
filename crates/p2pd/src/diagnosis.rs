//! What can be told of our own health: facts alone. `p2pctl doctor` judges them.

mod calls;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use p2p_api::{
    CallsBack, DatabaseHealth, Diagnosis, DirectoryHealth, LanHearing, PacmanUse, Report, ScanHealth, StateHealth,
};
use p2p_neighbours::Origin;
use p2p_pacman::{PacmanConf, package_files};

use crate::api::Access;
use crate::knowledge::Knowledge;
use crate::services::Services;

/// Neighbours call back once a minute: whoever asks again within this hears the same.
const CALLS_LAST: Duration = Duration::from_mins(1);

/// What is remembered from one diagnosis to the next.
#[derive(Debug, Default)]
pub(crate) struct Diagnoses {
    last_search: Mutex<Option<Instant>>,
    /// Held while neighbours are asked: nobody else asks them meanwhile.
    calls: tokio::sync::Mutex<Option<(Instant, CallsBack)>>,
}

/// Whether neighbours may be asked to dial us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallBack {
    Ask,
    Never,
}

impl Diagnoses {
    /// Another machine's search was heard on the local network.
    pub(crate) fn note_search(&self, now: Instant) {
        *self.last_search.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn last_search(&self) -> Option<Instant> {
        *self.last_search.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn calls(&self, services: &Services) -> CallsBack {
        let mut last = self.calls.lock().await;
        if let Some((_, calls)) = last.filter(|(at, calls)| at.elapsed() < CALLS_LAST && has_answers(calls)) {
            return calls;
        }
        let calls = calls::ask(services).await;
        *last = Some((Instant::now(), calls));
        calls
    }
}

fn has_answers(calls: &CallsBack) -> bool {
    [calls.remote, calls.local].iter().any(|calls| calls.reached + calls.failed > 0)
}

/// Everything that can be told; takes 7 s at most where neighbours are asked.
pub(crate) async fn diagnose(services: &Arc<Services>, access: &Access, call_back: CallBack) -> Diagnosis {
    let looking = Arc::clone(services);
    let looked = tokio::task::spawn_blocking(move || {
        let (databases, pacman) = (databases(&looking), pacman(&looking));
        (databases, pacman, cache(&looking.knowledge), state(&looking))
    });
    let calls = async {
        match call_back {
            CallBack::Ask => services.diagnoses.calls(services).await,
            CallBack::Never => CallsBack::default(),
        }
    };
    let (looked, calls) = tokio::join!(looked, calls);
    let (databases, pacman, cache, state) = looked.expect("looking at files does not panic");
    Diagnosis {
        calls,
        lan: lan(services),
        databases,
        pacman,
        access: access.describe(),
        cache,
        state,
        scan: scan(services),
        port_mapping: services.port_mapping.status(),
    }
}

fn lan(services: &Services) -> LanHearing {
    let found = services.neighbours.list().into_iter().filter(|neighbour| neighbour.origin == Some(Origin::Lan));
    let last_search = services.diagnoses.last_search().map(|at| at.elapsed().as_secs());
    LanHearing { neighbours: found.count() as u64, last_search }
}

fn databases(services: &Services) -> Vec<DatabaseHealth> {
    let sharing = services.knowledge.sharing();
    let view = services.knowledge.view();
    let describe = |state: p2p_pacman::DatabaseState| {
        let path = view.conf.db_path.join("sync").join(format!("{}.db", state.repository));
        let modified = fs_err::metadata(path).and_then(|metadata| metadata.modified()).ok();
        DatabaseHealth {
            shared: sharing.rules().shares(&state.repository),
            repository: state.repository.to_string(),
            packages: state.packages as u64,
            modified: modified.and_then(|time| Some(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())),
            fault: state.fault,
        }
    };
    view.databases.states().into_iter().map(describe).collect()
}

fn pacman(services: &Services) -> PacmanUse {
    let (config, view) = (&services.started_with.pacman.config, services.knowledge.view());
    let names_us = |servers: &[String]| services.knowledge.mirrors_of(servers).len() < servers.len();
    let served = view.conf.repositories.iter();
    let served = served.filter(|repository| names_us(&repository.servers) || names_us(&repository.cache_servers));
    PacmanUse {
        config: config.display().to_string(),
        fault: PacmanConf::load(config).err().map(|error| Report(&error).to_string()),
        xfer_command: view.conf.xfer_command.clone(),
        download_user: view.conf.download_user.clone(),
        served_repositories: served.count() as u64,
    }
}

fn cache(knowledge: &Knowledge) -> Vec<DirectoryHealth> {
    knowledge.view().conf.cache_dirs.iter().map(|path| directory(path)).collect()
}

fn directory(path: &Path) -> DirectoryHealth {
    let (files, fault) = match package_files(path) {
        Ok(files) => (files, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let may_not_read = |path: &Path| rustix::fs::access(path, rustix::fs::Access::READ_OK).is_err();
    let unreadable = files.iter().filter(|(_, path)| may_not_read(path)).count();
    let (packages, unreadable) = (files.len() as u64, unreadable as u64);
    DirectoryHealth { path: path.display().to_string(), packages, unreadable, fault }
}

fn state(services: &Services) -> StateHealth {
    let path = &services.started_with.daemon.state_dir;
    let free_bytes = rustix::fs::statvfs(path).ok().map(|system| system.f_bavail.saturating_mul(system.f_frsize));
    StateHealth {
        path: path.display().to_string(),
        free_bytes,
        store_bytes: services.store.bytes(),
        max_store: services.settings().seed.max_store,
    }
}

fn scan(services: &Services) -> ScanHealth {
    let progress = *services.scan.progress().borrow();
    ScanHealth { waiting: progress.waiting, wrong: progress.mismatched, unreadable: progress.unreadable }
}
