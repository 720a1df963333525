//! Wakes the scan when something happens in a directory.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use p2p_package::FileName;

/// Watches directories that may be missing, and may be replaced by others.
pub(super) struct DirectoryWatcher {
    directories: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// The directory, as device and inode, that each watch is on.
    watched: HashMap<PathBuf, (u64, u64)>,
}

impl DirectoryWatcher {
    pub(super) fn new(directories: Vec<PathBuf>, hint: impl Fn() + Send + 'static) -> Self {
        let places = directories.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| matters(&event, &places)) {
                hint();
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "cache directories not watched")).ok();
        Self { directories, watcher, watched: HashMap::new() }
    }

    /// Watches what is not watched yet; false where a directory cannot be.
    pub(super) fn refresh(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else {
            return false;
        };
        let mut all = true;
        for directory in &self.directories {
            let now = fs_err::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
            if now.is_some() && self.watched.get(directory) == now.as_ref() {
                continue;
            }
            if self.watched.remove(directory).is_some() {
                // The kernel has forgotten a watch on a directory that is gone.
                let _ = watcher.unwatch(directory);
            }
            let watch = now.filter(|_| watcher.watch(directory, RecursiveMode::NonRecursive).is_ok());
            all &= watch.is_some();
            self.watched.extend(watch.map(|identity| (directory.clone(), identity)));
        }
        all
    }
}

/// Whether an event may have to do with a package. Our own reading causes events too.
fn matters(event: &Event, directories: &[PathBuf]) -> bool {
    if event.need_rescan() {
        return true;
    }
    let is_reading = match event.kind {
        EventKind::Access(access) => access != AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => false,
    };
    !is_reading && event.paths.iter().any(|path| is_package(path) || directories.contains(path))
}

fn is_package(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<FileName>().is_ok())
}
