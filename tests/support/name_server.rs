//! A DNS server that knows some names.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Host;

/// Where every resolver asks.
const PORT: u16 = 53;
/// How often it looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a header (RFC 1035, 4.1.1), and of what follows a question's name.
const HEADER: usize = 12;
const TYPE_AND_CLASS: usize = 4;
/// The record of an IPv4 address, in the class of the Internet.
const ADDRESS_IN_INTERNET: [u8; 4] = [0, 1, 0, 1];
/// A minute.
const LIFE: [u8; 4] = [0, 0, 0, 60];

/// Answers for IPv4 addresses of its names, and says of everything else that there is nothing.
#[derive(Debug)]
pub struct NameServer {
    address: IpAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts it on `host`, for these names.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host, names: &[(&str, IpAddr)]) -> Self {
        let names: Vec<(String, Ipv4Addr)> =
            names.iter().map(|(name, address)| ((*name).into(), v4(*address))).collect();
        let stopping = Arc::new(AtomicBool::new(false));
        let (address, until) = (host.address(), Arc::clone(&stopping));
        let (bound, is_bound) = std::sync::mpsc::channel();
        let thread = host.spawn(move || {
            let socket = UdpSocket::bind(SocketAddr::new(address, PORT)).expect("the port is free");
            socket.set_read_timeout(Some(LOOK_EVERY)).expect("a socket takes a timeout");
            bound.send(()).expect("the test waits");
            serve(&socket, &names, &until);
        });
        is_bound.recv().expect("the name server binds its port");
        Self { address: host.address(), stopping, thread: Some(thread) }
    }

    /// Its address, for [`Host::resolve_by`].
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn v4(address: IpAddr) -> Ipv4Addr {
    let IpAddr::V4(address) = address else { panic!("{address} is no IPv4 address") };
    address
}

fn serve(socket: &UdpSocket, names: &[(String, Ipv4Addr)], stopping: &AtomicBool) {
    let mut query = [0; 512];
    while !stopping.load(Ordering::Relaxed) {
        match socket.recv_from(&mut query) {
            Ok((length, from)) => {
                if let Some(answer) = answer(&query[..length], names) {
                    drop(socket.send_to(&answer, from));
                }
            }
            // Nobody asks; or who asked is gone, which ICMP tells.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => panic!("the name server cannot receive: {error}"),
        }
    }
}

/// The answer to a query of one question.
fn answer(query: &[u8], names: &[(String, Ipv4Addr)]) -> Option<Vec<u8>> {
    let (name, length) = name(query.get(HEADER..)?)?;
    let question = query.get(HEADER..HEADER + length + TYPE_AND_CLASS)?;
    let address = names.iter().find(|(known, _)| *known == name).map(|(_, address)| *address);
    let found = address.filter(|_| question.ends_with(&ADDRESS_IN_INTERNET));
    let mut answer = query[..2].to_vec();
    // An answer with authority; of a name that there is not, 3 says so.
    answer.extend([0x85, if address.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(found.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(address) = found {
        // The name is the question's, at offset 12.
        answer.extend([0xc0, 12]);
        answer.extend(ADDRESS_IN_INTERNET);
        answer.extend(LIFE);
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// A name, and how many bytes it has on the wire.
fn name(mut bytes: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut length) = (Vec::new(), 1);
    loop {
        let (&size, rest) = bytes.split_first()?;
        if size == 0 {
            return Some((labels.join(".").to_ascii_lowercase(), length));
        }
        let (label, rest) = rest.split_at_checked(size.into())?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        length += 1 + usize::from(size);
        bytes = rest;
    }
}
