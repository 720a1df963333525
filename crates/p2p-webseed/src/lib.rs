//! Speaks to mirrors: whole files, ranges, and a mirror presented as a peer.
//!
//! [`Mirrors`] is the one HTTP client of the daemon. It asks as curl asks for pacman, believes nothing that a mirror did
//! not say exactly, and turns every disappointment into a [`MirrorFault`], named by what to do about it. What one mirror's
//! faults and speed add up to is [`MirrorHealth`]. A [`VirtualPeer`] dials the BitTorrent engine and seeds a mirror's file
//! to it (BEP 19).

mod answer;
mod conditional;
mod connections;
mod download;
#[cfg(test)]
mod fake_mirror;
mod fault;
mod health;
mod mirror_url;
mod mirrors;
mod pace;
mod piece_check;
mod ranges;
mod resolver;
mod shelf;
mod supply;
mod virtual_peer;

pub use conditional::{Answer, Unmodified, Validators};
pub use download::Download;
pub use fault::MirrorFault;
pub use health::{HealthRecord, MirrorHealth, Verdict, next_mirror};
pub use mirror_url::{UrlFault, mirror_url};
pub use mirrors::{MirrorOptions, Mirrors, MirrorsError};
pub use virtual_peer::{VirtualPeer, VirtualPeerState};
