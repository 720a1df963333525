//! Chores: the main-job demonstration, the checks, golden files.

fn main() {}
