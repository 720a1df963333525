//! Who may see a package, and get it: the one answer that everything which shows or serves something asks for.

use std::sync::Arc;

use glob::{MatchOptions, Pattern};
use p2p_package::{FileName, PackageId};
use p2p_pacman::SyncDatabase;

use crate::config::{OldVersions, Seed};

/// How far a package may go; the smaller, the fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// It is not served, announced, answered for or named; it comes from the mirrors of its own repository alone.
    Nobody,
    /// Those on the local networks who ask; nothing is announced.
    Lan,
    /// Everybody.
    Public,
}

/// Why a package goes as far as it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// A shared repository lists it.
    Listed,
    /// None does any more.
    Superseded,
    /// This pattern means it.
    Excluded(String),
    /// Its repository is not shared.
    NotShared,
}

/// What `[seed]` says of sharing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharingRules {
    repositories: Vec<String>,
    exclude: Vec<Pattern>,
    old_versions: OldVersions,
}

/// The rules, and what the sync databases listed when they were looked at: pure, and quick enough to be asked for each
/// package of a full mirror.
#[derive(Debug, Clone)]
pub(crate) struct Sharing {
    rules: Arc<SharingRules>,
    /// Of repositories that are shared, in the order of `pacman.conf`.
    lists: Vec<List>,
}

/// What one repository lists.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) repository: Arc<str>,
    pub(crate) database: Arc<SyncDatabase>,
}

impl SharingRules {
    pub(crate) fn new(seed: &Seed) -> Self {
        let Seed { repositories, exclude, old_versions, .. } = seed;
        Self { repositories: repositories.clone(), exclude: exclude.clone(), old_versions: *old_versions }
    }

    /// Whether anything of this repository may be shared, its database to begin with.
    pub(crate) fn shares(&self, repository: &str) -> bool {
        self.repositories.iter().any(|shared| shared == repository)
    }

    /// Whether a pattern of `seed.exclude` means this package: one without a slash means its name, whatever its repository.
    fn excludes(&self, file_name: &FileName, repository: &str) -> bool {
        self.excluding(file_name, repository).is_some()
    }

    fn excluding(&self, file_name: &FileName, repository: &str) -> Option<&Pattern> {
        let name = file_name.package_name();
        let in_repository = format!("{repository}/{name}");
        // Literal, so that "*" alone does not reach over the slash.
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        self.exclude.iter().find(|pattern| {
            let text = if pattern.as_str().contains('/') { &in_repository } else { name };
            pattern.matches_with(text, options)
        })
    }
}

impl Sharing {
    /// The rules applied to what the databases list; those of other repositories are left out.
    pub(crate) fn new(rules: Arc<SharingRules>, lists: impl IntoIterator<Item = List>) -> Self {
        let lists = lists.into_iter().filter(|list| rules.shares(&list.repository)).collect();
        Self { rules, lists }
    }

    /// The rules.
    pub(crate) fn rules(&self) -> &Arc<SharingRules> {
        &self.rules
    }

    /// Whether both would answer the same to everything.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&List, &List)| {
            one.repository == other.repository && Arc::ptr_eq(&one.database, &other.database)
        };
        Arc::ptr_eq(&self.rules, &other.rules)
            && self.lists.len() == other.lists.len()
            && self.lists.iter().zip(&other.lists).all(same)
    }

    /// How far the package may go that was verified as one of `repository`.
    ///
    /// What a shared repository lists now is public. What none lists any more tells who is unpatched: it goes as far as
    /// `seed.old_versions` says. An exclusion by any repository that lists the package holds for it everywhere.
    pub(crate) fn reach(&self, id: &PackageId, repository: &str) -> Reach {
        if !self.rules.shares(repository) || self.rules.excludes(&id.file_name, repository) {
            return Reach::Nobody;
        }
        let mut listed = self.lists.iter().filter(|list| list.has(id)).peekable();
        let is_old = listed.peek().is_none();
        if listed.any(|list| self.rules.excludes(&id.file_name, &list.repository)) {
            return Reach::Nobody;
        }
        match self.rules.old_versions {
            OldVersions::Lan if is_old => Reach::Lan,
            OldVersions::Lan | OldVersions::Public => Reach::Public,
        }
    }

    /// Why [`Self::reach`] answers as it does, for people.
    pub(crate) fn why(&self, id: &PackageId, repository: &str) -> Why {
        if !self.rules.shares(repository) {
            return Why::NotShared;
        }
        let listed = || self.lists.iter().filter(|list| list.has(id)).map(|list| &*list.repository);
        let excluding =
            std::iter::once(repository).chain(listed()).find_map(|name| self.rules.excluding(&id.file_name, name));
        match excluding {
            Some(pattern) => Why::Excluded(pattern.as_str().to_owned()),
            None if listed().next().is_none() => Why::Superseded,
            None => Why::Listed,
        }
    }

    /// The packages of this name that may be shared, each with its repository.
    pub(crate) fn named(&self, file_name: &FileName) -> impl Iterator<Item = (PackageId, Arc<str>)> {
        let found = self.lists.iter().filter_map(|list| {
            let package = list.database.package(file_name.as_str())?;
            let id = PackageId { file_name: file_name.clone(), size: package.size, sha256: package.sha256 };
            Some((id, Arc::clone(&list.repository)))
        });
        found.filter(|(id, repository)| self.reach(id, repository) != Reach::Nobody)
    }
}

impl List {
    /// Whether it has exactly this package.
    fn has(&self, id: &PackageId) -> bool {
        let package = self.database.package(id.file_name.as_str());
        package.is_some_and(|package| (package.size, package.sha256) == (id.size, id.sha256))
    }
}

#[cfg(test)]
mod tests;
