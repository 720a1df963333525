//! How the daemon comes to know what else a pacman run will ask for.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use p2p_api::{FetchRecord, FetchRequest, Progress, TransactionRequest};

use crate::daemon::{Conversation, ready};
use crate::pacman::{PACKAGES, configure, repository};
use crate::scene::{LONG, NAME, Scene, said, succeeded};

#[test]
fn a_transaction_is_learned_with_its_dependencies_in_the_order_in_which_pacman_asks() {
    for arguments in [
        &["-S", "alpha"][..],
        &["--sync", "--refr", "-y", "--", "alpha"],
        &["-Syuw", "--ignore", "gamma", "--noscriptlet", "alpha"],
    ] {
        let run = Run::of(arguments);
        succeeded(&run.output);
        let [beta, alpha] = &run.requests[run.requests.len() - 2..] else { panic!("two packages") };
        assert_eq!(run.told.urls, [run.scene.url(PACKAGES[1]), run.scene.url(PACKAGES[0])], "{arguments:?}");
        assert_eq!([&beta.url, &alpha.url], [&run.told.urls[0], &run.told.urls[1]], "{arguments:?}");
        assert!(run.told.with_signatures);
        assert_eq!((beta.transaction, alpha.transaction), (Some(run.told.transaction), Some(run.told.transaction)));
        assert_eq!(run.told.transaction.pid, run.pid);
    }
}

#[test]
fn what_lies_in_the_cache_is_not_told() {
    let run = Run::with(&["-S", "alpha"], |scene, root| {
        fs_err::copy(scene.path("mirror").join(PACKAGES[1]), root.join("cache").join(PACKAGES[1])).unwrap();
    });
    succeeded(&run.output);
    assert_eq!(run.told.urls, [run.scene.url(PACKAGES[0])]);
}

#[test]
fn the_urls_of_an_upgrade_are_told_without_running_anything() {
    let scene = Scene::without_daemon();
    let root = repository(&scene);
    let urls = PACKAGES.map(|name| scene.url(name));
    // pacman 6.0.2 downloads them and then does not find what it has downloaded.
    let run = Run::in_scene(scene, &root, &["-U", &urls[1], &urls[0]]);
    assert_eq!(run.told.urls, [&*urls[1], &*urls[0]]);
    assert_eq!(run.requests.len(), 3, "with the database");
}

#[test]
fn databases_are_forced_only_where_the_user_refreshes_twice() {
    for (arguments, force) in [(&["-Sy", "-w", "alpha"][..], false), (&["-Syy", "-w", "alpha"], true)] {
        let run = Run::of(arguments);
        let forced: Vec<bool> = run.requests.iter().map(|request| request.force).collect();
        assert_eq!(forced, [false, force, false, false], "{arguments:?}");
        assert_eq!(run.requests[1].transaction, None, "a database is of no transaction");
    }
}

#[test]
fn nobody_learns_who_is_not_run_by_pacman_or_by_one_that_prints() {
    let (scene, asked) = learning_daemon(|_| {});
    succeeded(&scene.get(NAME));
    let mut pacman = fake_pacman(&scene, &["-U", &scene.url(NAME)]);
    let output = pacman.env("PACMAN2PACMAN_LEARNING", "1").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.stdout, b"0\n", "{output:?}");
    for _ in 0..2 {
        assert_eq!(asked.recv_timeout(LONG).unwrap().transaction, None);
    }
}

#[test]
fn nobody_waits_for_the_learner() {
    let (say, heard) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let (scene, _asked) = learning_daemon(move |conversation| {
        // The learner's call is not even taken before the client has gone.
        wait.recv_timeout(LONG).unwrap();
        say.send(conversation.hear_transaction()).unwrap();
    });
    let urls = [scene.url(NAME), scene.url("another")];
    let began = Instant::now();
    let mut command = fake_pacman(&scene, &["-U", &urls[0], &urls[1]]);
    let mut pacman = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut status = String::new();
    BufReader::new(pacman.stdout.take().unwrap()).read_line(&mut status).unwrap();
    assert_eq!(status, "0\n", "the client's exit");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    go_on.send(()).unwrap();
    assert_eq!(heard.recv_timeout(LONG).unwrap().urls, urls);
    drop(pacman.stdin.take());
    assert!(pacman.wait().unwrap().success());
}

