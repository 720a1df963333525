//! `p2pctl verify`: has packages read again.

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};
use p2p_api::{Names, NamesRequest, PackageFault, VerifyDone, VerifyProgress, VerifyRecord};
use p2p_client::{Client, Heard};
use serde::Serialize;

use crate::catalog::{CatalogError, Outcome, broken_off, complain_of};
use crate::report::{count, plain, say};
use crate::terminal::print;

/// Has packages read from the disk again, and compared with what the sync databases said
///
/// What is not as it should be is not served any more from that moment, and is named. Pacman's cache is never written to.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyOptions {
    /// Packages: names, file names, either after `repository/`, or such with wildcards; all where none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print the result as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What has come of it, for programs.
#[derive(Debug, Default, Serialize)]
struct Verified {
    #[serde(flatten)]
    done: VerifyDone,
    faults: Vec<PackageFault>,
    unknown: Vec<String>,
}

/// Verifies, and says what is wrong.
pub(crate) fn run(options: &VerifyOptions, client: &Client) -> Result<Outcome, CatalogError> {
    Names::read(&options.names).map_err(CatalogError::Names)?;
    let bar = Bar::new();
    let mut result = Verified::default();
    for heard in client.verify(&NamesRequest { names: options.names.clone() }).map_err(CatalogError::Client)? {
        match heard.map_err(CatalogError::Client)? {
            Heard::Nothing => {}
            Heard::Record(VerifyRecord::Progress(progress)) => bar.show(&progress),
            Heard::Record(VerifyRecord::Unknown(unknown)) => {
                bar.suspend(|| complain_of(&unknown.name));
                result.unknown.push(unknown.name);
            }
            Heard::Record(VerifyRecord::Fault(fault)) => {
                bar.suspend(|| say(&format!("p2pctl: {}: {}", plain(&fault.path), plain(&fault.message))));
                result.faults.push(fault);
            }
            Heard::Record(VerifyRecord::Done(done)) => {
                result.done = done;
                drop(bar);
                return result.tell(options.json);
            }
        }
    }
    Err(broken_off())
}

impl Verified {
    fn tell(&self, as_json: bool) -> Result<Outcome, CatalogError> {
        let text = if as_json { serde_json::to_string(self).expect("string keys only") } else { summary(&self.done) };
        print(&text).map_err(CatalogError::Print)?;
        let is_well = self.faults.is_empty() && self.unknown.is_empty();
        Ok(if is_well { Outcome::Done } else { Outcome::Incomplete })
    }
}

fn summary(done: &VerifyDone) -> String {
    let VerifyDone { packages, good_bytes, wrong, gone, unreadable } = *done;
    let bad = wrong + gone + unreadable;
    let bytes = ByteSize(good_bytes).display().iec();
    if bad == 0 {
        return format!("{} verified, {bytes}", count(packages, "package"));
    }
    let kinds = [(wrong, "wrong"), (gone, "gone"), (unreadable, "unreadable")];
    let kinds = kinds.into_iter().filter(|(number, _)| *number > 0).map(|(number, kind)| format!("{number} {kind}"));
    let good = packages - bad;
    format!("{good} of {} verified, {bytes}; {}", count(packages, "package"), kinds.collect::<Vec<_>>().join(", "))
}

/// Draws on standard error where that is a terminal, and nowhere else; gone when dropped.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let template = "{prefix} packages  {binary_bytes}/{binary_total_bytes}  {eta} left  {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        Self(bar)
    }

    fn show(&self, progress: &VerifyProgress) {
        self.0.set_length(progress.total.max(progress.done));
        self.0.set_prefix(format!("{}/{}", progress.packages_done, progress.packages));
        self.0.set_message(plain(&progress.file_name));
        self.0.set_position(progress.done);
    }

    fn suspend(&self, say: impl FnOnce()) {
        self.0.suspend(say);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_what_is_good_and_what_is_not() {
        let done = VerifyDone { packages: 12, good_bytes: 3 << 20, ..VerifyDone::default() };
        assert_eq!(summary(&done), "12 packages verified, 3.0 MiB");
        let done = VerifyDone { wrong: 1, unreadable: 2, ..done };
        assert_eq!(summary(&done), "9 of 12 packages verified, 3.0 MiB; 1 wrong, 2 unreadable");
    }

    #[test]
    fn a_program_gets_one_object() {
        let result = Verified { unknown: vec!["foo".to_owned()], ..Verified::default() };
        let value = serde_json::to_value(&result).unwrap();
        assert_eq!((&value["unknown"][0], &value["packages"]), (&"foo".into(), &0.into()));
    }
}
