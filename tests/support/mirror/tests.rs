use std::process::Command;
use std::time::Duration;

use super::*;
use crate::{Ran, run, wait_until};

struct Place {
    directory: tempfile::TempDir,
    mirror: Mirror,
}

/// A mirror with one file of 200,000 bytes.
fn place() -> Place {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    fs_err::write(directory.path().join("file"), bytes).expect("the file can be written");
    let mirror = Mirror::serve(directory.path());
    Place { directory, mirror }
}

impl Place {
    fn curl(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "2", "-w", "%{http_code} %{size_download}", "-o"]);
        command.arg(self.directory.path().join("out")).args(arguments).arg(self.mirror.url("/file"));
        run(command, Duration::from_secs(10))
    }

    fn is_same(&self) -> bool {
        let read = |name| fs_err::read(self.directory.path().join(name)).expect("curl wrote it");
        read("file") == read("out")
    }
}

#[test]
fn a_whole_file_and_a_range_of_it_are_served_and_logged() {
    let place = place();
    assert_eq!(place.curl(&[]).stdout, "200 200000");
    assert!(place.is_same());
    assert_eq!(place.curl(&["-r", "1000-1999"]).stdout, "206 1000");
    assert!(place.curl(&["-r", "200000-"]).stdout.starts_with("416 "));
    let requests = place.mirror.requests_for("/file");
    assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [200, 206, 416]);
    assert_eq!(requests[1].range.as_deref(), Some("bytes=1000-1999"));
    assert_eq!(place.mirror.served("/file"), 201_000);
}

#[test]
fn each_fault_does_what_it_says_until_it_is_healed() {
    let place = place();
    for (fault, answer) in [
        (Fault::Status(404), "404 13"),
        (Fault::RetryAfter(Duration::from_secs(7)), "503 23"),
        (Fault::RedirectTo("http://127.0.0.1:1/".into()), "302 9"),
        (Fault::StallAt(100_000), "200 100000"),
        (Fault::CutAt(150_000), "200 150000"),
        (Fault::CorruptAt(7), "200 200000"),
        (Fault::Rate(200_000), "200 200000"),
        (Fault::Delay(Duration::from_secs(5)), "000 0"),
    ] {
        place.mirror.fault("/file", fault.clone());
        let ran = place.curl(&[]);
        assert_eq!(ran.stdout, answer, "{fault:?}: {}", ran.stderr);
        if fault == Fault::CorruptAt(7) {
            assert!(!place.is_same());
        }
        if fault == Fault::Rate(200_000) {
            assert!(ran.elapsed > Duration::from_millis(900), "{:?}", ran.elapsed);
        }
        place.mirror.heal("/file");
    }
    place.mirror.fault("*", Fault::IgnoreRange);
    assert_eq!(place.curl(&["-r", "5-6"]).stdout, "200 200000");
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let place = place();
    assert_eq!(place.curl(&["-R"]).stdout, "200 200000");
    let out = place.directory.path().join("out");
    assert_eq!(place.curl(&["-z", out.to_str().expect("test paths are text")]).stdout, "304 0");
}

#[test]
fn a_stopped_mirror_cuts_its_connections_and_accepts_none() {
    let mut place = place();
    place.mirror.fault("/file", Fault::StallAt(50_000));
    let mut command = Command::new("curl");
    command.args(["-sS", "-o", "/dev/null"]).arg(place.mirror.url("/file"));
    let curl = std::thread::spawn(move || run(command, Duration::from_secs(10)));
    wait_until("a stalled answer", Duration::from_secs(5), || place.mirror.served("/file") == 50_000);
    place.mirror.stop();
    assert_eq!(curl.join().expect("curl ends").status.code(), Some(18), "a partial file");
    assert_eq!(place.curl(&[]).status.code(), Some(7), "connection refused");
}

#[test]
fn the_line_is_shared_by_all_connections() {
    let place = place();
    place.mirror.limit(Some(400_000));
    let started = std::time::Instant::now();
    let url = place.mirror.url("/file");
    let fetch = || {
        let mut command = Command::new("curl");
        command.args(["-sS", "-o", "/dev/null", &url]);
        run(command, Duration::from_secs(10)).succeeded();
    };
    std::thread::scope(|scope| {
        scope.spawn(fetch);
        scope.spawn(fetch);
    });
    assert!(started.elapsed() > Duration::from_millis(800), "{:?}", started.elapsed());
}
