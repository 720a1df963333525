//! The configuration file: what was written, checked all at once, and what it means.

mod reader;
mod settings;
mod value;

pub(crate) use settings::{Daemon, Policy, Scope, Settings};
