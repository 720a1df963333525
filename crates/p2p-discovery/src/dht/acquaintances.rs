//! The nodes that our own node may be introduced to.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

/// Nodes that asked us for others lately.
const MAX_VISITORS: usize = 64;
/// Nodes to begin with: the configured ones, and those of our last run.
const MAX_ORIGINS: usize = 220;
/// Introduced at once, of each kind.
const MAX_INTRODUCED: usize = 8;

/// Addresses of nodes, without any promise that they live.
#[derive(Debug, Default)]
pub(super) struct Acquaintances {
    /// The latest last.
    visitors: VecDeque<SocketAddrV4>,
    origins: VecDeque<SocketAddrV4>,
    strangers: u64,
}

impl Acquaintances {
    /// A node has asked us for others.
    pub(super) fn visit(&mut self, node: SocketAddrV4) {
        let known = self.visitors.iter().position(|visitor| *visitor == node);
        match known {
            Some(at) => drop(self.visitors.remove(at)),
            None => self.strangers += 1,
        }
        self.visitors.push_back(node);
        if self.visitors.len() > MAX_VISITORS {
            self.visitors.pop_front();
        }
    }

    /// A node to begin with.
    pub(super) fn begin_with(&mut self, node: SocketAddrV4) {
        if self.origins.len() < MAX_ORIGINS && !self.origins.contains(&node) {
            self.origins.push_back(node);
            self.strangers += 1;
        }
    }

    /// Grows with every node that was not known before.
    pub(super) fn strangers(&self) -> u64 {
        self.strangers
    }

    /// Some nodes; other ones each time, as long as there are others.
    pub(super) fn introduce(&mut self) -> Vec<SocketAddrV4> {
        let mut nodes: Vec<_> = self.visitors.iter().rev().take(MAX_INTRODUCED).copied().collect();
        let turn = self.origins.len().min(MAX_INTRODUCED);
        nodes.extend(self.origins.iter().take(turn).filter(|node| !self.visitors.contains(node)));
        self.origins.rotate_left(turn);
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u16) -> SocketAddrV4 {
        SocketAddrV4::new([10, 0, 0, 1].into(), number)
    }

    #[test]
    fn the_latest_visitors_are_introduced_with_ever_other_nodes_to_begin_with() {
        let mut nodes = Acquaintances::default();
        (1..=10).for_each(|number| nodes.visit(node(number)));
        nodes.visit(node(1));
        (101..=112).for_each(|number| nodes.begin_with(node(number)));
        let first = nodes.introduce();
        assert_eq!(first.len(), 16);
        assert_eq!(first[..2], [node(1), node(10)]);
        assert!(first.contains(&node(101)) && !first.contains(&node(112)));
        assert!(nodes.introduce().contains(&node(112)));
    }

    #[test]
    fn floods_of_visitors_do_not_grow_the_lists() {
        let mut nodes = Acquaintances::default();
        for number in 0..u16::MAX {
            nodes.visit(node(number));
            nodes.begin_with(node(number));
        }
        assert_eq!((nodes.visitors.len(), nodes.origins.len()), (MAX_VISITORS, MAX_ORIGINS));
    }
}
