use super::*;

/// A DHT in which everybody knows some of everybody, the nearer the more; every `dead`th node is silent.
struct Network {
    nodes: Vec<Node>,
    dead: usize,
    /// Where liars are, who name ever nearer nodes: themselves at other ports, and addresses where nobody is.
    liars: Vec<std::net::Ipv4Addr>,
}

fn id(number: u32) -> NodeId {
    *InfoHash::of(&number.to_be_bytes()).as_bytes()
}

fn errand(info_hash: InfoHash) -> Errand {
    Errand { info_hash, port: 7, tell_below: u32::MAX }
}

fn address(number: u32) -> SocketAddrV4 {
    SocketAddrV4::new((0x0b00_0000 + number).into(), 6881)
}

impl Network {
    fn new(number: u32, dead: usize) -> Self {
        let mut nodes: Vec<_> = (0..number).map(|number| Node { id: id(number), address: address(number) }).collect();
        nodes.sort();
        Self { nodes, dead, liars: Vec::new() }
    }

    fn is_dead(&self, node: Node) -> bool {
        self.dead > 0 && usize::from(node.id[19]) % self.dead == 0
    }

    /// The nodes that the one asked has in its bucket for the target, and its own neighbours.
    fn answer(&self, asked: Node, target: &NodeId) -> Answer {
        let near = distance(&asked.id, target);
        let mut closer: Vec<_> = self.nodes.iter().filter(|node| distance(&node.id, target) < near).copied().collect();
        // As a bucket does, it knows those that share just one more bit about as well as the nearest.
        let step = (closer.len() / 16).max(1);
        closer.sort_by_key(|node| distance(&node.id, &asked.id));
        let nodes = closer.into_iter().step_by(step).take(8).collect();
        let peers = vec![SocketAddr::from(([192, 0, 2, 1], 1))];
        Answer { id: asked.id, nodes, peers, token: Some(asked.id[..4].to_vec()) }
    }

    /// What a liar says at one of its ports.
    fn lie(at: SocketAddrV4, target: &NodeId) -> Answer {
        let nearer = |number: u16| {
            let mut id = *target;
            id[18..].copy_from_slice(&number.to_be_bytes());
            id
        };
        let themselves = |number| Node { id: nearer(number), address: SocketAddrV4::new(*at.ip(), number) };
        let nobody = |number: u16| {
            let ip = u32::from_be_bytes([77, at.ip().octets()[2], at.ip().octets()[3], number.to_be_bytes()[1]]);
            Node { id: nearer(number), address: SocketAddrV4::new(ip.into(), at.port()) }
        };
        let first = at.port() % 10_000 + 1;
        let nodes = (first..first + 8).map(themselves).chain((20_000..20_008).map(nobody)).collect();
        Answer { id: nearer(at.port()), nodes, peers: Vec::new(), token: Some(vec![1]) }
    }

    /// Runs a walk to its end; who was told.
    fn run(&self, walk: &mut Walk, target: &NodeId) -> Vec<Node> {
        let (mut now, mut told) = (Instant::now(), Vec::new());
        let mut answers = std::collections::VecDeque::new();
        loop {
            while let Some((to, transaction, query)) = walk.poll_query(now) {
                if self.liars.contains(to.ip()) {
                    answers.push_back((to, transaction, Self::lie(to, target)));
                    continue;
                }
                let Some(node) = self.nodes.iter().find(|node| node.address == to).copied() else {
                    assert!(!self.liars.is_empty(), "only nodes are asked");
                    continue;
                };
                if self.is_dead(node) {
                    continue;
                }
                if let Query::Announce { token, .. } = &query {
                    assert_eq!(token[..], node.id[..4], "each gets its own token");
                    told.push(node);
                }
                answers.push_back((to, transaction, self.answer(node, target)));
            }
            if let Some((from, transaction, answer)) = answers.pop_front() {
                walk.handle_answer(from, transaction, Some(answer));
            } else if let Some(timeout) = walk.poll_timeout() {
                now = now.max(timeout);
            } else {
                return told;
            }
        }
    }
}

