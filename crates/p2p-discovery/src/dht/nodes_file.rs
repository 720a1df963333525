//! The nodes of our last run, one address a line.

use std::io::{self, Read};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The file's name in the state directory.
const NAME: &str = "dht-nodes";
/// Nodes kept: enough that some still live after a month.
const MAX_NODES: usize = 200;
/// Bytes read; an address with its port takes at most 22.
const MAX_BYTES: u64 = 8192;

/// Where the nodes are kept.
#[derive(Debug, Clone)]
pub(super) struct NodesFile {
    path: PathBuf,
}

impl NodesFile {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(NAME) }
    }

    /// The nodes; lines that are none are left out, and no file means no nodes.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be read.
    pub(super) fn load(&self) -> io::Result<Vec<SocketAddrV4>> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().filter_map(|line| line.parse().ok()).take(MAX_NODES).collect())
    }

    /// Replaces the nodes, all or nothing.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub(super) fn save(&self, nodes: &[SocketAddrV4]) -> io::Result<()> {
        let lines: Vec<String> = nodes.iter().take(MAX_NODES).map(|node| format!("{node}\n")).collect();
        p2p_state::replace(&self.path, lines.concat().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_skipped() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = NodesFile::new(directory.path());
        assert_eq!(file.load().expect("no file is no error"), []);
        let nodes: Vec<SocketAddrV4> = (1..300).map(|port| SocketAddrV4::new([10, 0, 0, 1].into(), port)).collect();
        file.save(&nodes).expect("a writable directory");
        assert_eq!(file.load().expect("just written"), nodes[..MAX_NODES]);
        fs::write(directory.path().join(NAME), b"\xff\n10.0.0.1:80\n10.0.0.1\n[::1]:80").expect("writable");
        assert_eq!(file.load().expect("just written"), nodes[79..80]);
    }
}
