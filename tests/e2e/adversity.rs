//! What goes wrong in the world: the right file or a clear error, never a wrong file, never a hang.

mod daemon;
mod disk;
mod mirrors;
mod peers;
mod torrents;
