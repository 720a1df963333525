//! The main-job demonstration: two machines and a mirror on this one's loopback.
//!
//! No configuration, no root, no outside network. Machine one takes a package from the mirror; machine two takes the
//! same package from machine one and from the mirror at once, because the mirror alone is slow by then. Everything lies
//! in temporary directories and ends with the demonstration.

mod act;
mod checks;
mod machine;
mod narrator;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use p2p_tests::{Binaries, Mirror, Package, PackageSpec, Payload, Repository};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::command::{Failure, cargo, run as run_command};
use checks::Checks;
use machine::Machine;

const REPOSITORY: &str = "core";
/// What this program is told when it is to play, and not to build.
const PLAY: &str = "--play";
/// The large package: some hundred pieces, some seconds.
const LARGE: u64 = 24_000_000;
/// What the mirror gives once it is slow, and what machine one gives to others, in bytes a second.
const SLOW: u64 = 4_000_000;

/// Shows the main job; fails where anything was not as it should be.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => {}
        [only] if only == PLAY => return play(&target_directory()?.join("release")),
        [argument, ..] => {
            return Err(Failure::new(format!("the demonstration takes no arguments; this is one: {argument}")));
        }
    }
    narrator::title("Building the daemon and its clients");
    run_command(cargo("build --release --package p2pd --package p2pctl --package pacman2pacman-get"))?;
    play_in_own_directory()
}

/// The same with the programs that the tests are run with, which have been built already.
pub(crate) fn rehearse() -> Result<(), Failure> {
    play(&target_directory()?.join("debug"))
}

/// Plays in another process, which ^C ends: this one stays to clean up.
fn play_in_own_directory() -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("the demonstration cannot begin: {error}"));
    let directory = tempfile::Builder::new().prefix("p2p-demo-").tempdir().map_err(failed)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(failed)?;
    }
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["demo", PLAY]).env("TMPDIR", directory.path());
    run_command(command)
}

fn play(programs: &Path) -> Result<(), Failure> {
    let binaries = Binaries::in_directory(programs);
    let directory = tempfile::tempdir().map_err(|error| Failure::new(format!("no temporary directory: {error}")))?;
    let stage = Stage::new(directory.path(), binaries);
    let mut checks = Checks::default();
    stage.play(&mut checks)?;
    checks.report()
}

/// Where Cargo put the programs: beside the directory that this one lies in.
fn target_directory() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::new(format!("where am I? {error}")))?;
    let target =
        own.ancestors().nth(2).ok_or_else(|| Failure::new("xtask lies outside of Cargo's target directory"))?;
    Ok(target.to_owned())
}

/// What the demonstration is played with.
struct Stage {
    binaries: Binaries,
    repository: Repository,
    mirror: Mirror,
    large: Package,
    small: Package,
}

impl Stage {
    fn new(directory: &Path, binaries: Binaries) -> Self {
        let mut repository = Repository::new(directory, REPOSITORY);
        let large = PackageSpec::new("demo-large").depends("demo-small").payload(Payload::Random(LARGE));
        let large = repository.add(&large);
        let small = repository.add(&PackageSpec::new("demo-small").payload(Payload::Random(300_000)));
        repository.write_database();
        repository.write_torrents(&[]);
        let mirror = Mirror::serve(directory);
        Self { binaries, repository, mirror, large, small }
    }

    fn play(&self, checks: &mut Checks) -> Result<(), Failure> {
        let mut one = Machine::start("machine one", self, "balanced", &[]);
        // By default a neighbour on this very host would do it alone, and the mirror would be spared.
        let mut two = Machine::start("machine two", self, "speed", &[one.daemon().listen()]);
        self.introduce(&one, &two);
        self.take_from_mirror(checks, &mut one);
        self.take_from_both(checks, &mut one, &mut two)?;
        self.install_with_pacman(checks, &two);
        act::show_status(checks, &[&one, &two]);
        Ok(())
    }
}
