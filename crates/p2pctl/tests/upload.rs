//! Runs `p2pctl pause`, `resume` and `limit` where there is no daemon; with one, `tests/e2e/upload.rs` does.

#[cfg(test)]
mod upload {
    use std::process::{Command, Output};

    fn p2pctl(arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p2pctl"));
        command.args(arguments).env("P2PD_SOCKET", "/nonexistent/p2pd.sock").output().unwrap()
    }

    #[test]
    fn no_daemon_is_exit_status_3_with_a_hint() {
        for arguments in [&["pause"][..], &["pause", "2h 30m"], &["resume"], &["limit", "200KiB/s"], &["limit", "none"]]
        {
            let output = p2pctl(arguments);
            assert_eq!(output.status.code(), Some(3), "{arguments:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.starts_with("p2pctl: p2pd is not running\nhint: "), "{said}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_exit_status_2_and_says_what_would() {
        for (arguments, advice) in [
            (&["pause", "soon"][..], "for example"),
            (&["pause", "2years"], "from a second to a year"),
            (&["pause", "--reason", "because"], "possible values: user, metered"),
            (&["limit", "0"], "p2pctl pause"),
            (&["limit", "fast"], "200KiB/s"),
            (&["limit"], "<RATE>"),
        ] {
            let output = p2pctl(arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains(advice), "{arguments:?}: {said}");
        }
    }
}
