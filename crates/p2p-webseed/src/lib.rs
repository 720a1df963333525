//! Speaks to mirrors: whole files, ranges, and a mirror presented as a peer.
