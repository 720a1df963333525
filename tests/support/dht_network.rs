//! A private DHT (BEP 5): nodes that answer, and remember who announces himself.
//!
//! They know each other from the start and ask nothing themselves: so clients may rely on them at once, and a test sees each
//! announce. Each has an address of its own, since real clients distrust many nodes behind one.

mod items;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use p2p_package::{Dictionary, InfoHash, Value, Writer};

use crate::{Host, Package, wait_until};
pub use items::DhtSnapshot;
use items::Items;

/// Enough for transmission, which takes a DHT of eight nodes or fewer for a broken one.
const NODES: u8 = 12;
/// The last byte of the first node's address.
const FIRST_ADDRESS: u8 = 101;
/// Nodes in an answer (BEP 5).
const CLOSEST: usize = 8;
const TOKEN: &[u8] = b"test";
/// How often a node looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

type Id = [u8; 20];

/// The running nodes.
#[derive(Debug)]
pub struct DhtNetwork {
    network: Arc<Network>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Network {
    nodes: Vec<(Id, SocketAddrV4)>,
    announced: Mutex<BTreeSet<(Id, SocketAddrV4)>>,
    /// Peers that each answer invents.
    invented: AtomicU32,
    items: Items,
    stopping: AtomicBool,
}

impl DhtNetwork {
    /// Starts the nodes on addresses that `host` gets in addition.
    #[must_use]
    #[track_caller]
    pub fn start(host: &Host) -> Self {
        let mut sockets: Vec<UdpSocket> = (0..NODES).map(|number| bind(&host.alias(FIRST_ADDRESS + number))).collect();
        sockets.sort_by_key(|socket| node(socket).0);
        let nodes = sockets.iter().map(node);
        let network = Arc::new(Network {
            nodes: nodes.collect(),
            announced: Mutex::default(),
            invented: AtomicU32::new(0),
            items: Items::default(),
            stopping: AtomicBool::new(false),
        });
        let serve = |(number, socket): (usize, UdpSocket)| {
            let network = Arc::clone(&network);
            std::thread::spawn(move || network.serve(number, &socket))
        };
        let threads = sockets.into_iter().enumerate().map(serve).collect();
        Self { network, threads }
    }

    /// The nodes, by their ids: every one may be told to a client as the first that it knows.
    #[must_use]
    pub fn nodes(&self) -> Vec<SocketAddr> {
        self.network.nodes.iter().map(|(_, address)| (*address).into()).collect()
    }

    /// From now on each answer names so many peers that nobody has ever seen, at global addresses, before the true ones.
    pub fn invent_peers(&self, in_each_answer: u32) {
        self.network.invented.store(in_each_answer, Ordering::Relaxed);
    }

    /// All mutable items as they are now.
    #[must_use]
    pub fn snapshot(&self) -> DhtSnapshot {
        self.network.items.snapshot()
    }

    /// Puts all mutable items back to what they were earlier.
    pub fn replay(&self, earlier: &DhtSnapshot) {
        self.network.items.replay(earlier);
    }

    /// Waits until other mutable items (BEP 44) have been put.
    #[track_caller]
    pub fn wait_for_other_items(&self, than: &DhtSnapshot, bound: Duration) -> DhtSnapshot {
        wait_until("another mutable item in the DHT", bound, || self.snapshot() != *than);
        self.snapshot()
    }

