//! `p2pctl forget`: has packages not served any more.

use bytesize::ByteSize;
use p2p_api::{ForgetDone, ForgetRecord, ForgottenPackage, Names, NamesRequest, Place};
use p2p_client::{Client, Heard};
use serde::Serialize;

use crate::catalog::{CatalogError, Outcome, broken_off, complain_of};
use crate::report::{count, plain};
use crate::terminal::print;

/// Has packages not served any more
///
/// A copy in p2pd's own store is deleted. Pacman's cache is never written to: what lies there stays, and is left alone until it is
/// fetched again, or until `p2pctl rescan --all`. What shall never be shared belongs in `seed.exclude`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForgetOptions {
    /// Packages: names, file names, either after `repository/`, or such with wildcards
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// Print the result as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What has come of it, for programs.
#[derive(Debug, Default, Serialize)]
struct Forgotten {
    #[serde(flatten)]
    done: ForgetDone,
    forgotten: Vec<ForgottenPackage>,
    unknown: Vec<String>,
}

/// Forgets, and says for each package what has become of its file.
pub(crate) fn run(options: &ForgetOptions, client: &Client) -> Result<Outcome, CatalogError> {
    Names::read(&options.names).map_err(CatalogError::Names)?;
    let mut result = Forgotten::default();
    for heard in client.forget(&NamesRequest { names: options.names.clone() }).map_err(CatalogError::Client)? {
        match heard.map_err(CatalogError::Client)? {
            Heard::Nothing => {}
            Heard::Record(ForgetRecord::Unknown(unknown)) => {
                complain_of(&unknown.name);
                result.unknown.push(unknown.name);
            }
            Heard::Record(ForgetRecord::Forgotten(package)) => result.forgotten.push(package),
            Heard::Record(ForgetRecord::Done(done)) => {
                result.done = done;
                let text = if options.json { json(&result) } else { result.text() };
                print(&text).map_err(CatalogError::Print)?;
                return Ok(if result.unknown.is_empty() { Outcome::Done } else { Outcome::Incomplete });
            }
        }
    }
    Err(broken_off())
}

fn json(result: &Forgotten) -> String {
    serde_json::to_string(result).expect("string keys only")
}

impl Forgotten {
    fn text(&self) -> String {
        let lines = self.forgotten.iter().map(|package| {
            let fate = match (package.place, package.removed) {
                (_, true) => "deleted from p2pd's store",
                (Place::Store, false) => "a client is taking it from p2pd's store, which drops it later",
                (Place::Cache, false) => "stays in pacman's cache",
            };
            format!("{}: {fate}", plain(&package.file_name))
        });
        let freed = ByteSize(self.done.freed_bytes).display().iec();
        let last = format!("{} forgotten, {freed} freed", count(self.done.packages, "package"));
        lines.chain([last]).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_an_answer() {
        let package = |name: &str, place, removed| ForgottenPackage {
            file_name: name.to_owned(),
            path: format!("/x/{name}"),
            place,
            removed,
        };
        let forgotten = vec![
            package("a", Place::Cache, false),
            package("b", Place::Store, true),
            package("c", Place::Store, false),
        ];
        let done = ForgetDone { packages: 3, freed_bytes: 1 << 20 };
        let result = Forgotten { done, forgotten, unknown: Vec::new() };
        insta::assert_snapshot!(result.text(), @r"
        a: stays in pacman's cache
        b: deleted from p2pd's store
        c: a client is taking it from p2pd's store, which drops it later
        3 packages forgotten, 1.0 MiB freed
        ");
    }
}
