//! What an introducer answers: KRPC (BEP 5), reduced to the one answer "ask these nodes".
//!
//! The crate `mainline` adds a node to its routing table only when the node has answered it. So on an island, where
//! everybody knows one first node, that first node would never know anybody. And it asks all its bootstrap nodes again
//! and again while its table is small, so a long list from our last run would be a flood. Both are solved by giving it
//! one bootstrap node, ourselves at a loopback address, that names a few nodes at a time: visitors, and known ones.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use p2p_package::{Value, Writer};

use super::acquaintances::Acquaintances;

/// A node's copies of one question come within this time.
const SAME_QUESTION: Duration = Duration::from_millis(200);
/// Between two introductions of a node that only fills its table, at first and at last. It tries without pause.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_mins(1)];

/// The introducer of one node.
#[derive(Debug)]
pub(super) struct Introduction {
    node_id: Option<[u8; 20]>,
    question: Option<Question>,
    filled_at: Option<Instant>,
    pause: Duration,
    strangers: u64,
}

#[derive(Debug)]
struct Question {
    target: [u8; 20],
    asked_at: Instant,
    nodes: Vec<SocketAddrV4>,
}

impl Default for Introduction {
    fn default() -> Self {
        Self { node_id: None, question: None, filled_at: None, pause: PAUSES[0], strangers: 0 }
    }
}

impl Introduction {
    /// The answer to a query of our own node; none where silence makes it wait.
    pub(super) fn answer(&mut self, query: &[u8], nodes: &mut Acquaintances, now: Instant) -> Option<Vec<u8>> {
        let query = Value::read(query).ok()?;
        let query = query.as_dictionary()?;
        let transaction = query.get("t")?.as_bytes()?;
        let arguments = query.get("a")?.as_dictionary()?;
        let bytes = |key: &str| <[u8; 20]>::try_from(arguments.get(key)?.as_bytes()?).ok();
        if query.get("q")?.as_bytes()? == b"ping" {
            // Pings carry a random id, and come after the query.
            return self.node_id.filter(|_| self.question.is_some()).map(|id| encode(transaction, id, None));
        }
        let target = bytes("target").or_else(|| bytes("info_hash"))?;
        let node_id = bytes("id")?;
        self.node_id = Some(node_id);
        let is_same = |question: &Question| question.target == target && now < question.asked_at + SAME_QUESTION;
        if !self.question.as_ref().is_some_and(is_same) {
            let nodes = self.introduce(target == node_id, nodes, now);
            self.question = nodes.map(|nodes| Question { target, asked_at: now, nodes });
        }
        // The answer bears the asker's own id, so that the introducer never gets into its table.
        self.question.as_ref().map(|question| encode(transaction, node_id, Some(&question.nodes)))
    }

    fn introduce(&mut self, fills_table: bool, nodes: &mut Acquaintances, now: Instant) -> Option<Vec<SocketAddrV4>> {
        if fills_table {
            if nodes.strangers() != self.strangers {
                self.strangers = nodes.strangers();
                self.pause = PAUSES[0];
            } else if self.filled_at.is_some_and(|last| now < last + self.pause) {
                return None;
            } else {
                self.pause = (2 * self.pause).min(PAUSES[1]);
            }
            self.filled_at = Some(now);
        }
        Some(nodes.introduce()).filter(|nodes| !nodes.is_empty())
    }
}

fn encode(transaction: &[u8], id: [u8; 20], nodes: Option<&[SocketAddrV4]>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.dictionary(|answer| {
        answer.bytes("r").dictionary(|values| {
            values.bytes("id").bytes(id);
            if let Some(nodes) = nodes {
                values.bytes("nodes").bytes(compact(nodes));
            }
        });
        answer.bytes("t").bytes(transaction).bytes("y").bytes("r");
    });
    writer.finish()
}

