//! A sync database: the trusted map from file name to package id.

mod archive;
mod compression;
mod desc;

use std::fmt;
use std::io::{self, BufRead};

use p2p_package::{FileName, MAX_PACKAGE_BYTES, PackageId, Sha256};

use desc::Desc;

/// The most bytes that a database may have once decompressed; that of Arch's extra has 35 MB, with signatures.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// The most packages of one database; Arch's extra has 14,000.
const MAX_PACKAGES: usize = 200_000;

/// One repository's packages, in memory: about 200 bytes each, and the signature.
#[derive(Clone, Default)]
pub struct SyncDatabase {
    /// In the order of their file names.
    rows: Box<[Row]>,
    /// File names, names, versions and architectures, one after another.
    texts: Box<str>,
    signatures: Box<[u8]>,
    skipped: u64,
}

/// What a sync database says about one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabasePackage<'a> {
    /// `%FILENAME%`; valid as a [`FileName`].
    pub file_name: &'a str,
    /// `%NAME%`
    pub name: &'a str,
    /// `%VERSION%`, with epoch and release.
    pub version: &'a str,
    /// `%ARCH%`
    pub architecture: &'a str,
    /// `%CSIZE%`: the size of the package file in bytes.
    pub size: u64,
    /// `%SHA256SUM%`
    pub sha256: Sha256,
    /// `%BUILDDATE%`: when it was built, in seconds since 1970; 0 where the database does not say it.
    pub built: u64,
    /// `%PGPSIG%`, decoded: the detached signature.
    pub signature: Option<&'a [u8]>,
}

/// Why a file is no sync database.
#[derive(Debug, thiserror::Error)]
pub enum SyncDatabaseError {
    /// The file cannot be read or decompressed, or is not a tar archive.
    #[error("the database cannot be read")]
    Read(#[source] io::Error),
    /// An empty file.
    #[error("the database is empty")]
    Empty,
    /// The archive stops before its end.
    #[error("the database ends early")]
    Truncated,
    /// More than any repository has, most likely on purpose.
    #[error("the database is larger than {MAX_BYTES} bytes, or has more than {MAX_PACKAGES} packages")]
    TooLarge,
    /// The file changed while it was read.
    #[error("the database changed while it was read")]
    Changing,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    sha256: Sha256,
    size: u64,
    /// 32 bits suffice until 2106.
    built: u32,
    file_name: Span,
    name: Span,
    version: Span,
    architecture: Span,
    /// Empty where there is none.
    signature: Span,
}

/// A part of `texts` or `signatures`.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

impl SyncDatabase {
    /// Reads a database as repo-add writes it: a tar archive, plain or compressed by gzip, zstd, xz or bzip2.
    ///
    /// A package without a usable `%FILENAME%`, `%CSIZE%` or `%SHA256SUM%` is skipped and counted: no bytes could be
    /// verified for it. So is a second package of the same file name. What else the database says is ignored.
    ///
    /// # Errors
    ///
    /// What makes the whole file unusable.
    pub fn read(file: impl BufRead) -> Result<Self, SyncDatabaseError> {
        let mut draft = Draft::default();
        archive::for_each_desc(file, |text| draft.take(text))?;
        Ok(draft.finish())
    }

    /// The package of this file name.
    #[must_use]
    pub fn package(&self, file_name: &str) -> Option<DatabasePackage<'_>> {
        let index = self.rows.binary_search_by(|row| self.text(row.file_name).cmp(file_name)).ok()?;
        Some(self.at(index))
    }

    /// All packages in the order of their file names.
    pub fn packages(&self) -> impl ExactSizeIterator<Item = DatabasePackage<'_>> {
        (0..self.rows.len()).map(|index| self.at(index))
    }

    /// How many packages were read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the repository has no package.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many packages were left out because nothing could be verified for them.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(crate) fn at(&self, index: usize) -> DatabasePackage<'_> {
        let row = &self.rows[index];
        let signature = &self.signatures[row.signature.range()];
        DatabasePackage {
            file_name: self.text(row.file_name),
            name: self.text(row.name),
            version: self.text(row.version),
            architecture: self.text(row.architecture),
            size: row.size,
            sha256: row.sha256,
            built: row.built.into(),
            signature: (!signature.is_empty()).then_some(signature),
        }
    }

    fn text(&self, span: Span) -> &str {
        &self.texts[span.range()]
    }
}

impl fmt::Debug for SyncDatabase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SyncDatabase({} packages, {} skipped)", self.rows.len(), self.skipped)
    }
}

impl DatabasePackage<'_> {
    /// The package id.
    #[must_use]
    pub fn id(&self) -> PackageId {
        let file_name = self.file_name.parse().expect("only packages with a valid file name are kept");
        PackageId { file_name, size: self.size, sha256: self.sha256 }
    }
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }
}

#[derive(Default)]
struct Draft {
    rows: Vec<Row>,
    texts: String,
    signatures: Vec<u8>,
    skipped: u64,
}

impl Draft {
    fn take(&mut self, text: &str) -> Result<(), SyncDatabaseError> {
        if self.rows.len() == MAX_PACKAGES {
            return Err(SyncDatabaseError::TooLarge);
        }
        match self.row(&Desc::read(text)) {
            Some(row) => self.rows.push(row),
            None => self.skipped += 1,
        }
        Ok(())
    }

    fn row(&mut self, desc: &Desc<'_>) -> Option<Row> {
        let file_name = desc.file_name?;
        file_name.parse::<FileName>().ok()?;
        let sha256 = desc.sha256?.parse().ok()?;
        let size = desc.size?.parse().ok().filter(|size| (1..=MAX_PACKAGE_BYTES).contains(size))?;
        let start = self.signatures.len();
        self.signatures.extend(desc.signature().unwrap_or_default());
        Some(Row {
            sha256,
            size,
            built: desc.built.and_then(|built| built.parse().ok()).unwrap_or(0),
            file_name: self.keep(file_name),
            name: self.keep(desc.name.unwrap_or_default()),
            version: self.keep(desc.version.unwrap_or_default()),
            architecture: self.keep(desc.architecture.unwrap_or_default()),
            signature: span(start, self.signatures.len()),
        })
    }

    fn keep(&mut self, text: &str) -> Span {
        let start = self.texts.len();
        self.texts.push_str(text);
        span(start, self.texts.len())
    }

    fn finish(mut self) -> SyncDatabase {
        let texts = self.texts.into_boxed_str();
        // A stable sort: of two packages with one file name, the first stays.
        self.rows.sort_by(|one, other| texts[one.file_name.range()].cmp(&texts[other.file_name.range()]));
        let before = self.rows.len();
        self.rows.dedup_by(|one, other| texts[one.file_name.range()] == texts[other.file_name.range()]);
        let skipped = self.skipped + (before - self.rows.len()) as u64;
        let (rows, signatures) = (self.rows.into_boxed_slice(), self.signatures.into_boxed_slice());
        SyncDatabase { rows, texts, signatures, skipped }
    }
}

fn span(start: usize, end: usize) -> Span {
    let number = |bytes| u32::try_from(bytes).expect("the texts of a database are shorter than the database");
    Span { start: number(start), length: number(end - start) }
}

#[cfg(test)]
mod tests;
