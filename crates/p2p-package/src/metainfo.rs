//! A `.torrent` file: an `info` dictionary and, outside it, where to look for peers and mirrors.

use crate::bencode::{BencodeError, Dictionary, Value};
use crate::{Info, InfoError, Writer};

/// The largest `.torrent` that we read, in bytes: 100,000 piece hashes, far beyond what any package needs.
pub const MAX_METAINFO_BYTES: usize = 2 * 1024 * 1024;

/// Trackers that a stranger's `.torrent` may name; the rest is ignored.
const MAX_TRACKERS: usize = 4;
/// Webseeds that a stranger's `.torrent` may name; the rest is ignored.
const MAX_WEBSEEDS: usize = 16;

/// A torrent of one package. Everything but what [`Info`] checks is a stranger's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// What the swarm agrees on.
    pub info: Info,
    /// `announce` and `announce-list` (BEP 12), in order, without repetition.
    pub trackers: Vec<String>,
    /// `url-list` (BEP 19).
    pub webseeds: Vec<String>,
}

/// Why a file is not the torrent of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetainfoError {
    /// Larger than [`MAX_METAINFO_BYTES`].
    #[error("a torrent of {0} bytes is too large for a package")]
    TooLarge(usize),
    /// Not bencoded.
    #[error("the torrent is not bencoded")]
    Bencode(#[source] BencodeError),
    /// No dictionary, or no `info` in it.
    #[error("the torrent has no info dictionary")]
    NoInfo,
    /// `info` is not that of one package.
    #[error("the torrent's info is unfit")]
    Info(#[source] InfoError),
}

impl Metainfo {
    /// Reads a `.torrent` file.
    ///
    /// # Errors
    ///
    /// What makes it unfit to stand for one package.
    pub fn read(text: &[u8]) -> Result<Self, MetainfoError> {
        if text.len() > MAX_METAINFO_BYTES {
            return Err(MetainfoError::TooLarge(text.len()));
        }
        let value = Value::read(text).map_err(MetainfoError::Bencode)?;
        let root = value.as_dictionary().ok_or(MetainfoError::NoInfo)?;
        let info = root.get("info").and_then(Value::as_dictionary).ok_or(MetainfoError::NoInfo)?;
        let info = Info::from_dictionary(info).map_err(MetainfoError::Info)?;
        Ok(Self { info, trackers: trackers(root), webseeds: webseeds(root) })
    }

    /// The `.torrent` file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            if let Some(first) = self.trackers.first() {
                root.bytes("announce").bytes(first);
            }
            if self.trackers.len() > 1 {
                root.bytes("announce-list").list(|tiers| {
                    for tracker in &self.trackers {
                        tiers.list(|tier| {
                            tier.bytes(tracker);
                        });
                    }
                });
            }
            root.bytes("info").encoded(self.info.encoded());
            if !self.webseeds.is_empty() {
                root.bytes("url-list").list(|urls| {
                    for url in &self.webseeds {
                        urls.bytes(url);
                    }
                });
            }
        });
        writer.finish()
    }
}

fn trackers(root: &Dictionary<'_>) -> Vec<String> {
    let first = root.get("announce").and_then(Value::as_text);
    let tiers = root.get("announce-list").and_then(Value::as_list).unwrap_or_default();
    let others = tiers.iter().filter_map(Value::as_list).flatten().filter_map(Value::as_text);
    let mut trackers = Vec::new();
    for tracker in first.into_iter().chain(others) {
        if trackers.len() < MAX_TRACKERS && !trackers.iter().any(|known| known == tracker) {
            trackers.push(tracker.to_owned());
        }
    }
    trackers
}

fn webseeds(root: &Dictionary<'_>) -> Vec<String> {
    let Some(urls) = root.get("url-list") else {
        return Vec::new();
    };
    let one = urls.as_text().into_iter();
    let many = urls.as_list().unwrap_or_default().iter().filter_map(Value::as_text);
    one.chain(many).filter(|url| !url.is_empty()).take(MAX_WEBSEEDS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
