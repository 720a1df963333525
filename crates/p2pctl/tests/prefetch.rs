//! Runs `p2pctl prefetch` against a canned daemon, and with a pacman and a fakeroot that are shell scripts.

#[cfg(test)]
mod prefetch {
    use std::fs::Permissions;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::thread::JoinHandle;

    use fs_err as fs;
    use p2p_api::{PrefetchFile, PrefetchRequest};

    /// In the repository of the configuration below; and somewhere else.
    const A: &str = "http://m/core/os/x86_64/a-1-1-any.pkg.tar.zst";
    const B: &str = "https://elsewhere/b-1-1-any.pkg.tar.zst";
    const PROGRESS: &str = r#"{"event":"progress","files_done":0,"files":2,"done":0,"total":9,"from_peers":0}"#;
    const DONE: &str =
        r#"{"event":"done","files_done":2,"files":2,"done":4194304,"total":4194304,"from_peers":1048576}"#;
    const NOTHING: &str = r#"{"event":"done","files_done":0,"files":0,"done":0,"total":0,"from_peers":0}"#;

    /// Says in a file how it was called, and prints what a pacman of this version prints.
    fn pacman(version: &str, log: &Path) -> String {
        let log = log.display();
        format!(
            "#!/bin/sh\necho \"${{AS-user}} $*\" >>{log}\ncase $* in\n*--version*) echo ' .--.  Pacman v{version} - libalpm v1' ;;\n\
             *--print*) echo 'file:///var/cache/b-1-1-any.pkg.tar.zst'; echo {A} ;;\nesac\n"
        )
    }

    /// A directory for everybody with a `pacman.conf`, and programs to be found in `PATH`.
    struct Machine {
        directory: tempfile::TempDir,
    }

    impl Machine {
        fn with_pacman(version: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let machine = Self { directory };
            fs::set_permissions(machine.path(""), Permissions::from_mode(0o777)).unwrap();
            fs::create_dir(machine.path("bin")).unwrap();
            let conf = "[options]\nDBPath = /nonexistent\n[core]\nServer = http://m/$repo/os/x86_64\n";
            fs::write(machine.path("pacman.conf"), conf).unwrap();
            fs::write(machine.path("log"), "").unwrap();
            fs::set_permissions(machine.path("log"), Permissions::from_mode(0o666)).unwrap();
            machine.program("pacman", &pacman(version, &machine.path("log")));
            machine
        }

        fn program(&self, name: &str, text: &str) {
            let path = self.path("bin").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }

        fn with_fakeroot(self) -> Self {
            self.program("fakeroot", "#!/bin/sh\nshift\nAS=fakeroot exec \"$@\"\n");
            self
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// As nobody, where we are root: then fakeroot is needed.
        fn prefetch(&self, socket: &Path, arguments: &[&str]) -> Command {
            let program = env!("CARGO_BIN_EXE_p2pctl");
            let mut command = if rustix::process::geteuid().is_root() {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--", program]);
                command
            } else {
                Command::new(program)
            };
            command.arg("prefetch").arg("--config").arg(self.path("pacman.conf")).args(arguments);
            command.env("P2PD_SOCKET", socket).env("PATH", self.path("bin")).env("TMPDIR", self.directory.path());
            command
        }

        /// As whom pacman was called, and with what.
        fn calls(&self) -> Vec<String> {
            let log = fs::read_to_string(self.path("log")).unwrap();
            let conf = self.path("pacman.conf").display().to_string();
            let shown = |word: &str| match word {
                word if word.contains("p2pctl-prefetch-") => "COPIES".to_owned(),
                word if word == conf => "CONF".to_owned(),
                word => word.to_owned(),
            };
            log.lines().map(|line| line.split(' ').map(shown).collect::<Vec<_>>().join(" ")).collect()
        }
    }

