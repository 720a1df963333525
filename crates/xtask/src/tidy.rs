//! What no compiler checks: the shape of the workspace, and what may not stand in its files.

mod arrows;
mod layout;
mod sources;

use crate::command::Failure;
use crate::workspace;

/// All rules; it names everything that breaks one.
pub(crate) fn check() -> Result<(), Failure> {
    let crates = workspace::crates()?;
    let mut faults = layout::faults(&crates)?;
    faults.extend(arrows::faults(&crates)?);
    faults.extend(sources::faults()?);
    if faults.is_empty() { Ok(()) } else { Err(Failure::new(format!("\n  {}", faults.join("\n  ")))) }
}
