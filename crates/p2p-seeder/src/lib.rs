//! Serves the packages of the catalog to whoever asks, read-only.
//!
//! A package costs one [`Row`] until somebody asks for it: no task, no timer, no file descriptor. The [`CacheScan`] keeps
//! the [`Catalog`] in step with what lies on disk; the [`Seeder`] answers one connection at a time from it, and re-checks
//! the file at every read: a file that changed or vanished is not served from that moment.

mod activity;
mod blocks;
mod buffers;
mod catalog;
mod connection;
mod hash;
mod row;
mod scan;
mod seats;
mod seeder;
mod slots;
mod stamp;
mod swarms;
mod verify;

pub use activity::Activity;
pub use catalog::{Catalog, CatalogTotals};
pub use connection::End;
pub use row::Row;
pub use scan::{CacheScan, Hold, Judge, ScanFault, ScanOptions, ScanProgress, StoreDir, Verdict};
pub use seeder::{Direction, Peer, Seeder, SeederOptions, Vicinity};
pub use slots::Claim;
pub use stamp::FileStamp;
pub use verify::{RowFault, Verification};