/// Ids are made up: far apart, so that they never displace real nodes near the target. The true one comes with the
/// node's own answer.
fn compact(nodes: &[SocketAddrV4]) -> Vec<u8> {
    let mut compact = Vec::with_capacity(26 * nodes.len());
    for node in nodes {
        let [a, b, c, d] = node.ip().octets();
        let [high, low] = node.port().to_be_bytes();
        let mut id = [0; 20];
        for (at, byte) in id.iter_mut().enumerate() {
            let at = u8::try_from(at).expect("20 bytes");
            *byte = (a ^ c ^ low).wrapping_mul(167).wrapping_add((b ^ d ^ high).wrapping_mul(at | 1)).wrapping_add(at);
        }
        compact.extend_from_slice(&id);
        compact.extend_from_slice(&[a, b, c, d, high, low]);
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &[u8; 20] = b"iiiiiiiiiiiiiiiiiiii";

    fn find_node(target: &[u8; 20]) -> Vec<u8> {
        [b"d1:ad2:id20:", &ID[..], b"6:target20:", target, b"e1:q9:find_node1:t4:abcd1:y1:qe"].concat()
    }

    fn acquaintances() -> Acquaintances {
        let mut nodes = Acquaintances::default();
        nodes.visit(SocketAddrV4::new([10, 0, 0, 1].into(), 80));
        nodes
    }

    #[test]
    fn a_query_is_answered_with_nodes_under_the_askers_own_id() {
        let mut introduction = Introduction::default();
        let answer = introduction.answer(&find_node(b"tttttttttttttttttttt"), &mut acquaintances(), Instant::now());
        let answer = answer.expect("there is somebody to name");
        let value = Value::read(&answer).expect("bencoded");
        let root = value.as_dictionary().expect("a dictionary");
        let values = root.get("r").and_then(Value::as_dictionary).expect("values");
        assert_eq!(root.get("t").and_then(Value::as_bytes), Some(&b"abcd"[..]));
        assert_eq!(values.get("id").and_then(Value::as_bytes), Some(&ID[..]));
        let nodes = values.get("nodes").and_then(Value::as_bytes).expect("nodes");
        assert_eq!((nodes.len(), &nodes[20..]), (26, &[10, 0, 0, 1, 0, 80][..]));
    }

    #[test]
    fn a_ping_after_a_query_is_answered_with_the_querys_id() {
        let ping = b"d1:ad2:id20:rrrrrrrrrrrrrrrrrrrre1:q4:ping1:t4:abcd1:y1:qe";
        let mut introduction = Introduction::default();
        assert_eq!(introduction.answer(ping, &mut acquaintances(), Instant::now()), None);
        introduction.answer(&find_node(ID), &mut acquaintances(), Instant::now());
        let pong = introduction.answer(ping, &mut acquaintances(), Instant::now()).expect("known by now");
        assert_eq!(pong, [b"d1:rd2:id20:", &ID[..], b"e1:t4:abcd1:y1:re"].concat());
    }

    #[test]
    fn a_node_that_fills_its_table_for_ever_is_told_more_and_more_rarely() {
        let start = Instant::now();
        let mut introduction = Introduction::default();
        let mut nodes = acquaintances();
        let mut told =
            |second| introduction.answer(&find_node(ID), &mut nodes, start + Duration::from_secs(second)).is_some();
        let answers = (0..600).filter(|second| told(*second)).count();
        assert!((8..20).contains(&answers), "{answers}");
    }

    #[test]
    fn copies_of_a_question_get_the_same_answer_and_a_look_up_always_one() {
        let start = Instant::now();
        let mut introduction = Introduction::default();
        let mut nodes = acquaintances();
        for target in [ID, b"tttttttttttttttttttt", b"uuuuuuuuuuuuuuuuuuuu"] {
            let first = introduction.answer(&find_node(target), &mut nodes, start);
            assert!(first.is_some());
            assert_eq!(introduction.answer(&find_node(target), &mut nodes, start), first);
        }
    }

    #[test]
    fn who_knows_nobody_is_silent() {
        let mut introduction = Introduction::default();
        assert_eq!(introduction.answer(&find_node(ID), &mut Acquaintances::default(), Instant::now()), None);
        assert_eq!(introduction.answer(b"d1:ae", &mut acquaintances(), Instant::now()), None);
    }
}
