//! The idea of the first generation, in its smallest form: one torrent with a webseed, handed to transmission-daemon.

use std::path::{Path, PathBuf};

use p2p_tests::{Host, PeerSources, Transmission};

/// A transmission-daemon, and the script that pacman runs.
pub(crate) struct OldWay {
    transmission: Transmission,
}

impl OldWay {
    pub(crate) fn start(host: &Host) -> Self {
        Self { transmission: Transmission::start(host, &PeerSources::default()) }
    }

    pub(crate) fn xfer_command(&self) -> String {
        let (script, downloads) = (script(), self.transmission.downloads());
        format!("{} {} {} %u %o", script.display(), self.transmission.remote_address(), downloads.display())
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/old-way.sh")
}
