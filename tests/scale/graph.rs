//! Who is connected to whom.

/// Connections among members, who are numbered from 0.
pub(crate) struct Graph {
    neighbours: Vec<Vec<usize>>,
}

impl Graph {
    pub(crate) fn new(members: usize) -> Self {
        Self { neighbours: vec![Vec::new(); members] }
    }

    pub(crate) fn members(&self) -> usize {
        self.neighbours.len()
    }

    pub(crate) fn of(&self, member: usize) -> &[usize] {
        &self.neighbours[member]
    }

    pub(crate) fn connect(&mut self, one: usize, other: usize) {
        self.neighbours[one].push(other);
        self.neighbours[other].push(one);
    }

    pub(crate) fn leave(&mut self, member: usize) {
        for neighbour in std::mem::take(&mut self.neighbours[member]) {
            self.neighbours[neighbour].retain(|other| *other != member);
        }
    }

    /// How many neighbours each has, the fewest first.
    pub(crate) fn degrees(&self) -> Vec<usize> {
        let mut degrees: Vec<usize> = self.neighbours.iter().map(Vec::len).collect();
        degrees.sort_unstable();
        degrees
    }

    /// The members of the largest part whose members all reach one another.
    pub(crate) fn largest_part(&self) -> usize {
        let mut was_reached = vec![false; self.members()];
        (0..self.members()).map(|first| self.reach(first, &mut was_reached)).max().unwrap_or(0)
    }

    /// How many are reached anew from `first`.
    fn reach(&self, first: usize, was_reached: &mut [bool]) -> usize {
        if std::mem::replace(&mut was_reached[first], true) {
            return 0;
        }
        let (mut next, mut reached) = (vec![first], 1);
        while let Some(member) = next.pop() {
            for neighbour in &self.neighbours[member] {
                if !std::mem::replace(&mut was_reached[*neighbour], true) {
                    reached += 1;
                    next.push(*neighbour);
                }
            }
        }
        reached
    }

    /// Neighbours, and theirs, each once, without the member.
    pub(crate) fn within_two(&self, member: usize) -> Vec<usize> {
        let near = self.of(member);
        let mut all: Vec<usize> = near.iter().flat_map(|one| self.of(*one)).chain(near).copied().collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|one| *one != member);
        all
    }
}
