//! pacman's hook, run by the real pacman: it nudges the daemon, and never stands in the way.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fs_err as fs;
use p2p_tests::{Binaries, Host, Nginx, PackageSpec, run};

use crate::world::{FETCH_WITHIN, Machine, World};

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/arch");
const NUDGE: &str = "usr/share/libalpm/scripts/pacman2pacman-nudge";
/// What a transaction may take with a daemon that hangs: less than a client's patience.
const UNHINDERED: Duration = Duration::from_secs(3);

/// Makes the root directory, into which pacman changes for its hooks, one in which the hook's script can run.
fn furnish(machine: &Machine) {
    let root = machine.pacman.root();
    for directory in ["dev", "usr/bin", "run/p2pd", "usr/share/libalpm/scripts"] {
        fs::create_dir_all(root.join(directory)).expect("the root is ours");
    }
    fs::os::unix::fs::symlink("usr/bin", root.join("bin")).expect("the root is ours");
    fs::write(root.join("dev/null"), "").expect("the root is ours");
    for (program, name) in [("/bin/sh".into(), "sh"), (Binaries::built().p2pctl(), "p2pctl")] {
        fs::copy(&program, root.join("usr/bin").join(name)).expect("the root is ours");
        let mut command = Command::new("ldd");
        command.arg(&program);
        let listed = run(command, Duration::from_secs(20)).succeeded().stdout.clone();
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = root.join(&library[1..]);
            fs::create_dir_all(copy.parent().expect("a library lies in a directory")).expect("the root is ours");
            fs::copy(library, copy).expect("the root is ours");
        }
    }
    fs::copy(Path::new(PACKAGING).join("pacman2pacman-nudge"), root.join(NUDGE)).expect("the root is ours");
    let hooks = machine.pacman.config().with_file_name("hooks");
    let hook = Path::new(PACKAGING).join("pacman2pacman.hook");
    fs::copy(hook, hooks.join("pacman2pacman.hook")).expect("the root is ours");
    // Where the script looks for it; another name of the same socket.
    fs::hard_link(machine.daemon.socket(), root.join("run/p2pd/p2pd.sock")).expect("one file system");
}

#[test]
fn the_hook_has_the_daemon_look_at_once_and_costs_nothing_without_it() {
    let mut world = World::new();
    let tiny = world.repository.add(&PackageSpec::new("tiny"));
    world.repository.write_database();
    let nginx = Nginx::serve(&Host::loopback(), world.directory.path(), None);
    let mut machine = world.machine(&[nginx.server()]).start();
    furnish(&machine);
    let said = machine.pacman.pacman(&["-S", "tiny"]);
    assert!(said.succeeded().output().contains("Telling Pacman2Pacman what is new"), "{said}");
    machine.wait_seeding(1);
    // In the cache, but in no database: nothing that the daemon watches changes from here on.
    let later = world.repository.add(&PackageSpec::new("later"));
    fs::copy(&later.path, machine.pacman.cached(&later)).expect("the cache is ours");
    machine.daemon.p2pctl(&["rescan"]).succeeded();
    world.repository.write_database();
    machine.pacman.place_database(&world.repository);
    assert_eq!(machine.daemon.status().number("packages_seeded"), 1);
    machine.pacman.pacman(&["-R", "tiny"]).succeeded();
    machine.daemon.wait_for_status("the nudge", FETCH_WITHIN, |status| status.number("packages_seeded") == 2);
    machine.daemon.process().pause();
    let hung = machine.pacman.pacman(&["-S", "tiny"]);
    assert!(hung.succeeded().elapsed < UNHINDERED, "{:?}", hung.elapsed);
    machine.daemon.process().resume();
    assert!(machine.daemon.process().stop().success(), "{}", machine.daemon.log());
    let without = machine.pacman.pacman(&["-R", "tiny"]);
    assert!(!without.succeeded().output().contains("error"), "{without}");
    assert!(!machine.pacman.has_installed(&tiny));
}
