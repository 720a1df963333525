//! The checks that are shell scripts below `tests/`, and the shell scripts themselves.

use std::process::Command;

use crate::command::{Failure, output, run};
use crate::workspace;

/// The real programs that the tests work with: installed where root may, else named.
pub(crate) fn parts() -> Result<(), Failure> {
    run(script("tests/install-parts"))
}

/// Reads every script with its shell and with shellcheck.
pub(crate) fn lint() -> Result<(), Failure> {
    let mut bash = Command::new("shellcheck");
    bash.args([".ci/run", "tests/install-parts"]).args(workspace::files_below("tests", "sh")?);
    run(in_workspace(bash))?;

    // OpenRC sets variables that its scripts read, and reads those that they set.
    let mut openrc = Command::new("shellcheck");
    openrc.args(["--shell=sh", "--exclude=SC2034,SC2154", "openrc/p2pd.initd", "openrc/p2pd.confd"]);
    run(in_workspace(openrc))?;

    // makepkg does so too, and ends where a `cd` fails.
    let mut arch = Command::new("shellcheck");
    arch.args(["--shell=bash", "--exclude=SC2034,SC2154,SC2164", "packaging/arch/PKGBUILD"]);
    arch.args(workspace::files_below("packaging/arch", "install")?);
    run(in_workspace(arch))?;

    let plain = ["packaging/arch/pacman2pacman-nudge", "packaging/networkmanager/90-pacman2pacman"];
    for posix in ["openrc/p2pd.initd", "openrc/p2pd.confd"].into_iter().chain(plain) {
        let mut command = Command::new("sh");
        command.args(["-n", posix]);
        run(in_workspace(command))?;
    }
    let mut shellcheck = Command::new("shellcheck");
    shellcheck.args(plain);
    run(in_workspace(shellcheck))
}

/// The daemon must take the configuration that we ship, and refuse a key that it does not know.
pub(crate) fn shipped_config() -> Result<(), Failure> {
    let check = |file: &str| {
        let mut command = Command::new("target/debug/p2pd");
        command.args(["--check-config", "--config", file]);
        output(in_workspace(command))
    };
    check("config/p2pd.toml")?;
    let wrong = "target/p2pd-wrong.toml";
    fs_err::write(workspace::root().join(wrong), "[daemon]\nno_such_key = true\n")
        .map_err(|error| Failure::new(error.to_string()))?;
    match check(wrong) {
        Ok(_) => Err(Failure::new("p2pd --check-config takes a key that does not exist")),
        Err(_) => Ok(()),
    }
}

/// The services as systemd's tools and the real OpenRC see them, and what `NetworkManager` runs.
pub(crate) fn services() -> Result<(), Failure> {
    run(script("tests/services/systemd.sh"))?;
    run(script("tests/services/openrc.sh"))?;
    run(script("tests/services/networkmanager.sh"))
}

/// The Arch package, by the real makepkg and pacman.
pub(crate) fn packaging() -> Result<(), Failure> {
    run(script("tests/packaging/makepkg.sh"))
}

fn script(path: &str) -> Command {
    in_workspace(Command::new(workspace::root().join(path)))
}

fn in_workspace(mut command: Command) -> Command {
    command.current_dir(workspace::root());
    command
}
