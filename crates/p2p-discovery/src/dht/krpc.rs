//! The two queries of an announce, and their answers (KRPC, BEP 5).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use p2p_package::{InfoHash, Value, Writer};

/// Nodes taken from one answer, and peers: more than a node should send.
const MAX_NODES: usize = 16;
const MAX_PEERS: usize = 200;
/// Bytes of a token; real ones have 4 to 20.
const MAX_TOKEN_BYTES: usize = 64;
/// Bytes of one node in an answer: id, address, port.
const COMPACT_NODE: usize = 26;

/// The id of a node.
pub(super) type NodeId = [u8; 20];

/// Somebody in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) address: SocketAddrV4,
}

/// What a node is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Query {
    GetPeers(InfoHash),
    Announce { info_hash: InfoHash, port: u16, token: Vec<u8> },
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: NodeId,
    pub(super) nodes: Vec<Node>,
    pub(super) peers: Vec<SocketAddr>,
    pub(super) token: Option<Vec<u8>>,
}

impl Query {
    /// The datagram. It says that we answer nothing (BEP 43), so that nobody takes us for a node. `mainline` ignores
    /// queries whose transaction id has not 4 bytes.
    pub(super) fn encode(&self, own: &NodeId, transaction: u32) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.dictionary(|query| {
            query.bytes("a").dictionary(|arguments| {
                arguments.bytes("id").bytes(own);
                match self {
                    Self::GetPeers(info_hash) => drop(arguments.bytes("info_hash").bytes(info_hash.as_bytes())),
                    Self::Announce { info_hash, port, token } => {
                        arguments.bytes("implied_port").integer(0);
                        arguments.bytes("info_hash").bytes(info_hash.as_bytes());
                        arguments.bytes("port").integer(*port).bytes("token").bytes(token);
                    }
                }
            });
            let name = if matches!(self, Self::GetPeers(_)) { "get_peers" } else { "announce_peer" };
            query.bytes("q").bytes(name).bytes("ro").integer(1);
            query.bytes("t").bytes(transaction.to_be_bytes()).bytes("y").bytes("q");
        });
        writer.finish()
    }
}

/// The transaction of any datagram that answers something, and the answer; an error has none.
pub(super) fn read(datagram: &[u8]) -> Option<(u32, Option<Answer>)> {
    let value = Value::read(datagram).ok()?;
    let root = value.as_dictionary()?;
    let transaction = u32::from_be_bytes(root.get("t")?.as_bytes()?.try_into().ok()?);
    match root.get("y")?.as_bytes()? {
        b"r" => Some((transaction, answer(root.get("r")?))),
        b"e" => Some((transaction, None)),
        _ => None,
    }
}

fn answer(values: &Value<'_>) -> Option<Answer> {
    let values = values.as_dictionary()?;
    let id = values.get("id")?.as_bytes()?.try_into().ok()?;
    let nodes = values.get("nodes").and_then(Value::as_bytes).unwrap_or_default();
    let nodes = nodes.chunks_exact(COMPACT_NODE).filter_map(node).take(MAX_NODES).collect();
    let peers = values.get("values").and_then(Value::as_list).unwrap_or_default();
    let peers = peers.iter().filter_map(|peer| address(peer.as_bytes()?)).map(SocketAddr::V4);
    let peers = peers.take(MAX_PEERS).collect();
    let token = values.get("token").and_then(Value::as_bytes).filter(|token| token.len() <= MAX_TOKEN_BYTES);
    Some(Answer { id, nodes, peers, token: token.map(<[u8]>::to_vec) })
}

fn node(compact: &[u8]) -> Option<Node> {
    let (id, rest) = compact.split_first_chunk::<20>()?;
    Some(Node { id: *id, address: address(rest)? })
}

/// An address where somebody may be.
fn address(compact: &[u8]) -> Option<SocketAddrV4> {
    let [a, b, c, d, high, low] = compact.try_into().ok()?;
    let (ip, port) = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low]));
    let is_usable = port != 0 && !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast();
    is_usable.then_some(SocketAddrV4::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeId = *b"iiiiiiiiiiiiiiiiiiii";

    #[test]
    fn queries_are_what_bep_5_says() {
        let info_hash = InfoHash::from_bytes(*b"hhhhhhhhhhhhhhhhhhhh");
        let query = Query::GetPeers(info_hash).encode(&OWN, 0x6162_6364);
        let text =
            "d1:ad2:id20:iiiiiiiiiiiiiiiiiiii9:info_hash20:hhhhhhhhhhhhhhhhhhhhe1:q9:get_peers2:roi1e1:t4:abcd1:y1:qe";
        assert_eq!(String::from_utf8_lossy(&query), text);
        let query = Query::Announce { info_hash, port: 7, token: b"tk".to_vec() }.encode(&OWN, 0x6162_6364);
        let text = "d1:ad2:id20:iiiiiiiiiiiiiiiiiiii12:implied_porti0e9:info_hash20:hhhhhhhhhhhhhhhhhhhh4:porti7e5:token2:tke1:q13:announce_peer2:roi1e1:t4:abcd1:y1:qe";
        assert_eq!(String::from_utf8_lossy(&query), text);
    }

    #[test]
    fn answers_are_read_and_nonsense_in_them_left_out() {
        let good = [&[1; 20][..], &[10, 0, 0, 1, 0, 80]].concat();
        let zero_port = [&[2; 20][..], &[10, 0, 0, 2, 0, 0]].concat();
        let multicast = [&[3; 20][..], &[224, 0, 0, 1, 0, 9]].concat();
        let nodes = [good, zero_port, multicast, vec![7; 5]].concat();
        let head = format!("d1:rd2:id20:iiiiiiiiiiiiiiiiiiii5:nodes{}:", nodes.len());
        let tail = b"5:token2:tk6:valuesl6:\x0a\x00\x00\x01\x00\x503:xxxee1:t4:abcd1:y1:re";
        let (transaction, answer) = read(&[head.as_bytes(), &nodes, tail].concat()).expect("an answer");
        assert_eq!(transaction, 0x6162_6364);
        let address = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80);
        let nodes = vec![Node { id: [1; 20], address }];
        let (peers, token) = (vec![address.into()], Some(b"tk".to_vec()));
        assert_eq!(answer, Some(Answer { id: OWN, nodes, peers, token }));
        assert_eq!(read(b"d1:eli201e1:xe1:t4:abcd1:y1:ee"), Some((0x6162_6364, None)));
        for nonsense in [&b""[..], b"de", b"d1:t2:ab1:y1:re", b"d1:t4:abcd1:y1:qe"] {
            assert_eq!(read(nonsense), None);
        }
    }
}
