//! What pacman runs for each file: asks the daemon, or downloads by itself.

fn main() {}
