//! `p2pctl list`: the packages that are seeded.

mod order;
mod table;

use std::time::SystemTime;

use p2p_api::{Names, Package, PackageRecord, Reach};
use p2p_client::{Client, Heard};

use self::order::SortKey;
use self::table::{Table, totals};
use crate::catalog::{CatalogError, Outcome, broken_off, complain_of};
use crate::terminal::{Colour, print, width};

/// Shows the packages that others can have from this machine
#[derive(Debug, clap::Args)]
pub(crate) struct ListOptions {
    /// Packages: names, file names, either after `repository/`, or such with the wildcards *, ? and [...]
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// By name from A to Z; else what is largest, newest or most comes first
    #[arg(long, value_name = "KEY", value_enum, default_value_t = SortKey::Name)]
    sort: SortKey,
    /// The other way round
    #[arg(long, short = 'r')]
    reverse: bool,
    /// Only packages of this repository; may be given several times
    #[arg(long, value_name = "REPOSITORY")]
    repository: Vec<String>,
    /// Only packages that go no further than the local networks
    #[arg(long)]
    lan: bool,
    /// So many packages at most
    #[arg(long, short = 'n', value_name = "COUNT")]
    limit: Option<usize>,
    /// Print an array of what the daemon says of each package as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Asks for all packages, and prints those that are wanted.
pub(crate) fn run(options: &ListOptions, client: &Client) -> Result<Outcome, CatalogError> {
    let mut names = Names::read(&options.patterns).map_err(CatalogError::Names)?;
    let mut packages = ask(client, |package| {
        // Asked first: a name is known whatever else is wanted.
        names.take(&package.repository, &package.name, &package.file_name) && options.wants(package)
    })?;
    options.sort.sort(&mut packages);
    if options.reverse {
        packages.reverse();
    }
    let all = packages.len();
    packages.truncate(options.limit.unwrap_or(all));
    print(&text(options, &packages, all)).map_err(CatalogError::Print)?;
    let unknown = names.unknown();
    for name in &unknown {
        complain_of(name);
    }
    Ok(if unknown.is_empty() { Outcome::Done } else { Outcome::Incomplete })
}

impl ListOptions {
    fn wants(&self, package: &Package) -> bool {
        let is_of = self.repository.is_empty() || self.repository.contains(&package.repository);
        is_of && (!self.lan || package.reach == Reach::Lan)
    }
}

fn ask(client: &Client, mut is_wanted: impl FnMut(&Package) -> bool) -> Result<Vec<Package>, CatalogError> {
    let mut packages = Vec::new();
    for heard in client.packages().map_err(CatalogError::Client)? {
        match heard.map_err(CatalogError::Client)? {
            Heard::Record(PackageRecord::Package(package)) => {
                if is_wanted(&package) {
                    packages.push(*package);
                }
            }
            Heard::Record(PackageRecord::Done(_)) => return Ok(packages),
            Heard::Nothing => {}
        }
    }
    Err(broken_off())
}

fn text(options: &ListOptions, packages: &[Package], all: usize) -> String {
    if options.json {
        return json(packages);
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let totals = totals(packages, all);
    if packages.is_empty() {
        return totals;
    }
    let table = Table::new(packages, options.sort, width(), now).show(Colour::of_output());
    format!("{table}\n\n{totals}")
}

/// One array, each package on a line of its own.
fn json(packages: &[Package]) -> String {
    let line = |package| serde_json::to_string(package).expect("a package has string keys only");
    let lines: Vec<String> = packages.iter().map(line).collect();
    if lines.is_empty() { "[]".to_owned() } else { format!("[\n{}\n]", lines.join(",\n")) }
}

#[cfg(test)]
mod tests;