#[test]
fn the_nearest_nodes_are_told_with_few_packets() {
    for dead in [0, 3] {
        let network = Network::new(5000, dead);
        let mut sent = 0;
        for number in 0..20 {
            let target = InfoHash::of(&[number]);
            let start = &network.nodes[usize::from(number) * 100..][..8];
            let mut walk = Walk::new(errand(target), start, &[]);
            let told = network.run(&mut walk, target.as_bytes());
            let result = walk.end();
            sent += result.packets;
            assert_eq!(result.told as usize, told.len());
            assert!((6..=8).contains(&told.len()), "{}", told.len());
            let mut alive: Vec<_> = network.nodes.iter().filter(|node| !network.is_dead(**node)).collect();
            alive.sort_by_key(|node| distance(&node.id, target.as_bytes()));
            let near = told.iter().filter(|node| alive[..16].contains(node)).count();
            assert!(near >= 5, "{near} of {} are near", told.len());
            assert_eq!(result.peers.len(), 1);
        }
        assert!(sent / 20 <= 36, "{sent} packets for 20 walks, dead: {dead}");
    }
}

#[test]
fn nodes_of_unknown_id_are_enough_to_begin_with() {
    let network = Network::new(20, 0);
    let target = InfoHash::of(b"wanted");
    let mut walk = Walk::new(errand(target), &[], &[address(3), address(4)]);
    assert_eq!(network.run(&mut walk, target.as_bytes()).len(), 8);
    let mut walk = Walk::new(errand(target), &[], &[]);
    assert_eq!((network.run(&mut walk, target.as_bytes()).len(), walk.end().packets), (0, 0));
}

#[test]
fn a_walk_among_liars_ends() {
    let target = InfoHash::of(b"wanted");
    let mut walk = Walk::new(errand(target), &[], &[address(0)]);
    let (now, mut number) = (Instant::now(), 0_u32);
    while let Some((to, transaction, _)) = walk.poll_query(now) {
        // Each names others that are nearer than any real one.
        let nodes = (number + 1..number + 17).map(|number| {
            let mut id = *target.as_bytes();
            id[16..].copy_from_slice(&number.to_be_bytes());
            Node { id, address: address(number) }
        });
        let answer = Answer { id: id(number), nodes: nodes.collect(), peers: Vec::new(), token: None };
        number += 16;
        walk.handle_answer(to, transaction, Some(answer));
    }
    assert_eq!((walk.poll_timeout(), walk.end().packets), (None, MAX_QUESTIONS));
}

#[test]
fn two_liars_near_the_hash_do_not_keep_us_from_those_that_are() {
    let mut network = Network::new(5000, 0);
    for number in 0..20 {
        let target = InfoHash::of(&[number]);
        let mut nearest = network.nodes.clone();
        nearest.sort_by_key(|node| distance(&node.id, target.as_bytes()));
        network.liars = [0, 1].map(|at| *nearest[at].address.ip()).to_vec();
        let start = &network.nodes[usize::from(number) * 100..][..8];
        let mut walk = Walk::new(errand(target), start, &[]);
        let told = network.run(&mut walk, target.as_bytes());
        let near = told.iter().filter(|node| nearest[..16].contains(node)).count();
        assert!(near >= 5, "{near} of {} honest ones are near", told.len());
        assert!(walk.end().packets <= MAX_PACKETS);
    }
}

#[test]
fn answers_of_strangers_and_errors_count_for_nothing() {
    let target = InfoHash::of(b"wanted");
    let mut walk = Walk::new(errand(target), &[], &[address(0), address(1)]);
    let now = Instant::now();
    let (first, second) = (walk.poll_query(now).expect("a question"), walk.poll_query(now).expect("another"));
    let answer = Answer { id: id(9), nodes: Vec::new(), peers: Vec::new(), token: Some(vec![1]) };
    walk.handle_answer(address(7), first.1, Some(answer.clone()));
    walk.handle_answer(first.0, 77, Some(answer));
    walk.handle_answer(second.0, second.1, None);
    assert_eq!(walk.poll_timeout(), Some(now + PATIENCE));
    assert!(walk.poll_query(now + PATIENCE).is_none());
    assert_eq!(walk.poll_timeout(), None);
    let result = walk.end();
    assert_eq!((result.told, result.alive.len(), &result.silent[..]), (0, 0, &[first.0][..]));
}
