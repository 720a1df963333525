//! Reads what pacman keeps on disk; writes nothing.
//!
//! `pacman.conf` says which repositories, mirrors and directories there are ([`PacmanConf`]), the sync databases say which
//! packages they hold ([`SyncDatabases`]), a URL says what pacman wants ([`Request`]), the cache holds what was downloaded
//! before ([`package_files`]), and the keyring the keys that pacman trusts ([`keyrings`]).

mod cache;
mod conf;
mod databases;
mod keyring;
mod request;
mod signature;
mod sync_db;

pub use cache::package_files;
pub use conf::{ConfError, PacmanConf, Place, Repository};
pub use databases::{DatabaseState, Known, SyncDatabases};
pub use keyring::{Fingerprint, FingerprintError, KeyringFault, keyrings};
pub use request::{Kind, Request, RequestError};
pub use signature::{DetachedSignature, KeyId, SignatureFault};
pub use sync_db::{DatabasePackage, SyncDatabase, SyncDatabaseError};
