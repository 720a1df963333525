//! A local network of namespaces: hosts on one switch, apart from every other network.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::host::ip;
use crate::{Host, run};

/// Every namespace of ours begins so; then follow the test's process id and a number.
const PREFIX: &str = "p2pt-";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A switch and the hosts on it. Needs root. Dropped last, it removes them all.
#[derive(Debug)]
pub struct Lan {
    network: [u8; 3],
    hub: String,
    hosts: Vec<String>,
}

impl Lan {
    /// A network without hosts: `network` is the first three bytes of its IPv4 addresses, 203.0.113 say, which counts
    /// as public, or 10.7.0, which is private.
    ///
    /// # Panics
    ///
    /// Without root: then these tests cannot run, and must not look as if they had.
    #[must_use]
    #[track_caller]
    pub fn new(network: [u8; 3]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "network namespaces need root");
        sweep();
        let hub = add_namespace();
        ip(&["-n", &hub, "link", "add", "switch0", "type", "bridge", "mcast_snooping", "0"]);
        ip(&["-n", &hub, "link", "set", "dev", "switch0", "up"]);
        Self { network, hub, hosts: Vec::new() }
    }

    /// Plugs in another host; its address ends in its number, from 1 on.
    #[track_caller]
    pub fn host(&mut self) -> Host {
        let number = u8::try_from(self.hosts.len() + 1).expect("a test has few hosts");
        let [a, b, c] = self.network;
        self.plug_in(Ipv4Addr::new(a, b, c, number))
    }

    /// Plugs in a host of another network, 198.51.100.7 say: all hosts reach it, and take it for a machine far away.
    #[track_caller]
    pub fn stranger(&mut self, address: Ipv4Addr) -> Host {
        self.plug_in(address)
    }

    #[track_caller]
    fn plug_in(&mut self, address: Ipv4Addr) -> Host {
        let (name, port) = (add_namespace(), format!("port{}", self.hosts.len() + 1));
        self.hosts.push(name.clone());
        ip(&["-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", &self.hub]);
        ip(&["-n", &self.hub, "link", "set", "dev", &port, "master", "switch0", "up"]);
        ip(&["-n", &name, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        ip(&["-n", &name, "link", "set", "dev", "eth0", "up"]);
        ip(&["-n", &name, "link", "set", "dev", "lo", "up"]);
        // Multicast (BEP 14) needs a route, and clients that look for their own address ask where 8.8.8.8 would go.
        ip(&["-n", &name, "route", "add", "default", "dev", "eth0"]);
        Host::in_namespace(&name, address, &self.hub, &port)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for name in self.hosts.iter().chain([&self.hub]) {
            delete_namespace(name);
        }
    }
}

fn add_namespace() -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{PREFIX}{}-{number}", std::process::id());
    ip(&["netns", "add", &name]);
    name
}

fn delete_namespace(name: &str) {
    let mut command = Command::new("ip");
    command.args(["netns", "delete", name]);
    // A failure is no reason to panic while dropping: the next test's sweep tries again.
    let ran = run(command, Duration::from_secs(20));
    if !ran.status.success() {
        eprintln!("{ran}");
    }
}

/// Removes what tests left that were killed: namespaces of processes that no longer exist.
fn sweep() {
    let Ok(entries) = fs_err::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let owner = owner.and_then(|(owner, number)| number.parse::<u32>().ok().and(owner.parse::<u32>().ok()));
        if owner.is_some_and(|owner| !std::path::Path::new(&format!("/proc/{owner}")).exists()) {
            delete_namespace(&name);
        }
    }
}