    /// Answers every order: one of nothing at once, others with its lines.
    struct Daemon {
        socket: PathBuf,
        orders: Arc<Mutex<Vec<PrefetchRequest>>>,
        over: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    }

    impl Daemon {
        fn answering(machine: &Machine, lines: &[&str]) -> Self {
            let socket = machine.path("p2pd.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
            let (orders, over) = (Arc::<Mutex<Vec<PrefetchRequest>>>::default(), Arc::<AtomicBool>::default());
            let (taken, is_over, answer) = (Arc::clone(&orders), Arc::clone(&over), lines.join("\n"));
            let serve = move || {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut stream = stream.unwrap();
                    let order = read_order(&mut stream);
                    let answer = if order.files.is_empty() { NOTHING } else { &answer };
                    taken.lock().unwrap().push(order);
                    let _ = write!(stream, "HTTP/1.0 200 OK\r\np2pd-api: 1\r\n\r\n{answer}\n");
                }
            };
            Self { socket, orders, over, thread: Some(std::thread::spawn(serve)) }
        }

        /// What was ordered in the end.
        fn ordered(&self) -> Vec<PrefetchFile> {
            self.orders.lock().unwrap().last().unwrap().files.clone()
        }
    }

    impl Drop for Daemon {
        fn drop(&mut self) {
            self.over.store(true, Ordering::Relaxed);
            let _ = UnixStream::connect(&self.socket);
            let served = self.thread.take().unwrap().join();
            assert!(served.is_ok() || std::thread::panicking());
        }
    }

