//! Serves the packages of the catalog to whoever asks, read-only.
//!
//! A package costs one [`Row`] until somebody asks for it: no task, no timer, no file descriptor. The [`CacheScan`] keeps
//! the [`Catalog`] in step with what lies on disk; the [`Seeder`] answers one connection at a time from it, and re-checks
//! the file at every read: a file that changed or vanished is not served from that moment.

mod blocks;
mod catalog;
mod connection;
mod hash;
mod row;
mod scan;
mod seeder;
mod stamp;
mod swarms;

pub use catalog::{Catalog, CatalogTotals};
pub use connection::End;
pub use row::Row;
pub use scan::{CacheScan, Judge, ScanFault, ScanOptions, ScanProgress, Verdict};
pub use seeder::{Direction, Seeder, SeederOptions};
pub use stamp::FileStamp;
