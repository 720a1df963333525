//! Reads what pacman keeps on disk; writes nothing.
