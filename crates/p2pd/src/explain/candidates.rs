//! The packages that a name may mean, as the sync databases, the catalog and the directories know them.

use std::path::PathBuf;
use std::sync::Arc;

use p2p_api::{Held, Listing, Place};
use p2p_package::{FileName, PackageId};
use p2p_seeder::Row;

use super::subject::Subject;
use super::{MOST, seconds};
use crate::knowledge::View;
use crate::services::Services;

/// One of them.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The file's name, or what was asked for.
    pub(super) name: String,
    /// What a database, or the catalog, says it is.
    pub(super) id: Option<PackageId>,
    /// The repository that lists it, or did.
    pub(super) repository: Option<Arc<str>>,
    pub(super) listings: Vec<Listing>,
    pub(super) row: Option<Arc<Row>>,
}

/// All of them, at least one. Reads databases that changed: call it where blocking is allowed.
pub(super) fn candidates(services: &Services, subject: &Subject) -> Vec<Candidate> {
    let mut found = match subject {
        Subject::File { repository, name } => {
            let mut found = listed(services, repository.as_deref(), |view, database| {
                let known = view.databases.lookup_in(database, name);
                known.map(|known| (known.id, name.package_version().to_owned())).into_iter().collect()
            });
            add_rows(&mut found, services.catalog.by_name(name), repository.as_deref());
            found
        }
        Subject::Package { repository, name } => {
            let mut found = listed(services, repository.as_deref(), |view, database| {
                let Some(database) = view.databases.database(database) else { return Vec::new() };
                let named = database.packages().filter(|package| package.name == name);
                named.map(|package| (package.id(), package.version.to_owned())).take(MOST).collect()
            });
            let rows = services.catalog.rows();
            let named = rows.into_iter().filter(|row| row.id.file_name.package_name() == name).take(MOST);
            add_rows(&mut found, named, repository.as_deref());
            found
        }
        Subject::Elsewhere { .. } => Vec::new(),
    };
    if found.is_empty() {
        let name = match subject {
            Subject::File { name, .. } => name.to_string(),
            Subject::Package { name, .. } => name.clone(),
            Subject::Elsewhere { url, .. } => url.clone(),
        };
        found.push(Candidate { name, id: None, repository: None, listings: Vec::new(), row: None });
    }
    found.truncate(MOST);
    found
}

/// What the databases list, in the order of `pacman.conf`; one candidate for each package id.
fn listed(
    services: &Services,
    only: Option<&str>,
    look: impl Fn(&View, &str) -> Vec<(PackageId, String)>,
) -> Vec<Candidate> {
    let view = services.knowledge.view();
    let mut found: Vec<Candidate> = Vec::new();
    let repositories = view.conf.repositories.iter().map(|repository| &repository.name);
    for repository in repositories.filter(|name| only.is_none_or(|only| only == *name)) {
        for (id, version) in look(&view, repository) {
            let (size, sha256) = (id.size, id.sha256.to_string());
            let listing = Listing { repository: repository.clone(), version, size, sha256 };
            match found.iter_mut().find(|candidate| candidate.id.as_ref() == Some(&id)) {
                Some(known) => known.listings.push(listing),
                None => found.push(Candidate {
                    name: id.file_name.to_string(),
                    row: services.catalog.by_sha256(&id.sha256).filter(|row| row.id == id),
                    id: Some(id),
                    repository: Some(repository.as_str().into()),
                    listings: vec![listing],
                }),
            }
        }
    }
    found
}

/// What the catalog has, and no database lists any more.
fn add_rows(found: &mut Vec<Candidate>, rows: impl IntoIterator<Item = Arc<Row>>, only: Option<&str>) {
    for row in rows.into_iter().filter(|row| only.is_none_or(|only| only == &*row.repository)) {
        if found.iter().all(|candidate| candidate.id.as_ref() != Some(&row.id)) {
            found.push(Candidate {
                name: row.id.file_name.to_string(),
                id: Some(row.id.clone()),
                repository: Some(Arc::clone(&row.repository)),
                listings: Vec::new(),
                row: Some(row),
            });
        }
    }
}

/// Where we have it, in the catalog or not. Looks at files: call it where blocking is allowed.
pub(super) fn held(services: &Services, candidate: &Candidate) -> Option<Held> {
    if let Some(row) = &candidate.row {
        let activity = services.swarms.seeder().and_then(|seeder| seeder.activity(&row.info_hash()));
        return Some(Held {
            path: row.path.display().to_string(),
            place: services.place(&row.path),
            added: Some(seconds(row.added)),
            fetched: row.fetched().map(seconds),
            uploaded_bytes: activity.map_or(0, |activity| activity.uploaded_bytes),
        });
    }
    let id = candidate.id.as_ref();
    let name = candidate.name.parse::<FileName>().ok()?;
    let cached = services.knowledge.view().conf.cache_dirs.iter().map(|dir| dir.join(name.as_str())).collect();
    let stored = id.filter(|id| !services.fetches.writes(&services.store.path(id, 0)));
    let stored = stored.map(|id| services.store.path(id, 0));
    let is_whole = |path: &PathBuf| {
        let metadata = fs_err::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file);
        metadata.is_some_and(|metadata| id.is_none_or(|id| id.size == metadata.len()))
    };
    let unshared = |path: PathBuf, place| {
        let path = path.display().to_string();
        Held { path, place, added: None, fetched: None, uploaded_bytes: 0 }
    };
    let in_cache = || Vec::into_iter(cached).find(is_whole).map(|path| unshared(path, Place::Cache));
    in_cache().or_else(|| stored.filter(is_whole).map(|path| unshared(path, Place::Store)))
}
