//! The arithmetic of `docs/scale.md`, held against simulations of clubs with thousands of daemons: no socket, no clock, and
//! the same random numbers in every run.
//!
//! A number that stands in a table of that document is read from there and compared, so it cannot drift.

mod budget;
mod census;
mod club;
mod document;
mod finding;
mod graph;
mod installed;
mod load;
mod membership;
mod rendezvous;
mod share;
mod upgrade;
