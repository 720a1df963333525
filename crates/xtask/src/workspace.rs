//! What this workspace consists of: its crates as Cargo sees them, and its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Failure, cargo, output};

/// One crate of the workspace.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) description: String,
    /// `src/lib.rs`, else `src/main.rs`.
    pub(crate) root_file: PathBuf,
    /// What it depends on outside its tests, by package name.
    pub(crate) dependencies: BTreeSet<String>,
}

/// The top directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lies in crates/xtask")
}

/// The crates, as `cargo metadata` tells them.
pub(crate) fn crates() -> Result<Vec<Crate>, Failure> {
    let metadata = output(cargo("metadata --no-deps --format-version 1 --offline"))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| Failure::new(error.to_string()))?;
    Ok(elements(&metadata["packages"]).map(read_crate).collect())
}

fn read_crate(package: &Value) -> Crate {
    let is_root = |target: &&Value| elements(&target["kind"]).any(|kind| kind == "lib" || kind == "bin");
    let normal = |dependency: &&Value| dependency["kind"] != "dev";
    Crate {
        name: text(&package["name"]),
        description: text(&package["description"]),
        root_file: elements(&package["targets"])
            .find(is_root)
            .map(|target| text(&target["src_path"]).into())
            .unwrap_or_default(),
        dependencies: elements(&package["dependencies"])
            .filter(normal)
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    }
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// All files below a directory with this extension, as paths relative to the top directory, sorted.
pub(crate) fn files_below(directory: &str, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for path in entries(&directory)? {
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path.strip_prefix(root()).expect("it lies below the top directory").to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What a directory holds, sorted.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs_err::read_dir(directory).map_err(|error| Failure::new(error.to_string()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// A file's text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs_err::read_to_string(root().join(path)).map_err(|error| Failure::new(error.to_string()))
}
