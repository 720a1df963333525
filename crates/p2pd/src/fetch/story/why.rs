//! Why each source of a fetch was used, or not, and what happened, in words.

use std::time::Duration;

use p2p_api::{FetchSource, SourceKind};
use p2p_discovery::Origin;

use super::Happening;
use super::record::{Errand, Loan, Record, Service, Torrent, Word};
use crate::config::Policy;
use crate::fetch::shares::Share;
use crate::sharing::Reach;

impl Record {
    /// What happened, for people.
    pub(super) fn text(&self, happening: &Happening) -> String {
        let mirror = |mirror: &usize| self.mirror_name(*mirror);
        match happening {
            Happening::MirrorAsked { mirror: asked, beside: false } => format!("{} is asked", mirror(asked)),
            Happening::MirrorAsked { mirror: asked, beside: true } => {
                format!("{} is asked as well, since the other one is late", mirror(asked))
            }
            Happening::MirrorAnswers(from) => format!("{} answers", mirror(from)),
            Happening::MirrorFails { mirror: from, fault } => format!("{} fails: {fault}", mirror(from)),
            Happening::MirrorStopped => "the mirror is not needed any more".to_owned(),
            Happening::NeighboursAsked => match self.opening.neighbours {
                0 => "neighbours that come now are asked".to_owned(),
                1 => "the neighbour is asked".to_owned(),
                many => format!("{many} neighbours are asked"),
            },
            Happening::NeighbourHas(address) => format!("neighbour {address} has it"),
            Happening::NeighbourWillHave(address) => format!("neighbour {address} is downloading it"),
            Happening::NeighbourSends(address) => format!("neighbour {address} is to send it"),
            Happening::NeighbourSent { address, bytes } => format!("neighbour {address} has sent it, {bytes} bytes"),
            Happening::NeighbourFails(address) => format!("neighbour {address} does not send it"),
            Happening::NeighbourBrings => "it is a neighbour's turn to ask the mirror, and it is waited for".to_owned(),
            Happening::NeighboursEnd => "mirrors wait for no neighbour any more".to_owned(),
            Happening::MetainfoSought => "its pieces are asked for (`.torrent`)".to_owned(),
            Happening::MetainfoFound => "its pieces are known".to_owned(),
            Happening::MetainfoMissing => "nobody knows its pieces".to_owned(),
            Happening::MetainfoDisputed => "the pieces contradict what the mirror sends".to_owned(),
            Happening::PeersSought => "peers are looked for".to_owned(),
            Happening::PeerFound { address, origin } => format!("peer {address} is found {}", by(*origin)),
            Happening::SwarmJoined => "the swarm is joined".to_owned(),
            Happening::SwarmLeft => "the swarm is left".to_owned(),
            Happening::WebseedJoins(from) => format!("{} sends pieces to the swarm", mirror(from)),
            Happening::Shared { share: Share::Own, others } => {
                format!("mirrors are asked for our part of it: {others} nearby have it, or download it, too")
            }
            Happening::Shared { share: Share::Deputy, .. } => {
                "mirrors are asked for more than our part, since others nearby are late with theirs".to_owned()
            }
            Happening::Shared { share: Share::Everything, .. } => {
                "mirrors are asked for whatever is missing".to_owned()
            }
            Happening::WebseedLeaves(from) => format!("{} is not asked for pieces any more", mirror(from)),
            Happening::PeerCut => "a peer that sits on a piece is parted from".to_owned(),
            Happening::BegunAnew => "the file is begun anew".to_owned(),
            Happening::Verified(true) => "its SHA-256 is right".to_owned(),
            Happening::Verified(false) => "its SHA-256 is wrong".to_owned(),
            Happening::MirrorsAlone => "from here on mirrors alone may send it".to_owned(),
        }
    }

    /// Who was there to be asked.
    pub(super) fn sources(&self) -> Vec<FetchSource> {
        let mut sources = Vec::new();
        let mut add = |kind, name: String, bytes, why| sources.push(FetchSource { kind, name, bytes, why });
        for (index, service) in self.mirrors.iter().enumerate() {
            add(SourceKind::Mirror, self.mirror_name(index).to_owned(), service.bytes, self.why_mirror(index, service));
        }
        for (address, loan) in self.neighbours.iter().filter(|(_, loan)| loan.is_of_use()) {
            let why = why_neighbour(*loan, self.found.get(address).is_some_and(|bytes| *bytes > 0));
            add(SourceKind::Neighbour, address.to_string(), loan.bytes, why.to_owned());
        }
        if let Some(why) = self.why_no_neighbour() {
            add(SourceKind::Neighbour, String::new(), 0, why);
        }
        for (address, bytes) in self.found.iter().filter(|(_, bytes)| **bytes > 0) {
            add(SourceKind::Peer, address.to_string(), *bytes, "was in the swarm".to_owned());
        }
        let lent: u64 = self.neighbours.values().map(|loan| loan.bytes).sum();
        add(SourceKind::Peer, String::new(), self.from_peers.saturating_sub(lent), self.why_swarm());
        sources
    }

