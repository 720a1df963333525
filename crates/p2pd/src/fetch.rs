//! Getting one file for those who wait for it.
//!
//! [`Fetches`] joins the clients that ask for the same file. A package that a sync database knows is got by
//! [`package`], from mirrors and peers by the decisions of [`plan`]; everything else by [`plain`], from mirrors alone.

mod assembly;
mod check;
mod content;
mod counters;
mod databases;
mod digests;
mod fetches;
mod haste;
mod hedge;
mod metainfo;
mod metainfo_shelf;
mod mirror_book;
mod newcomers;
mod package;
mod passing;
mod peer_book;
mod plain;
mod plan;
mod replicas;
mod shares;
mod snapshot;
mod store;
mod story;
mod stream;
mod tally;
mod turns;
mod wanted;
mod whereabouts;

pub(crate) use counters::Counters;
#[cfg(test)]
pub(crate) use databases::Copy as DatabaseCopy;
pub(crate) use databases::{Databases, Source};
pub(crate) use fetches::{Fetches, TooBusy};
pub(crate) use metainfo::MetainfoMemory;
pub(crate) use metainfo_shelf::{MetainfoShelf, look_ahead};
pub(crate) use mirror_book::MirrorBook;
pub(crate) use newcomers::Newcomers;
pub(crate) use passing::Passing;
pub(crate) use peer_book::PeerBook;
pub(crate) use snapshot::{Outcome, Snapshot};
pub(crate) use store::{Marked, Store};
pub(crate) use story::Stories;
pub(crate) use turns::Turn;
pub(crate) use wanted::Wanted;
pub(crate) use whereabouts::{Whereabouts, Wish, attend as attend_whereabouts, turns, wish};
