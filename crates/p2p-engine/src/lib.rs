//! Downloads one swarm; the only crate that knows the BitTorrent engine.
