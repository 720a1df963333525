//! Databases, cache, and what is seeded.

use bytesize::ByteSize;
use p2p_api::{DatabaseHealth, Diagnosis, DirectoryHealth, Freshness, Status};

use crate::doctor::finding::Finding;
use crate::report::{age, count};

/// A database that nobody has refreshed for so long, in seconds, knows little of what others have.
const OLD: u64 = 14 * 24 * 3_600;

/// One finding for each database that is not well, or one for all.
pub(super) fn databases(databases: &[DatabaseHealth], now: u64) -> Vec<Finding> {
    if databases.is_empty() {
        return vec![Finding::problem("databases", "pacman.conf names no repository", "pacman.config names the file")];
    }
    let mut findings: Vec<Finding> = databases.iter().filter_map(|database| fault(database, now)).collect();
    if !databases.iter().any(|database| database.shared) {
        let text = "none of pacman's repositories is shared: nothing is given, and nobody is asked";
        findings.push(Finding::warning("databases", text, "seed.repositories names those that are"));
    }
    if findings.is_empty() {
        let ages = databases.iter().filter(|database| database.shared).filter_map(|database| database.modified);
        let oldest = ages.min().map(|modified| age(now.saturating_sub(modified))).unwrap_or_default();
        let number = count(databases.len() as u64, "database");
        findings
            .push(Finding::ok("databases", format!("{number}; of those that are shared, the oldest is {oldest} old")));
    }
    findings
}

fn fault(database: &DatabaseHealth, now: u64) -> Option<Finding> {
    let name = &database.repository;
    if let Some(fault) = &database.fault {
        return Some(Finding::problem("databases", format!("{name}: {fault}"), "`pacman -Syy` brings it anew"));
    }
    let Some(modified) = database.modified else {
        return Some(Finding::problem("databases", format!("{name}: there is none"), "`pacman -Sy` brings it"));
    };
    let seconds = now.saturating_sub(modified);
    (database.shared && seconds > OLD).then(|| {
        let text = format!("{name} is {} old: what others have now is not in it", age(seconds));
        Finding::warning("databases", text, "`pacman -Syu`; if mirrors have nothing newer, look at the mirrorlist")
    })
}

/// Whether signatures can be verified, and how fresh they are; nothing where no database was fetched since the daemon was installed.
pub(super) fn signatures(status: &Status) -> Option<Finding> {
    if let Some(fault) = &status.keyring_fault {
        let hint = "until then nothing signed is taken from neighbours; `pacman-key --init`, and GnuPG, may be missing";
        return Some(Finding::warning("signatures", fault, hint));
    }
    let said = |database: &Freshness| match database.signed_age_seconds {
        Some(seconds) => format!("{} signed {} ago", database.repository, age(seconds)),
        None => format!("{} not signed", database.repository),
    };
    let databases = status.databases.as_ref().filter(|databases| !databases.is_empty())?;
    Some(Finding::ok("signatures", databases.iter().map(said).collect::<Vec<_>>().join(", ")))
}

/// One finding for each directory.
pub(super) fn cache(directories: &[DirectoryHealth]) -> Vec<Finding> {
    let look = |directory: &DirectoryHealth| {
        let path = &directory.path;
        if let Some(fault) = &directory.fault {
            let hint = "p2pd's user has to read it; below /home the unit hides it (ProtectHome=read-only)";
            return Finding::problem("cache", format!("{path} can't be read: {fault}"), hint);
        }
        let packages = count(directory.packages, "package");
        if directory.unreadable > 0 {
            let text = format!("p2pd may not read {} of {packages} in {path}", directory.unreadable);
            return Finding::warning("cache", text, "`chmod o+r` them: what can't be read is not shared");
        }
        Finding::ok("cache", format!("{packages} in {path}"))
    };
    directories.iter().map(look).collect()
}

/// What others can have, or why they can have nothing.
pub(super) fn seeding(status: &Status, diagnosis: &Diagnosis) -> Finding {
    let (scan, cached) = (diagnosis.scan, diagnosis.cache.iter().map(|directory| directory.packages).sum::<u64>());
    let waiting = count(scan.waiting, "file");
    if scan.wrong > 0 {
        let text = format!("{} in cache and store are not what the databases say", count(scan.wrong, "file"));
        return Finding::warning("seeding", text, "remove them, and let pacman fetch them again; the log names them");
    }
    if status.packages_seeded > 0 {
        let bytes = ByteSize(status.bytes_seeded).display().iec();
        let text = format!("{}, {bytes}", count(status.packages_seeded, "package"));
        let rest = if scan.waiting > 0 { format!("; {waiting} wait to be hashed") } else { String::new() };
        return Finding::ok("seeding", format!("{text}{rest}"));
    }
    if scan.waiting > 0 {
        return Finding::warning("seeding", format!("nothing yet: {waiting} wait to be hashed"), "look again later");
    }
    if cached == 0 {
        let hint = "packages come with the next upgrade; a hook that empties the cache leaves nothing to give";
        return Finding::warning("seeding", "nothing: there are no packages in pacman's cache", hint);
    }
    let packages = count(cached, "package");
    let text = format!("nothing: none of the {packages} in the cache is listed by a shared repository");
    Finding::warning("seeding", text, "`pacman -Sy`; seed.repositories and seed.exclude say what is shared")
}
