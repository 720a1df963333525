//! What the facts mean: pure.

mod away;
mod found;
mod home;
mod packages;
mod pacman;

use p2p_api::{Diagnosis, Status};

use super::finding::Finding;
use super::local::Local;

/// What is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) status: &'a Status,
    pub(super) diagnosis: &'a Diagnosis,
    pub(super) local: &'a Local,
    /// In seconds since 1970.
    pub(super) now: u64,
}

/// Everything that was looked at, of a daemon that runs.
pub(super) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let (status, diagnosis) = (facts.status, facts.diagnosis);
    let mut findings = vec![home::daemon(status)];
    findings.push(home::socket(&facts.local.socket));
    findings.push(pacman::usage(&diagnosis.pacman, facts.local));
    findings.push(pacman::access(diagnosis, facts.local));
    findings.extend(packages::databases(&diagnosis.databases, facts.now));
    findings.extend(packages::signatures(status));
    findings.push(packages::seeding(status, diagnosis));
    findings.extend(packages::cache(&diagnosis.cache));
    findings.push(home::space(&diagnosis.state));
    findings.push(home::store(&diagnosis.state));
    findings.extend(status.upload.as_ref().map(home::upload));
    findings.push(found::neighbours(status, &diagnosis.calls));
    findings.push(found::lan(&status.discovery, &diagnosis.lan));
    findings.push(found::dht(status));
    findings.push(found::trackers(&status.discovery));
    findings.push(away::port(status, &diagnosis.calls));
    findings.extend(away::router(&diagnosis.port_mapping));
    findings
}

/// What can be said where nobody answers.
pub(super) fn findings_without_daemon(local: &Local) -> Vec<Finding> {
    let mut findings = vec![home::absent(local)];
    findings.extend(home::config(local));
    findings.extend(local.pacman.as_ref().map(pacman::usage_without_daemon));
    findings
}

#[cfg(test)]
mod tests;
