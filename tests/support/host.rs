//! Where a part runs: on this machine's loopback, or on a machine of a [`Lan`](crate::Lan) or behind a [`Router`](crate::Router).

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::namespace::file_in_etc;
use crate::{Transport, run};

/// A machine, as far as its network goes.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: Option<Arc<str>>,
    address: IpAddr,
    /// The other end of its cable: namespace and interface of the switch.
    port: Option<(Arc<str>, Arc<str>)>,
}

impl Host {
    /// This machine, on 127.0.0.1.
    #[must_use]
    pub fn loopback() -> Self {
        Self { namespace: None, address: Ipv4Addr::LOCALHOST.into(), port: None }
    }

    /// The same machine at one more address of its network, which ends in this byte.
    #[must_use]
    #[track_caller]
    pub fn alias(&self, last_byte: u8) -> Self {
        let [a, b, c, _] = self.ipv4().octets();
        let address = Ipv4Addr::new(a, b, c, last_byte);
        // A loopback has all of its addresses already.
        if let Some(namespace) = &self.namespace {
            ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        }
        Self { address: address.into(), ..self.clone() }
    }

    /// The same machine with an address of another network as well: one that the other machines of its own take for a
    /// stranger's, far away.
    #[must_use]
    #[track_caller]
    pub fn abroad(&self, address: Ipv4Addr) -> Self {
        let namespace = self.namespace.as_ref().expect("the loopback of this machine gets no more addresses");
        ip(&["-n", namespace, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        Self { address: address.into(), ..self.clone() }
    }

    /// The same machine with a global IPv6 address as well, of a network that stands for its IPv4 network.
    #[must_use]
    #[track_caller]
    pub fn ipv6(&self) -> Self {
        let namespace = self.namespace.as_ref().expect("the loopback of this machine gets no more addresses");
        let [a, b, c, last] = self.ipv4().octets();
        let address = Ipv6Addr::new(0x2001, 0xdb8, u16::from_be_bytes([a, b]), c.into(), 0, 0, 0, last.into());
        // Without `nodad` the kernel would look for somebody else with this address for a second first.
        ip(&["-n", namespace, "address", "add", &format!("{address}/64"), "dev", "eth0", "nodad"]);
        ip(&["-n", namespace, "-6", "route", "add", "default", "dev", "eth0"]);
        Self { address: address.into(), ..self.clone() }
    }

    /// The same machine, on its own loopback: for what the others must not reach.
    #[must_use]
    pub fn inside(&self) -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), ..self.clone() }
    }

    pub(crate) fn in_namespace(namespace: &str, address: Ipv4Addr, hub: &str, port: &str) -> Self {
        Self { namespace: Some(namespace.into()), address: address.into(), port: Some((hub.into(), port.into())) }
    }

    /// Its address, where the others find it.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    fn ipv4(&self) -> Ipv4Addr {
        let IpAddr::V4(address) = self.address else { panic!("{} is no IPv4 address", self.address) };
        address
    }

    /// A command that will run on this host, and that the kernel kills when the thread that started it ends: so a test
    /// that is killed leaves nothing behind.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(namespace) = &self.namespace {
            command.args(["ip", "netns", "exec", namespace]);
        }
        command.arg(program);
        command
    }

    /// Starts a thread whose sockets are on this host.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let namespace = self.namespace.clone();
        let enter_and_work = move || {
            if let Some(namespace) = namespace {
                use std::os::fd::AsFd;
                let file = fs_err::File::open(format!("/run/netns/{namespace}")).expect("the namespace exists");
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter");
            }
            work()
        };
        thread::Builder::new().name("host".into()).spawn(enter_and_work).expect("threads can be started")
    }

    /// A TCP port that was free a moment ago, for programs that cannot bind port 0 themselves.
    #[track_caller]
    pub fn free_port(&self) -> u16 {
        let address = SocketAddr::new(self.address(), 0);
        let bind = move || TcpListener::bind(address).and_then(|listener| listener.local_addr());
        self.spawn(bind).join().expect("binding does not panic").expect("a port is free").port()
    }

    /// Connects to `to`, from this address of the host.
    ///
    /// # Errors
    ///
    /// Nobody answers there.
    pub fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let from = SocketAddr::new(self.address(), 0);
        let dial = self.spawn(move || -> io::Result<TcpStream> {
            let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
            rustix::net::bind(&socket, &from)?;
            rustix::net::connect(&socket, &to)?;
            Ok(TcpStream::from(socket))
        });
        dial.join().expect("dialling does not panic")
    }

    /// Limits what this host sends, in Mbit/s (a token bucket on its interface).
    #[track_caller]
    pub fn limit_upload(&self, megabits: u32) {
        let namespace = self.namespace.as_ref().expect("the loopback of this machine is not for limiting");
        // A hundredth of a second's bytes, but at least one segment of the largest size.
        let burst = (u64::from(megabits) * 1_000_000 / 8 / 100).clamp(66_000, 2_000_000);
        let mut command = Command::new("tc");
        command.args(["-n", namespace, "qdisc", "replace", "dev", "eth0", "root", "tbf"]);
        command.args(["rate", &format!("{megabits}mbit"), "burst", &burst.to_string(), "latency", "50ms"]);
        run(command, Duration::from_secs(10)).succeeded();
    }

    /// Drops what comes by any other transport than this from other machines.
    #[track_caller]
    pub fn admit_only(&self, transport: Transport) {
        let unwanted = match transport {
            Transport::Any => return,
            Transport::Tcp => "udp",
            Transport::Utp => "tcp",
        };
        let namespace = self.namespace.as_ref().expect("the loopback of this machine stays as it is");
        let rules = format!(
            "add table inet tests; add chain inet tests input {{ type filter hook input priority 0; }}; \
             add rule inet tests input iifname eth0 meta l4proto {unwanted} drop"
        );
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "nft", &rules]);
        run(command, Duration::from_secs(10)).succeeded();
    }

    /// Has names looked up at this name server from now on, by commands of this host.
    #[track_caller]
    pub fn resolve_by(&self, name_server: IpAddr) {
        let namespace = self.namespace.as_ref().expect("the loopback of this machine stays as it is");
        let file = file_in_etc(namespace, "resolv.conf");
        fs_err::create_dir_all(file.parent().expect("it lies in a directory")).expect("root may make it");
        fs_err::write(file, format!("nameserver {name_server}\n")).expect("root may write it");
    }

    /// Pulls the cable: packets vanish, connections stay open.
    #[track_caller]
    pub fn unplug(&self) {
        let (hub, port) = self.port.as_ref().expect("the loopback of this machine has no cable");
        ip(&["-n", hub, "link", "set", "dev", port, "down"]);
    }
}

/// Runs `ip` with arguments.
#[track_caller]
pub(crate) fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command, Duration::from_secs(20)).succeeded();
}
