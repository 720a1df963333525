//! What happens in the demonstration, one act after the other.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use p2p_tests::{Status, wait_until};

use super::checks::Checks;
use super::machine::Machine;
use super::narrator::{self, megabytes};
use super::{SLOW, Stage};
use crate::command::Failure;

const FETCH_WITHIN: Duration = Duration::from_mins(2);
/// How often progress is told to a log.
const TELL_EVERY: Duration = Duration::from_millis(500);

impl Stage {
    pub(super) fn introduce(&self, one: &Machine, two: &Machine) {
        narrator::title("A mirror and two machines, all on this one");
        let packages = self.repository.packages().iter().map(|package| package.file_name().to_owned());
        narrator::say(&format!("mirror       {}", self.mirror.url("/")));
        narrator::say(&format!("             {}", packages.collect::<Vec<_>>().join(", ")));
        narrator::say(&format!("machine one  p2pd on {}", one.daemon().listen()));
        narrator::say(&format!("machine two  p2pd on {}, and knows machine one", two.daemon().listen()));
    }

    pub(super) fn take_from_mirror(&self, checks: &mut Checks, one: &mut Machine) {
        narrator::title("Machine one downloads: only the mirror has the package");
        one.refresh(self).succeeded();
        let out = one.download(self.large.file_name());
        let ran = one.fetch(&self.mirror.url(&self.repository.url_path(self.large.file_name())), &out);
        ran.succeeded();
        let status = one.daemon_mut().wait_for_status("machine one to seed the package", FETCH_WITHIN, |status| {
            status.number("packages_seeded") > 0
        });
        narrator::say(&format!(
            "{} in {:.1} s, {}",
            self.large.file_name(),
            ran.elapsed.as_secs_f64(),
            sources(&status)
        ));
        narrator::say("and machine one seeds it from now on.");
        checks.check("machine one has the package, byte for byte", self.large.is_at(&out));
        checks.check("machine one took it from the mirror", status.from_mirrors() >= self.large.size());
    }

    pub(super) fn take_from_both(
        &self,
        checks: &mut Checks,
        one: &mut Machine,
        two: &mut Machine,
    ) -> Result<(), Failure> {
        narrator::title("Machine two downloads: from the mirror and from machine one, at once");
        self.mirror.limit(Some(SLOW));
        narrator::say(&format!("the mirror gives {} a second now, machine one what it can", megabytes(SLOW)));
        two.refresh(self).succeeded();
        let (out, before) = (two.download(self.large.file_name()), two.daemon().status());
        let started = Instant::now();
        self.fetch_and_show(two, &out)?;
        let (elapsed, after) = (started.elapsed(), two.daemon().status());
        let peers = after.from_peers() - before.from_peers();
        let mirrors = after.from_mirrors() - before.from_mirrors();
        let alone = Duration::from_millis(self.large.size() * 1000 / SLOW);
        let seconds = (elapsed.as_secs_f64(), alone.as_secs_f64());
        narrator::say(&format!(
            "{} in {:.1} s; from the mirror alone it would be {:.1} s",
            self.large.file_name(),
            seconds.0,
            seconds.1
        ));
        narrator::say(&format!("{} from machine one, {} from the mirror", megabytes(peers), megabytes(mirrors)));
        checks.check("machine two has the package, byte for byte", self.large.is_at(&out));
        checks.check("machine two took some of it from machine one", peers > 0);
        checks.check("machine two took some of it from the mirror", mirrors > 0);
        checks.check("machine one has given it away", one.daemon().status().number("uploaded_bytes") > 0);
        self.mirror.limit(None);
        Ok(())
    }

    /// The client draws its own progress for a person; a log gets a line now and then.
    fn fetch_and_show(&self, two: &Machine, out: &Path) -> Result<(), Failure> {
        let url = self.mirror.url(&self.repository.url_path(self.large.file_name()));
        let mut command = two.daemon().client().command(&url, out);
        if narrator::is_terminal() {
            return crate::command::run(command);
        }
        let failed = |error: std::io::Error| Failure::new(format!("pacman2pacman-get: {error}"));
        let mut child = command.spawn().map_err(failed)?;
        let mut told = Instant::now();
        let before = two.daemon().status();
        wait_until("the client's end", FETCH_WITHIN, || {
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                tell_progress(&before, &two.daemon().status(), self.large.size());
            }
            !matches!(child.try_wait(), Ok(None))
        });
        let status = child.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("pacman2pacman-get ended with {status}"))) }
    }

    pub(super) fn install_with_pacman(&self, checks: &mut Checks, two: &Machine) {
        narrator::title("Machine two installs with the real pacman");
        if let Some(missing) = missing_for_pacman() {
            narrator::say(&format!("left out: there is no {missing} here"));
            return;
        }
        narrator::say(&format!("XferCommand = {}", two.daemon().xfer_command()));
        for arguments in [&["-Sy"][..], &["-S", self.large.name()]] {
            let ran = two.system().pacman(arguments);
            narrator::say(&format!("$ pacman {}", arguments.join(" ")));
            narrator::quote(&ran.output());
            checks.check(format!("pacman {} ended well", arguments.join(" ")), ran.status.success());
        }
        for package in [&self.large, &self.small] {
            let what = format!("pacman has installed {}, and its cache has the same bytes", package.name());
            let cached = two.system().cached(package);
            checks.check(what, two.system().has_installed(package) && package.is_at(&cached));
        }
    }
}

pub(super) fn show_status(checks: &mut Checks, machines: &[&Machine]) {
    for machine in machines {
        narrator::title(&format!("p2pctl status, {}", machine.name));
        let ran = machine.daemon().p2pctl(&["status"]);
        narrator::quote(&ran.output());
        checks.check(format!("p2pctl shows the status of {}", machine.name), ran.status.success());
    }
}

fn tell_progress(before: &Status, now: &Status, size: u64) {
    let peers = now.from_peers() - before.from_peers();
    let mirrors = now.from_mirrors() - before.from_mirrors();
    let percent = ((peers + mirrors) * 100 / size).min(100);
    let shares = format!("machine one {:>8}   mirror {:>8}", megabytes(peers), megabytes(mirrors));
    narrator::say(&format!("{percent:>3} %   {shares}"));
}

fn sources(status: &Status) -> String {
    format!("{} from the mirror, {} from peers", megabytes(status.from_mirrors()), megabytes(status.from_peers()))
}

/// Which program is not there that installing with pacman needs.
fn missing_for_pacman() -> Option<&'static str> {
    let is_there =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success());
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|ran| ran.stdout == b"0\n");
    let needed: &[&str] = if is_root { &["pacman"] } else { &["pacman", "fakeroot"] };
    needed.iter().copied().find(|program| !is_there(program))
}
