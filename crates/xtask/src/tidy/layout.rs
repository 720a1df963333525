//! The top level holds only what the design names, and every crate says in one sentence what it is.

use crate::command::Failure;
use crate::workspace::{self, Crate};

const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "config",
    "crates",
    "docs",
    "openrc",
    "packaging",
    "systemd",
    "target",
    "tests",
];

pub(super) fn faults(crates: &[Crate]) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for path in workspace::entries(workspace::root())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') && !TOP.contains(&&*name) {
            faults.push(format!("{name}: the top level has no place for it"));
        }
    }
    let mut pages = String::new();
    for page in ["README.md", "docs/code-structure.md"] {
        match workspace::read(page.as_ref()) {
            Ok(text) => pages.push_str(&text),
            Err(failure) => faults.push(failure.to_string()),
        }
    }
    for member in crates {
        faults.extend(description_faults(member, &pages)?);
    }
    Ok(faults)
}

/// The description in `Cargo.toml`, the first line of the documentation and the line in the documents are the same.
fn description_faults(member: &Crate, pages: &str) -> Result<Vec<String>, Failure> {
    let Crate { name, description, root_file, .. } = member;
    let source = workspace::read(root_file)?;
    let first_line = source.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
    let mut faults = Vec::new();
    if first_line != description {
        faults.push(format!("{}: its first line is not the description in Cargo.toml", root_file.display()));
    }
    if description.is_empty() || !pages.contains(description.as_str()) {
        faults.push(format!("{name}: README.md and docs/code-structure.md lack its description, {description:?}"));
    }
    Ok(faults)
}
