//! Addresses of neighbours, kept for the next run: with them no DNS, no tracker and no DHT is needed to come back.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use fs_err as fs;

/// The first line; another number means another format. Then come one address a line, and "end".
const HEAD: &str = "p2pd neighbours 1";

/// Addresses kept at most.
const MAX_ADDRESSES: usize = 200;

/// Bytes read: more than is ever written. The longest address is an IPv6 one with scope and port, of 64 bytes.
const MAX_BYTES: u64 = 64 * (MAX_ADDRESSES as u64 + 2);

/// Where they are kept. Clones share.
#[derive(Debug, Clone)]
pub struct RememberedFile {
    path: PathBuf,
    /// Held by who writes, one after the other.
    writing: Arc<Mutex<()>>,
}

/// Why nothing is known of the last run. It costs the addresses and nothing else: the next save makes it good.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// It is there, but the disk or its permissions are in the way.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    /// It is not what we write.
    #[error("the file is damaged")]
    Damaged(#[source] TextFault),
}

/// Why a text is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Another format, or another file.
    #[error("the first line is not {HEAD:?}")]
    Head,
    /// No address, or one too many.
    #[error("line {0} cannot be read")]
    Line(usize),
    /// Written in part, or too long.
    #[error("the last line is missing")]
    Cut,
}

impl RememberedFile {
    /// The file at `path`, which need not be there; its directory has to.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, writing: Arc::default() }
    }

    /// What the last run kept, 200 addresses at most; no file means none. Blocks.
    ///
    /// # Errors
    ///
    /// The file is there and is of no use.
    pub fn load(&self) -> Result<Vec<SocketAddr>, LoadFault> {
        let file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LoadFault::Unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(LoadFault::Unreadable)?;
        read(&String::from_utf8_lossy(&bytes)).map_err(LoadFault::Damaged)
    }

    /// Replaces what is kept by the first 200 of these, all or nothing. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be written; what was kept before stays.
    pub fn save(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Not for everybody: whom somebody speaks with is nobody else's business.
        p2p_state::replace(&self.path, text(addresses).as_bytes())
    }
}

fn text(addresses: &[SocketAddr]) -> String {
    let mut text = format!("{HEAD}\n");
    let mut addresses = addresses.iter().take(MAX_ADDRESSES);
    addresses.try_for_each(|address| writeln!(text, "{address}")).expect("a string takes all that is written to it");
    text.push_str("end\n");
    text
}

fn read(text: &str) -> Result<Vec<SocketAddr>, TextFault> {
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Err(TextFault::Head);
    }
    let mut addresses = Vec::new();
    for (number, line) in lines.enumerate() {
        if line == "end" {
            return Ok(addresses);
        }
        let address = line.parse().ok().filter(|_| addresses.len() < MAX_ADDRESSES);
        addresses.push(address.ok_or(TextFault::Line(number + 2))?);
    }
    Err(TextFault::Cut)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf, RememberedFile) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("neighbours");
        let file = RememberedFile::new(path.clone());
        (directory, path, file)
    }

    #[test]
    fn what_is_saved_is_loaded_in_its_order_and_no_file_means_nobody() {
        let (_directory, path, file) = file();
        assert_eq!(file.load().expect("no file is no fault"), []);
        let addresses = ["203.0.113.7:6881", "[fe80::1%3]:6881", "192.168.1.2:50000", "[2001:db8::7]:1"]
            .map(|address| address.parse().expect("an address"));
        file.save(&addresses).expect("a writable directory");
        assert_eq!(file.load().expect("just written"), addresses);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).expect("text").lines().last(), Some("end"));
        file.save(&[]).expect("a writable directory");
        assert_eq!(file.load().expect("just written"), []);
        assert!(!path.with_extension("draft").exists());
    }

    #[test]
    fn no_more_is_kept_than_is_read() {
        let (_directory, _path, file) = file();
        let longest: SocketAddr =
            "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535".parse().expect("an address");
        file.save(&vec![longest; 1_000]).expect("a writable directory");
        assert_eq!(file.load().expect("just written"), vec![longest; MAX_ADDRESSES]);
    }

    #[test]
    fn damage_is_told_and_the_next_save_makes_it_good() {
        let (_directory, path, file) = file();
        let too_many = format!("{HEAD}\n{}end\n", "1.1.1.1:1\n".repeat(MAX_ADDRESSES + 1));
        let cases: [(&[u8], TextFault); 6] = [
            (b"", TextFault::Head),
            (b"\xff\xff", TextFault::Head),
            (b"p2pd neighbours 2\nend\n", TextFault::Head),
            (b"p2pd neighbours 1\n1.1.1.1:1\n", TextFault::Cut),
            (b"p2pd neighbours 1\n1.1.1.1:1\n\xff\nend\n", TextFault::Line(3)),
            (too_many.as_bytes(), TextFault::Line(MAX_ADDRESSES + 2)),
        ];
        for (bytes, expected) in cases {
            fs::write(&path, bytes).expect("writable");
            assert!(matches!(file.load(), Err(LoadFault::Damaged(fault)) if fault == expected), "{expected}");
        }
        let one = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        file.save(&[one]).expect("a writable directory");
        assert_eq!(file.load().expect("just written"), [one]);
    }

    #[test]
    fn what_cannot_be_read_or_written_is_told() {
        let (_directory, path, file) = file();
        fs::create_dir(&path).expect("a writable directory");
        assert!(matches!(file.load(), Err(LoadFault::Unreadable(_))));
        file.save(&[]).expect_err("a directory is in the way");
    }
}
