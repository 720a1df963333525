//! The daemon: wires packages, swarms, mirrors and clients together.

fn main() {}
