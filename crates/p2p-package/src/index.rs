//! The index of a repository: of each package its id and its canonical `info`, in one file that a publisher signs.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bencode::Dictionary;
use crate::{BencodeError, FileName, Info, InfoError, PackageId, PieceLength, Sha256, Value, Writer};

/// The largest index, in bytes: Arch's largest repository needs 8 MB.
pub const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// Packages in one index; Arch's largest repository has 15,000.
pub const MAX_INDEX_PACKAGES: usize = 100_000;
/// Bytes of one entry: a canonical `info` is below 41 KiB, and its name has 247 bytes at most.
pub const MAX_INDEX_ENTRY_BYTES: usize = 48 * 1024;
/// Bytes of the name of a repository, and of an architecture.
const MAX_NAME_BYTES: usize = 255;
/// What the bytes before the first entry are, with the architecture in their middle.
const HEAD: (&[u8], &[u8]) = (b"d12:architecture", b"8:packagesl");

/// One package of an index: its id, and its canonical `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The SHA-256 of the whole file.
    pub sha256: Sha256,
    /// The canonical `info`, which has name and length, too.
    pub info: Info,
}

/// Which packages an index has, and where. The text is not kept: an entry is read again where it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The repository's name.
    pub repository: String,
    /// The architecture, as pacman calls it.
    pub architecture: String,
    places: BTreeMap<Sha256, Range<u32>>,
}

/// Why a text is no index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// More bytes than [`MAX_INDEX_BYTES`], or more packages than [`MAX_INDEX_PACKAGES`].
    #[error("the index is larger than any repository's")]
    Size,
    /// Something beside the entries is not as it has to be.
    #[error("the index does not have the form of one, near byte {0}")]
    Form(usize),
    /// An entry is no bencoding.
    #[error("the entry at byte {0} cannot be read")]
    Bencode(usize, #[source] BencodeError),
    /// An entry's `info` is unfit.
    #[error("the entry at byte {0} has no fit info")]
    Info(usize, #[source] InfoError),
    /// An entry is not the one text that its package has.
    #[error("the entry at byte {0} is not canonical")]
    Canonical(usize),
    /// The names of the files do not ascend.
    #[error("the entry at byte {0} is out of order, or there twice")]
    Order(usize),
}

impl IndexEntry {
    /// The package id that the entry states.
    #[must_use]
    pub fn id(&self) -> PackageId {
        PackageId { file_name: self.info.file_name().clone(), size: self.info.length(), sha256: self.sha256 }
    }

    /// Reads one entry, at a place that [`Index::place`] tells.
    ///
    /// # Errors
    ///
    /// Where the text is not exactly one canonical entry.
    pub fn read(text: &[u8]) -> Result<Self, IndexError> {
        let (entry, length) = read_entry(text, 0)?;
        if length == text.len() { Ok(entry) } else { Err(IndexError::Form(length)) }
    }

    fn write(&self, writer: &mut Writer) {
        writer.dictionary(|entry| {
            entry.bytes("info").encoded(self.info.encoded());
            entry.bytes("sha256").bytes(self.sha256.as_bytes());
        });
    }
}

impl Index {
    /// Writes the index of these packages, by their names.
    ///
    /// # Errors
    ///
    /// [`IndexError::Size`] for more than an index may have; [`IndexError::Canonical`] where an `info` is not canonical.
    pub fn write(
        repository: &str,
        architecture: &str,
        packages: &BTreeMap<FileName, IndexEntry>,
    ) -> Result<Vec<u8>, IndexError> {
        let is_long = [repository, architecture].iter().any(|name| name.len() > MAX_NAME_BYTES);
        if is_long || packages.len() > MAX_INDEX_PACKAGES {
            return Err(IndexError::Size);
        }
        if packages.iter().any(|(name, entry)| name != entry.info.file_name() || !is_canonical(&entry.info)) {
            return Err(IndexError::Canonical(0));
        }
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            root.bytes("architecture").bytes(architecture);
            root.bytes("packages").list(|list| packages.values().for_each(|entry| entry.write(list)));
            root.bytes("repository").bytes(repository);
            root.bytes("version").integer(1);
        });
        let text = writer.finish();
        if text.len() as u64 <= MAX_INDEX_BYTES { Ok(text) } else { Err(IndexError::Size) }
    }

    /// Reads all of an index once, and remembers which package is where.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it has to be.
    pub fn read(text: &[u8]) -> Result<Self, IndexError> {
        let mut places = BTreeMap::new();
        let (repository, architecture) = read_all(text, |entry, at, length| {
            // Of two names for the same bytes the first is as good.
            places.entry(entry.sha256).or_insert(place(at, length));
        })?;
        Ok(Self { repository, architecture, places })
    }

    /// All packages of an index, for who makes the next one of it.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn entries(text: &[u8]) -> Result<Vec<IndexEntry>, IndexError> {
        let mut entries = Vec::new();
        read_all(text, |entry, _, _| entries.push(entry))?;
        Ok(entries)
    }

    /// Where the entry of the package with this SHA-256 is, in bytes of the index.
    #[must_use]
    pub fn place(&self, sha256: &Sha256) -> Option<Range<u64>> {
        self.places.get(sha256).map(|place| place.start.into()..place.end.into())
    }

    /// How many packages it has.
    #[must_use]
    pub fn packages(&self) -> usize {
        self.places.len()
    }
}

