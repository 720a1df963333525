//! What gives a package away: its names in every spelling, and any 64 bytes of its content.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use p2p_tests::{Package, Sent};

/// Bytes of the content that are compared, at every so many bytes of it.
const WINDOW: usize = 32;
/// The part of a window that is looked up.
const KEY: usize = 8;
/// A window with fewer different bytes than this is no mark of one package.
const DISTINCT: usize = 20;

/// The marks of one package.
pub(super) struct Marks<'a> {
    package: &'a Package,
    names: Vec<(&'static str, Vec<u8>)>,
    bytes: Vec<u8>,
    windows: BTreeMap<[u8; KEY], Vec<usize>>,
}

impl<'a> Marks<'a> {
    /// Of its content, only what these others do not have as well.
    pub(super) fn of(package: &'a Package, others: &[&Package]) -> Self {
        let (info_hash, sha256) = (package.info.info_hash(), package.id.sha256);
        let names = vec![
            ("info hash", info_hash.as_bytes().to_vec()),
            ("info hash in hexadecimal", hexadecimal(info_hash.as_bytes()).into_bytes()),
            ("info hash in base 32", base32(info_hash.as_bytes()).into_bytes()),
            ("SHA-256", sha256.as_bytes().to_vec()),
            ("SHA-256 in hexadecimal", hexadecimal(sha256.as_bytes()).into_bytes()),
            ("file name", package.file_name().to_ascii_lowercase().into_bytes()),
            ("name", package.name().as_bytes().to_vec()),
        ];
        let bytes = package.bytes();
        let mut windows = BTreeMap::<_, Vec<usize>>::new();
        for (at, window) in bytes.chunks_exact(WINDOW).enumerate() {
            if window.iter().collect::<BTreeSet<_>>().len() >= DISTINCT {
                let key = window[..KEY].try_into().expect("a window is longer");
                windows.entry(key).or_default().push(at * WINDOW);
            }
        }
        for other in others {
            for window in other.bytes().windows(WINDOW) {
                let key: &[u8; KEY] = window.first_chunk().expect("a window is longer");
                if let Some(places) = windows.get_mut(key) {
                    places.retain(|&at| bytes[at..at + WINDOW] != *window);
                }
            }
        }
        Self { package, names, bytes, windows }
    }

    /// What gives the package away in all this, and where it went.
    pub(super) fn traces(&self, sent: &[&Sent]) -> Vec<String> {
        let mut traces = Vec::new();
        for sent in sent {
            let plain = [&sent.bytes, &percent_decoded(&sent.bytes)].map(|bytes| bytes.to_ascii_lowercase());
            for (what, name) in &self.names {
                let spelled = name.to_ascii_lowercase();
                // Letters of any case; of raw bytes that only makes more of them suspicious.
                if plain.iter().any(|bytes| contains(bytes, &spelled)) {
                    traces.push(format!("the {what} of {} went to {}", self.package.file_name(), sent.to));
                }
            }
            if self.has_content(&sent.bytes) {
                traces.push(format!("content of {} went to {}", self.package.file_name(), sent.to));
            }
        }
        traces
    }

    fn has_content(&self, sent: &[u8]) -> bool {
        sent.windows(WINDOW).any(|window| {
            let key: &[u8; KEY] = window.first_chunk().expect("a window is longer");
            let places = self.windows.get(key).into_iter().flatten();
            places.into_iter().any(|&at| self.bytes[at..at + WINDOW] == *window)
        })
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

/// RFC 4648, as in old magnet links; 20 bytes need no padding.
fn base32(bytes: &[u8; 20]) -> String {
    let bit = |at: usize| usize::from(bytes[at / 8] >> (7 - at % 8) & 1);
    let letter = |group: usize| (0..5).fold(0, |value, at| value * 2 + bit(group * 5 + at));
    (0..32).map(|group| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[letter(group)])).collect()
}

/// The bytes with every `%41` and its like replaced by what it stands for.
fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (Vec::new(), bytes);
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            rest = &after[2..];
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use p2p_tests::PackageSpec;

    #[test]
    fn a_package_is_given_away_by_its_names_however_they_are_spelled_and_by_a_part_of_its_content() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (package, other) = (PackageSpec::new("finch"), PackageSpec::new("wren"));
        let (package, other) = (package.build(directory.path()), other.build(directory.path()));
        let marks = Marks::of(&package, &[&other]);
        let traces = |bytes: &[u8]| {
            let sent = Sent { to: ([203, 0, 113, 1], 80).into(), bytes: bytes.to_vec() };
            marks.traces(&[&sent]).len()
        };
        let hash = package.info.info_hash();
        let escaped = hash.as_bytes().iter().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"));
        let wholly = [package.info.info_hash().as_bytes().as_slice(), b"..."].concat();
        for given_away in [
            wholly.as_slice(),
            escaped.as_bytes(),
            package.magnet(&[]).to_uppercase().as_bytes(),
            package.id.sha256.to_string().as_bytes(),
            b"GET /core/os/x86_64/finch-1-1",
            &package.bytes()[777..777 + 64],
        ] {
            assert_eq!(traces(given_away), 1, "{given_away:?}");
        }
        assert_eq!(traces(&other.bytes()), 0);
        assert_eq!(traces(other.magnet(&[]).as_bytes()), 0);
        assert_eq!(base32(&[0xff; 20]), "7".repeat(32));
    }
}
