//! One machine of the demonstration: a system for pacman, and its daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use p2p_tests::{Daemon, DaemonOptions, PacmanRoot, PacmanRootOptions, Ran};

use super::{REPOSITORY, Stage};

const FETCH_WITHIN: Duration = Duration::from_mins(2);

/// A system whose pacman downloads through its daemon.
pub(super) struct Machine {
    pub(super) name: &'static str,
    system: PacmanRoot,
    daemon: Daemon,
}

impl Machine {
    /// Sets the machine up and starts its daemon, which has this `fetch.policy` and knows these other daemons.
    pub(super) fn start(name: &'static str, stage: &Stage, policy: &str, peers: &[SocketAddr]) -> Self {
        let server = stage.mirror.server();
        let mut configuration = PacmanRootOptions::new(&[&stage.repository], &[&server]);
        let system = PacmanRoot::new(&configuration, None);
        let options = DaemonOptions {
            scope: "lan".into(),
            // As without any configuration: it holds beyond the local network.
            upload_limit: "2MiB".into(),
            policy: policy.into(),
            peers: peers.to_vec(),
            repositories: vec![REPOSITORY.into()],
            ..DaemonOptions::new(&system.config())
        };
        let daemon = Daemon::start(&stage.binaries, options);
        configuration.xfer_command = Some(daemon.xfer_command());
        system.configure(&configuration);
        Self { name, system, daemon }
    }

    pub(super) fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    pub(super) fn daemon_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    pub(super) fn system(&self) -> &PacmanRoot {
        &self.system
    }

    /// What `pacman -Sy` does, where there is no pacman: the sync database, through client and daemon.
    pub(super) fn refresh(&self, stage: &Stage) -> Ran {
        let sync = self.system.db_path().join("sync");
        fs_err::create_dir_all(&sync).expect("the system is ours");
        let name = format!("{REPOSITORY}.db");
        self.fetch(&stage.mirror.url(&stage.repository.url_path(&name)), &sync.join(name))
    }

    /// Fetches one file through client and daemon, quietly.
    pub(super) fn fetch(&self, url: &str, out: &std::path::Path) -> Ran {
        self.daemon.client().fetch(url, out, FETCH_WITHIN)
    }

    /// Where a download for the demonstration goes, beside pacman's own cache.
    pub(super) fn download(&self, file_name: &str) -> PathBuf {
        let directory = self.system.db_path().join("downloads");
        fs_err::create_dir_all(&directory).expect("the system is ours");
        directory.join(file_name)
    }
}
