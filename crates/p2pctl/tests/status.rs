//! Runs `p2pctl status` against a canned daemon: a thread that answers every connection with given bytes.

#[cfg(test)]
mod status {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;

    const GOLDEN: &str = include_str!("../../../tests/golden/api/status.json");

    #[test]
    fn a_person_gets_an_overview() {
        let daemon = Daemon::answering("200 OK", GOLDEN);
        let output = p2pctl(&daemon.socket, &["status"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        assert!(text.contains("1204 packages, 6.0 GiB"), "{text}");
        assert!(!text.contains('\u{1b}'), "colours without a terminal: {text:?}");
    }

    #[test]
    fn a_program_gets_the_daemons_json() {
        let daemon = Daemon::answering("200 OK", GOLDEN);
        let output = p2pctl(&daemon.socket, &["status", "--json"]);
        let (printed, golden): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(&output.stdout).unwrap(), serde_json::from_str(GOLDEN).unwrap());
        assert_eq!(printed, golden);
    }

    #[test]
    fn the_socket_may_be_named_before_and_after_the_command_and_by_the_environment() {
        let daemon = Daemon::answering("200 OK", GOLDEN);
        let socket = daemon.socket.to_str().unwrap();
        let nowhere = Path::new("/nonexistent/p2pd.sock");
        assert!(p2pctl(nowhere, &["--socket", socket, "status"]).status.success());
        assert!(p2pctl(nowhere, &["status", "--socket", socket]).status.success());
        assert!(p2pctl(&daemon.socket, &["status"]).status.success());
    }

    #[test]
    fn no_daemon_is_exit_status_3_with_a_hint() {
        let output = p2pctl(Path::new("/nonexistent/p2pd.sock"), &["status"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            said,
            "p2pctl: p2pd is not running\nhint: nobody listens on /nonexistent/p2pd.sock; \
             start it with `systemctl start p2pd` or `rc-service p2pd start`\n"
        );
        assert_eq!(p2pctl(Path::new("/nonexistent/p2pd.sock"), &["status", "--json"]).status.code(), Some(3));
    }

    #[test]
    fn a_daemon_that_declines_is_exit_status_1_with_its_hint() {
        let body = r#"{"code":"unavailable","message":"p2pd is stopping","hint":"try again"}"#;
        let daemon = Daemon::answering("503 Service Unavailable", body);
        let output = p2pctl(&daemon.socket, &["status"]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "p2pctl: p2pd declined: p2pd is stopping\nhint: try again\n"
        );
    }

    fn p2pctl(socket: &Path, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_p2pctl")).args(arguments).env("P2PD_SOCKET", socket).output().unwrap()
    }

    /// Answers until it is dropped.
    struct Daemon {
        _directory: tempfile::TempDir,
        socket: PathBuf,
        over: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    }

    impl Daemon {
        fn answering(status: &str, body: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let socket = directory.path().join("p2pd.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let answer = format!("HTTP/1.0 {status}\r\np2pd-api: 1\r\n\r\n{body}");
            let over = Arc::new(AtomicBool::new(false));
            let is_over = Arc::clone(&over);
            let thread = std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut stream = stream.unwrap();
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(answer.as_bytes());
                }
            });
            Self { _directory: directory, socket, over, thread: Some(thread) }
        }
    }

    impl Drop for Daemon {
        fn drop(&mut self) {
            self.over.store(true, Ordering::Relaxed);
            let _ = UnixStream::connect(&self.socket);
            self.thread.take().unwrap().join().unwrap();
        }
    }
}
