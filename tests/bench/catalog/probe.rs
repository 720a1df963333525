//! What a process holds and uses, read from `/proc`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use p2p_tests::{Host, Usage, run};

/// One look at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    cpu: Duration,
    memory: u64,
    open_files: u32,
    read: u64,
}

/// What a process has cost in a time in which nothing was asked of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    elapsed: Duration,
    cpu: Duration,
    last: Probe,
    packets: u64,
    segments: u64,
}

impl Probe {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| fs_err::read_to_string(format!("/proc/{pid}/{file}")).expect("the process runs");
        let open_files = fs_err::read_dir(format!("/proc/{pid}/fd")).expect("the process runs").count();
        Self {
            cpu: Usage::of(pid).expect("the process runs").cpu,
            memory: number(&read("status"), "VmRSS:") * 1024,
            open_files: u32::try_from(open_files).expect("some thousands at most"),
            read: number(&read("io"), "rchar:"),
        }
    }

    /// What it has read so far, from the page cache or a socket too.
    pub(crate) fn read_mebibytes(&self) -> f64 {
        super::mebibytes(self.read)
    }

    /// Where `/proc` tells of one of its threads.
    pub(crate) fn thread(pid: u32, name: &str) -> PathBuf {
        let threads = fs_err::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
        let is_it = |path: &PathBuf| fs_err::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
        threads.flatten().map(|entry| entry.path()).find(is_it).expect("there is such a thread")
    }

    /// What a thread has used of the processor, to the nanosecond.
    pub(crate) fn processor_time_of(thread: &Path) -> Duration {
        let text = fs_err::read_to_string(thread.join("schedstat")).expect("the thread runs");
        Duration::from_nanos(
            text.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number of nanoseconds"),
        )
    }
}

impl Idle {
    /// Watches a process that has `host` to itself.
    pub(crate) fn of(pid: u32, host: &Host, time: Duration) -> Self {
        Self::of_each(&[pid], host, time)[0]
    }

    /// Watches several processes at once.
    pub(crate) fn of_each(pids: &[u32], host: &Host, time: Duration) -> Vec<Self> {
        let look = || pids.iter().map(|pid| Probe::of(*pid)).collect::<Vec<_>>();
        let (started, before, sent) = (Instant::now(), look(), sent(host));
        // What is measured is what it does in this time by itself.
        std::thread::sleep(time);
        let (elapsed, after, [packets, segments]) = (started.elapsed(), look(), self::sent(host));
        let (packets, segments) = (packets - sent[0], segments - sent[1]);
        let idle = |(before, last): (&Probe, Probe)| {
            let cpu = last.cpu.saturating_sub(before.cpu);
            Self { elapsed, cpu, last, packets, segments }
        };
        before.iter().zip(after).map(idle).collect()
    }

    /// In MiB, at the end.
    pub(crate) fn memory(&self) -> f64 {
        super::mebibytes(self.last.memory)
    }

    /// In percent of one core.
    pub(crate) fn processor(&self) -> f64 {
        100.0 * self.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    pub(crate) fn open_files(&self) -> f64 {
        self.last.open_files.into()
    }

    /// UDP packets that left the host, a second.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand packets")]
    pub(crate) fn packets(&self) -> f64 {
        self.packets as f64 / self.elapsed.as_secs_f64()
    }

    /// TCP segments that left the host, a second.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand segments")]
    pub(crate) fn segments(&self) -> f64 {
        self.segments as f64 / self.elapsed.as_secs_f64()
    }
}

/// UDP packets and TCP segments that this host has sent, the former over IPv4.
fn sent(host: &Host) -> [u64; 2] {
    let mut command = host.command("cat");
    command.arg("/proc/net/snmp");
    let ran = run(command, Duration::from_secs(10));
    let text = &ran.succeeded().stdout;
    [("Udp:", "OutDatagrams"), ("Tcp:", "OutSegs")].map(|(label, name)| {
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(label)).collect();
        let [names, values] = lines[..] else { panic!("{text}") };
        let column = names.split_whitespace().position(|column| column == name).expect("a column of what was sent");
        values.split_whitespace().nth(column).and_then(|value| value.parse().ok()).expect("a number of packets")
    })
}

/// The number after a label, in the text of a file of `/proc`.
fn number(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label)).expect("the kernel writes this line");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}