#[test]
fn a_learner_tells_nothing_of_a_run_that_is_over_or_can_not_be_known() {
    let scene = Scene::without_daemon();
    let listener = UnixListener::bind(scene.socket()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = scene.url(NAME);
    for (arguments, started_later) in [(&["-U", &url][..], 1), (&["-U", &url, "-"], 0), (&["-S", "-"], 0)] {
        let mut pacman = waiting_pacman(arguments);
        silent(&learner(&scene, pacman.id(), started(pacman.id()) + started_later));
        drop(pacman.stdin.take());
        pacman.wait().unwrap();
    }
    silent(&learner(&scene, u32::MAX, 1));
    assert!(listener.accept().is_err(), "something was told");
}

/// What one run of real pacman led to.
struct Run {
    scene: Scene,
    output: Output,
    pid: u32,
    requests: Vec<FetchRequest>,
    told: TransactionRequest,
}

impl Run {
    fn of(arguments: &[&str]) -> Self {
        Self::with(arguments, |_, _| {})
    }

    /// Refreshes, prepares, and runs pacman.
    fn with(arguments: &[&str], prepare: impl FnOnce(&Scene, &Path)) -> Self {
        let scene = Scene::without_daemon();
        let root = repository(&scene);
        prepare(&scene, &root);
        Self::in_scene(scene, &root, arguments)
    }

    /// From within its root, with relative paths, and without a shell that says where it is.
    fn in_scene(mut scene: Scene, root: &Path, arguments: &[&str]) -> Self {
        let (ask, asked) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let mirror = scene.path("mirror");
        let is_learned = Cell::new(false);
        scene.start_daemon(move |conversation| {
            ask.send(conversation.request.clone()).unwrap();
            conversation.ok();
            conversation.say(&FetchRecord::Progress(Progress::default()));
            // The first package comes only when the run has been learned, so that none is in the cache before.
            if conversation.request.transaction.is_some() && !is_learned.replace(true) {
                conversation.say(&FetchRecord::Learn);
                tell.send(conversation.hear_transaction()).unwrap();
            }
            hand_over(conversation, &mirror);
        });
        configure(&scene, root, "%u %o");
        let pacman = |arguments: &[&str]| {
            let mut command = Command::new("pacman");
            command.current_dir(root).args(["--config", "pacman.conf", "--root", "../root", "--noconfirm"]);
            command.args(arguments).env("LC_ALL", "C").env_remove("PWD").stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        succeeded(&pacman(&["-Sy"]).wait_with_output().unwrap());
        let child = pacman(arguments);
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        let told = told.try_recv().unwrap_or_else(|_| panic!("nothing was told: {}", said(&output)));
        Self { scene, output, pid, requests: asked.try_iter().collect(), told }
    }
}

/// Gives a file of the mirror's directory.
fn hand_over(conversation: &mut Conversation, mirror: &Path) {
    // repo-add makes core.db a link.
    let path = fs_err::canonicalize(mirror.join(conversation.file_name())).unwrap();
    conversation.say(&FetchRecord::Ready(ready(&path)));
}

/// A daemon that has one file for all names and wants everything learned; and what it is asked. `before` it goes on with
/// the next client it does something.
fn learning_daemon(before: impl Fn(&mut Conversation) + Send + 'static) -> (Scene, Receiver<FetchRequest>) {
    let (ask, asked) = mpsc::channel();
    let mut scene = Scene::without_daemon();
    let package = scene.path("store").join("package");
    fs_err::write(&package, "package").unwrap();
    scene.start_daemon(move |conversation| {
        ask.send(conversation.request.clone()).unwrap();
        conversation.ok();
        conversation.say(&FetchRecord::Learn);
        conversation.say(&FetchRecord::Ready(ready(&package)));
        before(conversation);
    });
    (scene, asked)
}

/// A shell that calls itself pacman, runs us once, says how that went, and lives on until its input ends.
fn fake_pacman(scene: &Scene, arguments: &[&str]) -> Command {
    let mut pacman = Command::new("bash");
    pacman.arg0("pacman").args(["-c", "\"$PROGRAM\" \"$URL\" \"$OUT\"; echo $?; read line; exit 0"]).args(arguments);
    pacman
        .env("PROGRAM", env!("CARGO_BIN_EXE_pacman2pacman-get"))
        .env("URL", scene.url(NAME))
        .env("OUT", scene.out(NAME));
    pacman.env("P2PD_SOCKET", scene.socket());
    pacman
}

/// A shell that calls itself pacman and does nothing until its input ends.
fn waiting_pacman(arguments: &[&str]) -> Child {
    let mut pacman = Command::new("bash");
    pacman.arg0("pacman").args(["-c", "read line; exit"]).args(arguments).stdin(Stdio::piped()).spawn().unwrap()
}

fn learner(scene: &Scene, pid: u32, started: u64) -> Output {
    let mut learner = scene.program();
    learner.args(["--learn", &pid.to_string(), &started.to_string(), "--socket"]).arg(scene.socket()).output().unwrap()
}

#[track_caller]
fn silent(output: &Output) {
    assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
}

/// When a process started, in clock ticks since boot.
fn started(pid: u32) -> u64 {
    let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap()
}
