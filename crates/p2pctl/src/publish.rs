//! `p2pctl publish`: signs which database is the newest, and what its packages' metainfo is.

mod collect;
mod hash;
mod summary;

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use p2p_api::{Publication, PublicationAccepted};
use p2p_client::{Client, ClientError};
use p2p_package::{Index, IndexError};
use p2p_pacman::{SyncDatabase, SyncDatabaseError};
use p2p_wire::{MAX_DATABASE_BYTES, Pointer, PublishedFile, Statement, club_id};

use crate::catalog::Outcome;
use crate::publisher_key::{self, KeyError};
use crate::terminal::print;
use collect::Collected;
use summary::Summary;

/// Publishes a repository's newest database and an index of its packages, for those who follow your key
///
/// Reads every package of the database that lies in one of the directories, unless an earlier index has it already. p2pd then tells
/// its neighbours and the DHT, and gives both files to those who ask.
#[derive(Debug, clap::Args)]
pub(crate) struct PublishOptions {
    /// The file with your secret key; `p2pctl publisher-key --new` makes one
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The repository's name, as in pacman.conf
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// The architecture, as pacman calls it
    #[arg(long, value_name = "NAME", default_value = std::env::consts::ARCH)]
    architecture: String,
    /// The database, exactly as pacman downloads it
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
    /// Where the packages are; may be given again
    #[arg(long, value_name = "DIR", required = true)]
    packages: Vec<PathBuf>,
    /// Keeps the index in this file: what it has already is not read again the next time
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Do everything but tell p2pd
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("there is no key to sign with")]
    Key(#[source] KeyError),
    #[error("the database can't be read")]
    Database(#[source] io::Error),
    #[error("{} is larger than any database", .0.display())]
    Large(PathBuf),
    #[error("{} is no database", .0.display())]
    Form(PathBuf, #[source] SyncDatabaseError),
    #[error("an index of it can't be made")]
    Index(#[source] IndexError),
    #[error("the index can't be kept")]
    Keep(#[source] io::Error),
    #[error(transparent)]
    Client(ClientError),
    #[error("the summary can't be printed")]
    Print(#[source] io::Error),
}

/// Publishes, and says what has become of it.
pub(crate) fn run(options: &PublishOptions, client: &Client) -> Result<Outcome, PublishError> {
    let secret = publisher_key::read(&options.key).map_err(PublishError::Key)?;
    let database = read_database(&options.database)?;
    let parsed = SyncDatabase::read(&database[..]);
    let parsed = parsed.map_err(|error| PublishError::Form(options.database.clone(), error))?;
    let collected = Collected::of(&parsed, &options.packages, options.index.as_deref());
    let index = Index::write(&options.repository, &options.architecture, &collected.entries);
    let index = index.map_err(PublishError::Index)?;
    if let Some(path) = &options.index {
        keep(path, &index).map_err(PublishError::Keep)?;
    }
    let statement = Statement { database: PublishedFile::of(&database), index: PublishedFile::of(&index) };
    let club = club_id(&options.repository, &options.architecture);
    let pointer = Pointer::sign(&secret, &club, now(), &statement);
    let publication = publication(options, &pointer);
    let accepted = if options.dry_run { None } else { Some(tell(client, &publication, &database, &index)?) };
    let summary = Summary::new(&publication, &statement, &collected, accepted);
    let text =
        if options.json { serde_json::to_string(&summary).expect("string keys only") } else { summary.to_string() };
    print(&text).map_err(PublishError::Print)?;
    Ok(if collected.faults == 0 { Outcome::Done } else { Outcome::Incomplete })
}

fn tell(
    client: &Client,
    publication: &Publication,
    database: &[u8],
    index: &[u8],
) -> Result<PublicationAccepted, PublishError> {
    client.publish(publication, database, index).map_err(PublishError::Client)
}

fn read_database(path: &Path) -> Result<Vec<u8>, PublishError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(PublishError::Database)?;
    file.take(MAX_DATABASE_BYTES + 1).read_to_end(&mut bytes).map_err(PublishError::Database)?;
    if bytes.len() as u64 > MAX_DATABASE_BYTES { Err(PublishError::Large(path.to_owned())) } else { Ok(bytes) }
}

/// Never leaves half of it.
fn keep(path: &Path, index: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".index-").suffix(".part").tempfile_in(directory)?;
    io::Write::write_all(&mut file, index)?;
    file.persist(path)?;
    Ok(())
}

fn publication(options: &PublishOptions, pointer: &Pointer) -> Publication {
    Publication {
        repository: options.repository.clone(),
        architecture: options.architecture.clone(),
        key: hex(&pointer.key),
        seq: pointer.seq,
        signature: hex(&pointer.signature),
        value: hex(&pointer.value),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