fn place(at: usize, length: usize) -> Range<u32> {
    let number = |number: usize| u32::try_from(number).expect("an index has 64 MiB at most");
    number(at)..number(at + length)
}

/// Hands each entry on with its place and length, and returns the names of the repository and the architecture.
fn read_all(text: &[u8], mut take_entry: impl FnMut(IndexEntry, usize, usize)) -> Result<(String, String), IndexError> {
    if text.len() as u64 > MAX_INDEX_BYTES {
        return Err(IndexError::Size);
    }
    let mut at = 0;
    take(text, &mut at, HEAD.0)?;
    let architecture = take_name(text, &mut at)?;
    take(text, &mut at, HEAD.1)?;
    let (mut count, mut last) = (0, None::<FileName>);
    while text.get(at) != Some(&b'e') {
        let (entry, length) = read_entry(&text[at..], at)?;
        let name = entry.info.file_name();
        if last.as_ref().is_some_and(|last| last >= name) {
            return Err(IndexError::Order(at));
        }
        if count == MAX_INDEX_PACKAGES {
            return Err(IndexError::Size);
        }
        (count, last) = (count + 1, Some(name.clone()));
        take_entry(entry, at, length);
        at += length;
    }
    take(text, &mut at, b"e10:repository")?;
    let repository = take_name(text, &mut at)?;
    take(text, &mut at, b"7:versioni1ee")?;
    if at == text.len() { Ok((repository, architecture)) } else { Err(IndexError::Form(at)) }
}

/// The entry at the start of `text`, which is byte `at` of the index, and its length.
fn read_entry(text: &[u8], at: usize) -> Result<(IndexEntry, usize), IndexError> {
    let text = &text[..text.len().min(MAX_INDEX_ENTRY_BYTES)];
    let (value, rest) = Value::read_prefix(text).map_err(|error| IndexError::Bencode(at, error))?;
    let length = text.len() - rest.len();
    let root = value.as_dictionary().ok_or(IndexError::Form(at))?;
    let info = root.get("info").and_then(Value::as_dictionary).map(Dictionary::text).ok_or(IndexError::Form(at))?;
    let info = Info::read(info).map_err(|error| IndexError::Info(at, error))?;
    let sha256 = root.get("sha256").and_then(Value::as_bytes).and_then(|bytes| Sha256::try_from(bytes).ok());
    let entry = IndexEntry { sha256: sha256.ok_or(IndexError::Form(at))?, info };
    let mut writer = Writer::default();
    entry.write(&mut writer);
    // Written again, it shows any other key, or order of keys.
    if is_canonical(&entry.info) && writer.finish() == text[..length] {
        Ok((entry, length))
    } else {
        Err(IndexError::Canonical(at))
    }
}

/// Whether everybody who has the file derives the same `info`.
fn is_canonical(info: &Info) -> bool {
    let is_ours = PieceLength::canonical(info.length()) == Some(info.piece_length());
    is_ours && Info::canonical(info.file_name().clone(), info.length(), info.pieces().to_vec()) == *info
}

fn take(text: &[u8], at: &mut usize, expected: &[u8]) -> Result<(), IndexError> {
    if !text[*at..].starts_with(expected) {
        return Err(IndexError::Form(*at));
    }
    *at += expected.len();
    Ok(())
}

fn take_name(text: &[u8], at: &mut usize) -> Result<String, IndexError> {
    // Bounded, so that it is read but once.
    let rest = &text[*at..text.len().min(*at + MAX_NAME_BYTES + 4)];
    let (value, left) = Value::read_prefix(rest).map_err(|error| IndexError::Bencode(*at, error))?;
    let name =
        value.as_text().filter(|name| (1..=MAX_NAME_BYTES).contains(&name.len())).ok_or(IndexError::Form(*at))?;
    *at += rest.len() - left.len();
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
