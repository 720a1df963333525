//! Transactions that end before their time: nothing stays behind, and what is there is not fetched again.

use p2p_tests::{Terminal, is_interrupt_ignored, processes_naming};
use rustix::process::Signal;

use super::{BOUND, Scene, chain};

const COUNT: usize = 8;

/// pacman hangs with the first package, and has not been able to get the second one either: nobody else is to finish.
fn stalled(mirrors: usize) -> Scene {
    let scene = Scene::with(chain(COUNT), mirrors, |options| options);
    scene.packages[COUNT - 2..].iter().for_each(|package| scene.stall(package));
    scene
}

fn at_terminal(scene: &Scene) -> Terminal {
    Terminal::start("pacman", &scene.machine.pacman.command(&["-S", "package-0"]), &scene.log("terminal"))
}

/// pacman waits for the stalled packages, and all others are here.
fn is_waiting(scene: &Scene) -> bool {
    let (others, stalled) = scene.packages.split_at(COUNT - 2);
    others.iter().all(|package| scene.served(package) == package.size())
        && stalled.iter().all(|package| scene.hangs(package))
}

/// Heals the mirrors, and lets pacman do it again.
#[track_caller]
fn assert_next_try_fetches_only_the_rest(scene: &Scene) {
    scene.packages.iter().for_each(|package| scene.heal(package));
    let lock = scene.machine.pacman.db_path().join("db.lck");
    if lock.exists() {
        // pacman was killed, and leaves it; a person would do this.
        fs_err::remove_file(lock).expect("it was there");
    }
    scene.machine.pacman.pacman(&["-S", "package-0"]).succeeded();
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages[..COUNT - 2]);
}

#[test]
fn one_interrupt_makes_pacman_go_on_with_its_next_mirror() {
    let mut scene = stalled(2);
    let mut terminal = at_terminal(&scene);
    terminal.wait_for("half of the first package", BOUND, |_| is_waiting(&scene));
    terminal.interrupt();
    let socket = scene.machine.daemon.socket();
    terminal.wait_for("the end of the client", BOUND, |_| processes_naming(&socket).is_empty());
    scene.packages.iter().for_each(|package| scene.heal(package));
    assert!(terminal.wait(BOUND).success(), "{}", terminal.shown());
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages[..COUNT - 2]);
    scene.assert_nothing_is_left();
}

#[test]
fn two_interrupts_end_pacman_and_all_that_it_had_begun() {
    let mut scene = stalled(1);
    let mut terminal = at_terminal(&scene);
    terminal.wait_for("half of the first package", BOUND, |_| is_waiting(&scene));
    terminal.interrupt();
    // pacman waits two seconds after its client's end, and can be interrupted then.
    let socket = scene.machine.daemon.socket();
    let config = scene.machine.pacman.config();
    terminal.wait_for("the end of the client", BOUND, |_| {
        processes_naming(&socket).is_empty() && !is_interrupt_ignored(&config)
    });
    terminal.interrupt();
    assert_eq!(terminal.wait(BOUND).code(), Some(130), "{}", terminal.shown());
    assert!(!scene.machine.pacman.db_path().join("db.lck").exists(), "{}", terminal.shown());
    scene.assert_nothing_is_left();
    assert_next_try_fetches_only_the_rest(&scene);
}

#[test]
fn a_killed_pacman_leaves_nobody_who_fetches_for_it() {
    let mut scene = stalled(1);
    let mut pacman = scene.begin(&["-S", "package-0"]);
    pacman.wait_for("half of the first package", BOUND, |_| is_waiting(&scene).then_some(()));
    pacman.signal(Signal::KILL);
    assert!(!pacman.wait(BOUND).success());
    scene.assert_nothing_is_left();
    assert_next_try_fetches_only_the_rest(&scene);
}
