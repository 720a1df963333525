//! The list of a transaction is a hint: where it is short, wrong or missing, pacman gets what it asks for all the same.

use std::process::Command;

use p2p_tests::{DaemonOptions, Package, PackageSpec, Payload, Process, run};

use super::{BOUND, SIZE, Scene, chain};

fn spec(name: &str) -> PackageSpec {
    PackageSpec::new(name).payload(Payload::Random(SIZE))
}

/// The same command, with this text as its standard input.
fn with_input(command: &Command, input: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"input=$1; shift; printf "$input" | "$@""#, "sh", input]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell
}

/// Waits until pacman's first package hangs and all others are at hand, and lets it go on.
#[track_caller]
fn assert_others_come_while_the_first_one_hangs(scene: &Scene, arguments: &[&str], others: &[Package]) -> String {
    let first = scene.packages.iter().find(|package| others.iter().all(|other| other.name() != package.name()));
    let first = first.expect("one of them is the first");
    scene.stall(first);
    let mut command = scene.machine.pacman.command(arguments);
    command.current_dir(scene.machine.pacman.config().parent().expect("it is a file"));
    let mut pacman = Process::start("pacman", command, &scene.log("pacman"));
    pacman.wait_for("all others", BOUND, |_| {
        others.iter().all(|package| scene.served(package) == package.size()).then_some(())
    });
    scene.heal(first);
    pacman.wait(BOUND);
    pacman.log()
}

#[test]
fn a_group_is_fetched_together() {
    let scene = Scene::new(["a", "b", "c", "d"].map(|name| spec(name).group("team")));
    assert_others_come_while_the_first_one_hangs(&scene, &["-S", "team"], &scene.packages[1..]);
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn the_default_provider_is_fetched_with_the_rest() {
    let providers = ["first", "second"].map(|name| spec(name).provides("virtual"));
    let scene = Scene::new(providers.into_iter().chain([spec("user").depends("virtual")]));
    let wanted = [&scene.packages[..1], &scene.packages[2..]].concat();
    scene.machine.pacman.pacman(&["-S", "user"]).succeeded();
    scene.assert_installed(&wanted);
    scene.assert_fetched_once(&scene.packages);
    assert_eq!(scene.served(&scene.packages[1]), 0, "nobody asked for the other provider");
}

#[test]
fn another_provider_than_the_list_says_is_fetched_all_the_same() {
    let providers = ["first", "second"].map(|name| spec(name).provides("virtual"));
    let scene = Scene::new(providers.into_iter().chain([spec("user").depends("virtual")]));
    let command = scene.machine.pacman.command(&["--confirm", "-S", "user"]);
    run(with_input(&command, r"2\ny\n"), BOUND).succeeded();
    scene.assert_installed(&scene.packages[1..]);
    scene.assert_fetched_once(&scene.packages);
    assert!(!scene.machine.pacman.has_installed(&scene.packages[0]));
}

#[test]
fn what_is_ignored_is_not_fetched() {
    let scene = Scene::new(["a", "b", "c", "d"].map(spec));
    let installed = scene.packages.iter().map(|package| (package.name().to_owned(), "0-1".to_owned()));
    scene.machine.pacman.record_installed(installed);
    let arguments = ["-Su", "--ignore", "d"];
    assert_others_come_while_the_first_one_hangs(&scene, &arguments, &scene.packages[1..3]);
    scene.assert_installed(&scene.packages[..3]);
    scene.assert_fetched_once(&scene.packages);
    assert_eq!(scene.served(&scene.packages[3]), 0, "it is ignored");
}

#[test]
fn targets_from_the_standard_input_are_fetched_all_the_same() {
    let scene = Scene::new(["a", "b", "c", "d"].map(spec));
    run(with_input(&scene.machine.pacman.command(&["-S", "-"]), r"a\nb\nc\nd\n"), BOUND).succeeded();
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn relative_paths_of_a_command_line_lead_to_the_same_list() {
    let scene = Scene::new(["a", "b", "c", "d"].map(spec));
    let arguments = ["--config", "pacman.conf", "--dbpath", "./db", "-S", "a", "b", "c", "d"];
    assert_others_come_while_the_first_one_hangs(&scene, &arguments, &scene.packages[1..]);
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn an_upgrade_of_an_unrefreshed_system_is_fetched_together() {
    let scene = Scene::new(["a", "b", "c", "d"].map(spec));
    let installed = scene.packages.iter().map(|package| (package.name().to_owned(), "0-1".to_owned()));
    scene.machine.pacman.record_installed(installed);
    assert_others_come_while_the_first_one_hangs(&scene, &["-Syu"], &scene.packages[1..]);
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn urls_are_fetched_together() {
    let scene = Scene::new(["a", "b", "c"].map(spec));
    let urls: Vec<String> = scene.packages.iter().map(|package| scene.mirror().url(&scene.path(package))).collect();
    let arguments: Vec<&str> = ["-U"].into_iter().chain(urls.iter().map(String::as_str)).collect();
    let shown = assert_others_come_while_the_first_one_hangs(&scene, &arguments, &scene.packages[1..]);
    // pacman 6.0 has them then, and says that it has not; with every XferCommand.
    assert!(shown.contains("no file in the cache"), "{shown}");
    scene.machine.pacman.pacman(&arguments).succeeded();
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
}

#[test]
fn without_a_list_pacman_gets_one_file_after_the_other() {
    let scene = Scene::with(chain(6), 1, |options| DaemonOptions { prefetch: false, ..options });
    scene.machine.pacman.pacman(&["-S", "package-0"]).succeeded();
    scene.assert_installed(&scene.packages);
    scene.assert_fetched_once(&scene.packages);
    let asked: Vec<String> = scene.packages.iter().rev().map(|package| package.file_name().to_owned()).collect();
    assert_eq!(scene.order(), asked);
}