    /// Waits until so many peers have announced themselves for a package.
    #[track_caller]
    pub fn wait_for_peers(&self, package: &Package, peers: usize, bound: Duration) {
        let info_hash = package.info.info_hash();
        let what = format!("{peers} peers of {} in the DHT", package.file_name());
        wait_until(&what, bound, || self.network.peers(info_hash.as_bytes()).len() >= peers);
    }
}

impl Drop for DhtNetwork {
    fn drop(&mut self) {
        self.network.stopping.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Network {
    fn serve(&self, number: usize, socket: &UdpSocket) {
        let mut packet = [0; 2048];
        while !self.stopping.load(Ordering::Relaxed) {
            match socket.recv_from(&mut packet) {
                Ok((length, SocketAddr::V4(from))) => {
                    if let Some(answer) = self.answer(number, &packet[..length], from) {
                        drop(socket.send_to(&answer, from));
                    }
                }
                Ok((_, SocketAddr::V6(_))) => (),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => (),
                // A client that is gone answers with ICMP.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => (),
                Err(error) => panic!("a DHT node cannot receive: {error}"),
            }
        }
    }

    /// The answer to one query; none to anything else.
    fn answer(&self, number: usize, packet: &[u8], from: SocketAddrV4) -> Option<Vec<u8>> {
        let value = Value::read(packet).ok()?;
        let root = value.as_dictionary()?;
        let arguments = root.get("a")?.as_dictionary()?;
        let info_hash = id(arguments, "info_hash");
        match root.get("q")?.as_bytes()? {
            b"ping" => Some(self.reply(root, number, None, None)),
            b"find_node" => Some(self.reply(root, number, Some(id(arguments, "target")?), None)),
            b"get_peers" => Some(self.reply(root, number, Some(info_hash?), info_hash)),
            b"announce_peer" if arguments.get("token")?.as_bytes()? == TOKEN => {
                let is_implied = arguments.get("implied_port").and_then(Value::as_integer) == Some(1);
                let named = arguments.get("port").and_then(Value::as_integer).and_then(|port| u16::try_from(port).ok());
                let port = if is_implied { from.port() } else { named? };
                let mut announced = self.announced.lock().expect("no thread panics with the lock");
                announced.insert((info_hash?, SocketAddrV4::new(*from.ip(), port)));
                Some(self.reply(root, number, None, None))
            }
            b"get" => Some(self.reply_item(root, number, id(arguments, "target")?)),
            b"put" if arguments.get("token")?.as_bytes()? == TOKEN => {
                self.items.put(arguments)?;
                Some(self.reply(root, number, None, None))
            }
            _ => None,
        }
    }

    /// With the nodes closest to `target`, a token, and the item there, if there is one (BEP 44).
    fn reply_item(&self, query: &Dictionary<'_>, number: usize, target: Id) -> Vec<u8> {
        let item = self.items.get(&target);
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            root.bytes("r").dictionary(|reply| {
                reply.bytes("id").bytes(self.nodes[number].0);
                if let Some(item) = &item {
                    item.write_key(reply);
                }
                reply.bytes("nodes").bytes(self.closest(&target));
                if let Some(item) = &item {
                    item.write_signature(reply);
                }
                reply.bytes("token").bytes(TOKEN);
                if let Some(item) = &item {
                    item.write_value(reply);
                }
            });
            root.bytes("t").bytes(query.get("t").and_then(Value::as_bytes).unwrap_or_default());
            root.bytes("y").bytes("r");
        });
        writer.finish()
    }

    /// With the nodes closest to `near`, and a token and the peers of `info_hash`, where there are any.
    fn reply(&self, query: &Dictionary<'_>, number: usize, near: Option<Id>, info_hash: Option<Id>) -> Vec<u8> {
        let true_peers = info_hash.map(|info_hash| self.peers(&info_hash)).unwrap_or_default();
        let invented = self.invented.load(Ordering::Relaxed);
        let peers: Vec<_> = (0..invented).map(|_| invented_peer()).chain(true_peers).collect();
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            root.bytes("r").dictionary(|reply| {
                reply.bytes("id").bytes(self.nodes[number].0);
                if let Some(near) = near {
                    reply.bytes("nodes").bytes(self.closest(&near));
                }
                if info_hash.is_some() {
                    reply.bytes("token").bytes(TOKEN);
                }
                if !peers.is_empty() {
                    reply.bytes("values").list(|values| {
                        for peer in &peers {
                            values.bytes(compact(*peer));
                        }
                    });
                }
            });
            root.bytes("t").bytes(query.get("t").and_then(Value::as_bytes).unwrap_or_default());
            root.bytes("y").bytes("r");
        });
        writer.finish()
    }

    fn peers(&self, info_hash: &Id) -> Vec<SocketAddrV4> {
        let announced = self.announced.lock().expect("no thread panics with the lock");
        announced.iter().filter(|(of, _)| of == info_hash).map(|(_, peer)| *peer).collect()
    }

    /// Compact node infos (BEP 5).
    fn closest(&self, target: &Id) -> Vec<u8> {
        let mut nodes: Vec<&(Id, SocketAddrV4)> = self.nodes.iter().collect();
        nodes.sort_by_key(|(id, _)| std::array::from_fn::<u8, 20, _>(|index| id[index] ^ target[index]));
        nodes.iter().take(CLOSEST).flat_map(|(id, address)| [&id[..], &compact(*address)].concat()).collect()
    }
}

/// Somewhere in a network that counts as global and that no test has.
fn invented_peer() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from_bits(5 << 24 | rand::random::<u32>() >> 8), rand::random::<u16>() | 1024)
}

fn bind(host: &Host) -> UdpSocket {
    let address = SocketAddr::new(host.address(), 0);
    let bound = host.spawn(move || UdpSocket::bind(address)).join().expect("binding does not panic");
    let socket = bound.expect("a port is free");
    socket.set_read_timeout(Some(LOOK_EVERY)).expect("a socket takes a timeout");
    socket
}

/// The node behind a socket.
fn node(socket: &UdpSocket) -> (Id, SocketAddrV4) {
    match socket.local_addr() {
        Ok(SocketAddr::V4(address)) => (*InfoHash::of(address.to_string().as_bytes()).as_bytes(), address),
        other => panic!("a node is bound to an IPv4 address, not to {other:?}"),
    }
}

fn id(arguments: &Dictionary<'_>, key: &str) -> Option<Id> {
    arguments.get(key)?.as_bytes()?.try_into().ok()
}

fn compact(address: SocketAddrV4) -> [u8; 6] {
    let [a, b, c, d] = Ipv4Addr::octets(address.ip());
    let [high, low] = address.port().to_be_bytes();
    [a, b, c, d, high, low]
}