    fn why_mirror(&self, index: usize, service: &Service) -> String {
        let rests_for = self.opening.mirrors.get(index).and_then(|mirror| mirror.rests_for);
        match service {
            Service { fault: Some(fault), bytes: 0, .. } => format!("failed: {fault}"),
            Service { fault: Some(fault), .. } => format!("sent a part, and failed: {fault}"),
            Service { bytes, .. } if *bytes > 0 && self.opening.size.is_none_or(|size| *bytes >= size) => {
                "sent all of it".to_owned()
            }
            Service { bytes: 1.., .. } => "sent a part of it".to_owned(),
            Service { answered: true, .. } => "answered, and another source was quicker".to_owned(),
            Service { asked: true, .. } => "was asked, and another source was quicker".to_owned(),
            Service { asked: false, .. } => match rests_for {
                Some(rest) => format!("is left alone for {}, since it failed lately", seconds(rest)),
                None => "was not needed".to_owned(),
            },
        }
    }

    /// Why no neighbour was of any use.
    fn why_no_neighbour(&self) -> Option<String> {
        let why = match self.opening.reach {
            None => "are not asked: no sync database lists this file",
            Some(Reach::Nobody) => "are not asked: this package is nobody else's business",
            Some(Reach::Lan) => "are not asked: no sync database lists this version any more",
            Some(Reach::Public) if self.neighbours.values().any(Loan::is_of_use) => return None,
            Some(Reach::Public) if self.opening.neighbours == 0 => "none was connected",
            Some(Reach::Public) if self.neighbours_asked => "were asked, and none said in time that it has it",
            Some(Reach::Public) => "were not asked: the file was here already, or complete at once",
        };
        Some(why.to_owned())
    }

    fn why_swarm(&self) -> String {
        let found = self.found.len();
        if let Some(after) = self.swarm_joined {
            return format!("the swarm was joined after {} ms; {}", after.as_millis(), peers(found));
        }
        match (self.opening.reach, self.torrent) {
            (None, _) => "no swarm: no sync database lists this file".to_owned(),
            (Some(Reach::Nobody), _) => "no swarm: this package is nobody else's business".to_owned(),
            (Some(Reach::Lan), _) => "no swarm: no sync database lists this version any more".to_owned(),
            (Some(Reach::Public), _) if self.mirrors_alone => {
                "no swarm: a client reads what the mirror sends".to_owned()
            }
            (Some(Reach::Public), Torrent::NotSought) if self.opening.pieces <= 1 => {
                "no swarm: a package of one piece stays with its mirror".to_owned()
            }
            (Some(Reach::Public), Torrent::NotSought | Torrent::Sought) if self.opening.policy == Policy::Speed => {
                "no swarm: another source was quicker than its search".to_owned()
            }
            (Some(Reach::Public), Torrent::NotSought | Torrent::Sought) => {
                "no swarm: the file was complete before anybody told its pieces".to_owned()
            }
            (Some(Reach::Public), Torrent::Missing) => {
                "no swarm: no mirror has its `.torrent`, and no neighbour tells its pieces".to_owned()
            }
            (Some(Reach::Public), Torrent::Disputed) => "no swarm: its pieces contradict the mirror".to_owned(),
            (Some(Reach::Public), Torrent::Found) if found == 0 => "no swarm: no peer was found".to_owned(),
            (Some(Reach::Public), Torrent::Found) => {
                format!("no swarm: {}, but another source was quicker", peers(found))
            }
        }
    }
}

impl Loan {
    fn is_of_use(&self) -> bool {
        self.word != Word::Nothing || self.errand != Errand::NotAsked
    }
}

fn why_neighbour(loan: Loan, is_in_swarm: bool) -> &'static str {
    match loan {
        Loan { bytes: 1.., .. } => "has it, and sent it whole",
        Loan { errand: Errand::Failed, .. } => "has it, as it says, but did not send it",
        Loan { errand: Errand::Asked, .. } => "was to send it, and another source was quicker",
        Loan { word: Word::WillHave, .. } if is_in_swarm => "was downloading it, and was in the swarm",
        Loan { .. } if is_in_swarm => "has it, and was in the swarm",
        Loan { word: Word::WillHave, .. } => "was downloading it, and another source was quicker",
        Loan { .. } => "has it, and another source was quicker",
    }
}

fn by(origin: Origin) -> &'static str {
    match origin {
        Origin::Configured => "in the configuration",
        Origin::Lan => "on the local network",
        Origin::Tracker => "by a tracker",
        Origin::Dht => "by the DHT or a neighbour",
    }
}

fn peers(number: usize) -> String {
    match number {
        0 => "no peer was found".to_owned(),
        1 => "1 peer was found".to_owned(),
        many => format!("{many} peers were found"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs().max(1))
}
