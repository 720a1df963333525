//! The configuration file: what was written, checked all at once, and what it means.

mod publishers;
mod reader;
mod replicate;
mod seed;
mod settings;
mod time_of_day;
mod value;

pub(crate) use publishers::Publisher;
pub(crate) use replicate::{Order, Replicate};
pub(crate) use seed::{OldVersions, ScheduleRule, Seed};
pub(crate) use settings::{Daemon, Policy, Scope, Settings};
pub(crate) use time_of_day::TimeOfDay;