    fn read_order(stream: &mut UnixStream) -> PrefetchRequest {
        let mut text = String::new();
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        while !text.ends_with("\r\n\r\n") {
            let begin = text.len();
            assert_ne!(stream.read_line(&mut text).unwrap(), 0, "half a request: {text:?}");
            if let Some(value) = text[begin..].to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        assert!(text.starts_with("POST /v1/prefetches HTTP/1.0\r\n"), "{text:?}");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn unclaimed(url: &str) -> PrefetchFile {
        PrefetchFile { url: url.to_owned(), package: None }
    }

    fn ran(mut command: Command, input: &str) -> (Option<i32>, String, String) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Who needs no input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn urls_need_no_pacman_and_no_configuration() {
        let machine = Machine::with_pacman("6.0.2");
        fs::remove_file(machine.path("pacman.conf")).unwrap();
        let daemon = Daemon::answering(&machine, &[PROGRESS, DONE]);
        let (code, stdout, stderr) = ran(machine.prefetch(&daemon.socket, &[A, "-"]), &format!("{B}\nfile:///c\n"));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(stdout, "2 files, 4.0 MiB, 25 % from peers; 1 in pacman's cache before\n");
        assert_eq!(daemon.ordered(), [unclaimed(A), unclaimed(B)]);
        assert_eq!(machine.calls(), [""; 0]);
    }

    #[test]
    fn a_program_gets_the_last_record() {
        let machine = Machine::with_pacman("6.0.2");
        let daemon = Daemon::answering(&machine, &[PROGRESS, DONE]);
        let (code, stdout, _) = ran(machine.prefetch(&daemon.socket, &[A, "--json"]), "");
        assert_eq!((code, stdout.trim_end()), (Some(0), DONE));
    }

    #[test]
    fn each_file_that_can_not_be_had_is_one_line_and_the_rest_is_told() {
        let machine = Machine::with_pacman("6.0.2");
        let failed = format!(r#"{{"event":"failed","url":"{B}","message":"no mirror has\u001b it"}}"#);
        let daemon = Daemon::answering(&machine, &[PROGRESS, &failed, DONE]);
        let (code, stdout, stderr) = ran(machine.prefetch(&daemon.socket, &[A, B, "ftp://m/c"]), "");
        assert_eq!((code, stdout.as_str()), (Some(1), "1 of 3 files, 4.0 MiB, 25 % from peers\n"));
        let lines = [
            "p2pctl: ftp://m/c: only http and https URLs can be fetched".to_owned(),
            format!("p2pctl: {B}: no mirror has? it"),
            "p2pctl: 2 of 3 could not be fetched".to_owned(),
        ];
        assert_eq!(stderr.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_daemon_that_breaks_off_is_exit_status_1() {
        let machine = Machine::with_pacman("6.0.2");
        let daemon = Daemon::answering(&machine, &[PROGRESS]);
        let (code, stdout, stderr) = ran(machine.prefetch(&daemon.socket, &[A]), "");
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert_eq!(stderr, "p2pctl: p2pd broke off: it hung up half-way\n");
    }

    #[test]
    fn names_are_looked_up_in_the_systems_databases_and_upgrades_in_copies() {
        let machine = Machine::with_pacman("6.0.2").with_fakeroot();
        let daemon = Daemon::answering(&machine, &[PROGRESS, DONE]);
        let (code, _, stderr) = ran(machine.prefetch(&daemon.socket, &["-"]), "linux\ncore/bash");
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(daemon.ordered(), [unclaimed(A)]);
        let (code, _, stderr) = ran(machine.prefetch(&daemon.socket, &["-u", "linux"]), "");
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let calls = [
            "user --version",
            "user --sync --print --print-format %l --dbpath /nonexistent --config CONF -- linux core/bash",
            "user --version",
            "fakeroot --sync --refresh --noconfirm --logfile /dev/null --dbpath COPIES --config CONF",
            "user --sync --print --print-format %l --sysupgrade --dbpath COPIES --config CONF -- linux",
        ];
        assert_eq!(machine.calls(), calls);
    }

    #[test]
    fn pacman_7_refreshes_under_fakeroot_without_its_sandbox() {
        let machine = Machine::with_pacman("7.1.0").with_fakeroot();
        let daemon = Daemon::answering(&machine, &[PROGRESS, DONE]);
        let (code, _, stderr) = ran(machine.prefetch(&daemon.socket, &["-u"]), "");
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let refresh =
            "fakeroot --sync --refresh --noconfirm --logfile /dev/null --disable-sandbox --dbpath COPIES --config CONF";
        assert_eq!(machine.calls()[1], refresh);
    }

    #[test]
    fn a_missing_fakeroot_and_a_missing_pacman_are_told_with_what_can_be_done() {
        let machine = Machine::with_pacman("7.1.0");
        let daemon = Daemon::answering(&machine, &[PROGRESS, DONE]);
        let (code, _, stderr) = ran(machine.prefetch(&daemon.socket, &["-u"]), "");
        assert_eq!(code, Some(1));
        assert_eq!(
            stderr,
            "p2pctl: fakeroot is missing, without which pacman refreshes databases for root only\n\
             hint: install fakeroot, or run this as root\n"
        );
        fs::remove_file(machine.path("bin/pacman")).unwrap();
        let (code, _, stderr) = ran(machine.prefetch(&daemon.socket, &["linux"]), "");
        assert_eq!(code, Some(1));
        assert!(stderr.starts_with("p2pctl: pacman can't be run: it can't be started: No such file"), "{stderr}");
    }

    #[test]
    fn wrong_usage_is_exit_status_2_and_no_daemon_3() {
        let machine = Machine::with_pacman("6.0.2");
        let nowhere = machine.path("nowhere.sock");
        for arguments in [&[][..], &["--", "--root"], &["--nonsense"]] {
            assert_eq!(ran(machine.prefetch(&nowhere, arguments), "").0, Some(2), "{arguments:?}");
        }
        let (code, _, stderr) = ran(machine.prefetch(&nowhere, &["-u"]), "");
        assert_eq!(code, Some(3));
        assert!(stderr.starts_with("p2pctl: p2pd is not running\nhint: nobody listens on "), "{stderr}");
        assert_eq!(machine.calls(), [""; 0]);
    }
}
