//! What a person runs to see and steer the daemon.

fn main() {}
