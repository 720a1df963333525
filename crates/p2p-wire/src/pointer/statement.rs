//! The value of a pointer: which database is the newest, and where its packages' metainfo is.

use p2p_package::{Dictionary, MAX_INDEX_BYTES, Sha256, Value, Writer};

use crate::limits::MAX_DATABASE_BYTES;

/// What a publisher says of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// The newest sync database.
    pub database: PublishedFile,
    /// The index of its packages ([`Index`](p2p_package::Index)).
    pub index: PublishedFile,
}

/// A file by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile {
    /// The SHA-256 of the whole file.
    pub sha256: Sha256,
    /// Its length in bytes, at least one.
    pub length: u64,
}

impl Statement {
    /// The only text for this statement.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            self.database.write(root.bytes("database"));
            self.index.write(root.bytes("index"));
        });
        writer.finish()
    }

    /// Reads a value; keys of later versions are passed over.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let value = Value::read(value).ok()?;
        let root = value.as_dictionary()?;
        let database = PublishedFile::read(root.get("database")?.as_dictionary()?, MAX_DATABASE_BYTES)?;
        let index = PublishedFile::read(root.get("index")?.as_dictionary()?, MAX_INDEX_BYTES)?;
        Some(Self { database, index })
    }
}

impl PublishedFile {
    /// The file with these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256::of(bytes), length: bytes.len() as u64 }
    }

    fn write(&self, writer: &mut Writer) {
        writer.dictionary(|file| {
            file.bytes("length").integer(self.length);
            file.bytes("sha256").bytes(self.sha256.as_bytes());
        });
    }

    fn read(file: &Dictionary<'_>, most: u64) -> Option<Self> {
        let length = u64::try_from(file.get("length")?.as_integer()?).ok()?;
        let sha256 = Sha256::try_from(file.get("sha256")?.as_bytes()?).ok()?;
        (1..=most).contains(&length).then_some(Self { sha256, length })
    }
}
