//! Who may fetch through the daemon. Everybody may read the status.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use p2p_api::AccessHealth;

use super::Caller;
use crate::config::Daemon;

/// The users and the group of the configuration, as numbers.
#[derive(Debug, Default)]
pub(crate) struct Access {
    allowed: RwLock<Allowed>,
}

#[derive(Debug, Default)]
struct Allowed {
    users: BTreeSet<u32>,
    group: Option<u32>,
    /// The names, as the configuration has them.
    known: Vec<String>,
    unknown: Vec<String>,
    group_name: String,
}

impl Access {
    /// Takes over a configuration; names that the system does not know are left out.
    pub(crate) fn set(&self, settings: &Daemon) {
        let passwd = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
        let groups = fs_err::read_to_string("/etc/group").unwrap_or_default();
        let mut users: BTreeSet<u32> = settings.fetch_users.iter().filter_map(|user| number(&passwd, user)).collect();
        users.insert(rustix::process::getuid().as_raw());
        let group = number(&groups, &settings.fetch_group);
        let is_known = |user: &String| number(&passwd, user).is_some();
        let (known, unknown) = settings.fetch_users.iter().cloned().partition(is_known);
        let group_name = settings.fetch_group.clone();
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) =
            Allowed { users, group, known, unknown, group_name };
    }

    /// The users and the group, and whether the system knows them.
    pub(crate) fn describe(&self) -> AccessHealth {
        let allowed = self.allowed.read().unwrap_or_else(PoisonError::into_inner);
        AccessHealth {
            users: allowed.known.clone(),
            unknown_users: allowed.unknown.clone(),
            group: allowed.group_name.clone(),
            group_exists: allowed.group.is_some(),
        }
    }

    /// Whether this caller may fetch.
    pub(crate) fn may_fetch(&self, caller: &Caller) -> bool {
        let allowed = self.allowed.read().unwrap_or_else(PoisonError::into_inner);
        let as_user = caller.user.is_some_and(|user| allowed.users.contains(&user));
        as_user || allowed.group.is_some_and(|group| caller.groups.contains(&group))
    }
}

/// The number of a user or group in the format that passwd(5) and group(5) share; a number stands for itself.
fn number(table: &str, name: &str) -> Option<u32> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    let found = name.parse().ok().or_else(|| table.lines().find_map(entry));
    if found.is_none() {
        tracing::debug!(name, "the system has no such user or group");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found() {
        let table = "root:x:0:0:root:/root:/bin/sh\nalpm:x:966:966::/:/bin/false\n";
        assert_eq!(number(table, "alpm"), Some(966));
        assert_eq!(number(table, "1000"), Some(1000));
        assert_eq!(number(table, "alp"), None);
    }

    #[test]
    fn a_caller_may_fetch_by_user_or_by_group() {
        let allowed = Allowed { users: [0, 966].into(), group: Some(50), ..Allowed::default() };
        let access = Access { allowed: RwLock::new(allowed) };
        let caller = |user, groups: &[u32]| Caller { user: Some(user), groups: groups.to_vec() };
        assert!(access.may_fetch(&caller(966, &[966])));
        assert!(access.may_fetch(&caller(1000, &[1000, 50])));
        assert!(!access.may_fetch(&caller(1000, &[1000])));
        assert!(!access.may_fetch(&Caller::default()));
    }
}
