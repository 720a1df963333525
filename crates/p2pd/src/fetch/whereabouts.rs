//! Where packages are that somebody here wants: which neighbours have them, and who is to ask a mirror.
//!
//! A transaction asks about all of its packages at once, a fetch outside of one about its own; what neighbours answer, and tell
//! later by `arrived`, is kept for as long as somebody wants the package.

mod attendant;
mod hypotheses;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use p2p_neighbours::{Answer, Asker, Neighbour, NeighbourId, Neighbours, Replies, Reply};
use p2p_package::{Info, InfoHash, PackageId, Sha256};
use p2p_wire::{MAX_GET_BYTES, PeerId, Wishes};
use tokio::sync::{Notify, Semaphore, watch};

use super::shares::Machine;
use super::turns::{Peer, Said, Turn, Turns};
use crate::config::Policy;
use crate::services::Services;
pub(crate) use attendant::attend;
use hypotheses::Hypotheses;

/// Packages that one neighbour sends us at one time: it takes one more.
const LOANS: usize = 3;

/// What is known of the packages that are wanted.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    us: Machine,
    book: Mutex<Book>,
    /// Told when it may be somebody else's turn.
    changed: watch::Sender<()>,
    /// Told when the attendant has to look at its clock.
    alarm: Notify,
}

#[derive(Debug)]
struct Book {
    turns: Turns<NeighbourId>,
    present: BTreeMap<NeighbourId, Neighbour>,
    /// Large packages that are wanted, and what neighbours say of their pieces.
    large: BTreeMap<Sha256, (PackageId, Hypotheses<NeighbourId>)>,
    /// Shared packages that a mirror is sending us.
    coming: BTreeMap<Sha256, usize>,
    loans: BTreeMap<NeighbourId, Arc<Semaphore>>,
}

/// What there is to know of one package.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) turn: Turn,
    /// Who has it, by their own word.
    pub(crate) holders: Vec<Neighbour>,
    /// Who is downloading it, too, or will.
    pub(crate) companions: Vec<Neighbour>,
    /// Of a large package: those nearby who are downloading it, too, will, or have it.
    pub(crate) company: BTreeSet<Machine>,
    /// Whether somebody who was asked may still answer.
    pub(crate) is_unanswered: bool,
    /// Who is to bring it, and until when it is waited for at the latest.
    pub(crate) waited_for: Option<Neighbour>,
    pub(crate) wait_ends: Option<Instant>,
    /// What most of them say of its pieces.
    pub(crate) info: Option<Info>,
    /// How many different things they say.
    pub(crate) infos: usize,
}

/// Packages that somebody wants; dropped, they are forgotten.
#[derive(Debug)]
pub(crate) struct Wish {
    whereabouts: Arc<Whereabouts>,
    ids: Vec<Sha256>,
}

/// A package that a mirror is sending, while it does.
#[derive(Debug)]
pub(crate) struct Coming {
    whereabouts: Arc<Whereabouts>,
    id: Sha256,
}

impl Whereabouts {
    /// Nothing is wanted yet; `us` is what our neighbours know us by.
    pub(crate) fn new(us: PeerId) -> Self {
        let book = Book {
            turns: Turns::new(*us.as_bytes()),
            present: BTreeMap::new(),
            large: BTreeMap::new(),
            coming: BTreeMap::new(),
            loans: BTreeMap::new(),
        };
        Self { us: *us.as_bytes(), book: Mutex::new(book), changed: watch::Sender::default(), alarm: Notify::new() }
    }

    /// What our neighbours know us by.
    pub(crate) fn us(&self) -> &Machine {
        &self.us
    }

    /// Told when it may be somebody else's turn.
    pub(crate) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether a mirror is sending us this package, which is shared.
    pub(crate) fn is_coming(&self, id: &Sha256) -> bool {
        self.lock().coming.contains_key(id)
    }

    /// A mirror has begun to send a package.
    pub(crate) fn note_sent(&self, id: &Sha256) {
        self.lock().turns.handle_sent(id);
    }

    /// A neighbour has brought a package.
    pub(crate) fn note_brought(&self, neighbour: NeighbourId) {
        self.lock().turns.handle_brought(neighbour, Instant::now());
    }

    /// A neighbour is too busy to give what it has.
    pub(crate) fn note_busy(&self, neighbour: NeighbourId) {
        self.lock().turns.handle_busy(neighbour, Instant::now());
        self.alarm.notify_one();
    }

    /// A neighbour has not given what it said it had.
    pub(crate) fn note_refused(&self, neighbour: NeighbourId, id: &Sha256) {
        self.lock().turns.handle_refused(neighbour, id, Instant::now());
        self.changed.send_replace(());
    }

    /// A package is here.
    pub(crate) fn note_here(&self, id: &Sha256) {
        self.lock().turns.handle_here(id);
    }

    /// What somebody said of a package's pieces has led to nothing, or to another file: what most say besides.
    pub(crate) fn next_info(&self, id: &Sha256, wrong: InfoHash) -> Option<Info> {
        let mut book = self.lock();
        book.large.get_mut(id)?.1.refute(wrong);
        book.info(id)
    }

    /// A place in the line of those whom this neighbour sends a package.
    pub(crate) fn loans_of(&self, neighbour: NeighbourId) -> Arc<Semaphore> {
        let mut book = self.lock();
        Arc::clone(book.loans.entry(neighbour).or_insert_with(|| Arc::new(Semaphore::new(LOANS))))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, reply: Reply) {
        let Reply { neighbour, ids, answers } = reply;
        let mut book = self.lock();
        let now = Instant::now();
        for (id, answer) in ids.iter().zip(answers) {
            let (said, info) = match answer {
                Answer::Here(holding) => (Said::Here, holding.info),
                Answer::Coming => (Said::Coming, None),
                Answer::Absent => (Said::Absent, None),
            };
            if let (Some(info), Some((package, hypotheses))) = (info, book.large.get_mut(id))
                && let Some(info) = Info::read(&info).ok().and_then(|info| info.expect(package).ok())
            {
                hypotheses.hear(neighbour.id, info);
            }
            book.turns.handle_answer(peer(&neighbour), id, said, now);
        }
        book.present.entry(neighbour.id).or_insert(neighbour);
        drop(book);
        self.changed.send_replace(());
        self.alarm.notify_one();
    }

    fn hear_no_more(&self, ids: &[Sha256], asked: &BTreeSet<NeighbourId>) {
        let mut book = self.lock();
        for id in ids {
            book.turns.handle_answers_end(id, asked);
        }
        drop(book);
        self.changed.send_replace(());
    }
}

impl Book {
    fn info(&self, id: &Sha256) -> Option<Info> {
        self.large.get(id).and_then(|(_, hypotheses)| hypotheses.best().cloned())
    }

    /// The packages, those first that are lent whole, and what is wished to hear of each.
    fn questions(&self, ids: &[Sha256]) -> [(Vec<Sha256>, Wishes); 2] {
        let (large, small) = ids.iter().partition(|id| self.large.contains_key(id));
        [false, true].map(|info| {
            let ids: &Vec<Sha256> = if info { &large } else { &small };
            (ids.clone(), Wishes { info, signature: false })
        })
    }

    fn refresh_rivals(&mut self, neighbours: &Neighbours, id: &Sha256, now: Instant) {
        let near = |(id, peer_id, asker): (NeighbourId, PeerId, Asker)| {
            (asker == Asker::Local).then_some((id, *peer_id.as_bytes()))
        };
        let rivals: Vec<_> = neighbours.asked_by(id).into_iter().filter_map(near).collect();
        self.turns.handle_rivals(id, &rivals, now);
    }

    /// Those nearby who are downloading a large package, too, will, or have it.
    fn company(&mut self, neighbours: &Neighbours, id: &Sha256, now: Instant) -> BTreeSet<Machine> {
        if !self.large.contains_key(id) {
            return BTreeSet::new();
        }
        if self.turns.are_rivals_stale(id, now) {
            self.refresh_rivals(neighbours, id, now);
        }
        let company = self.turns.company(id, now).into_iter();
        company
            .filter_map(|neighbour| self.present.get(&neighbour))
            .map(|neighbour| *neighbour.peer_id.as_bytes())
            .collect()
    }

    /// Where a mirror is asked beside a holder, the package takes a mirror's lane.
    fn next_turn(&mut self, services: &Services, id: &Sha256, now: Instant) -> Turn {
        let turn = self.turn(services, id, now);
        let is_lent = services.settings().fetch.policy != Policy::Speed && self.turns.is_near(id, now);
        if turn == Turn::Here && !is_lent { Turn::Ours } else { turn }
    }

    fn turn(&mut self, services: &Services, id: &Sha256, now: Instant) -> Turn {
        if self.turns.wants_rivals(id, now) {
            self.refresh_rivals(&services.neighbours, id, now);
        }
        match self.turns.turn(id, now) {
            // Everything at once.
            Turn::Theirs | Turn::Asking if services.settings().fetch.policy == Policy::Speed => Turn::Ours,
            turn @ (Turn::Asking | Turn::Here | Turn::Theirs | Turn::Ours) => turn,
        }
    }
}

/// Somebody wants these packages, whose mirror sends so many bytes a second: neighbours are asked for those that nobody wanted
/// before.
pub(crate) fn wish(services: &Arc<Services>, packages: &[PackageId], rate: Option<u64>) -> Wish {
    let whereabouts = Arc::clone(&services.whereabouts);
    let mut news = Vec::new();
    {
        let mut book = whereabouts.lock();
        for package in packages {
            if book.turns.want(package.sha256, package.size, rate) {
                news.push(package.sha256);
                if package.size > MAX_GET_BYTES {
                    book.large.insert(package.sha256, (package.clone(), Hypotheses::new()));
                }
            }
        }
    }
    let ids = packages.iter().map(|package| package.sha256).collect();
    ask(services, &news);
    Wish { whereabouts, ids }
}

/// Asks everybody who is here.
fn ask(services: &Arc<Services>, ids: &[Sha256]) {
    let present = services.neighbours.list();
    if ids.is_empty() || present.is_empty() {
        return;
    }
    let whereabouts = &services.whereabouts;
    let peers: Vec<Peer<NeighbourId>> = present.iter().map(peer).collect();
    let asked: BTreeSet<NeighbourId> = peers.iter().map(|peer| peer.id).collect();
    let questions = {
        let mut book = whereabouts.lock();
        let now = Instant::now();
        for id in ids {
            book.turns.handle_asked(id, &peers, now);
        }
        book.present = present.into_iter().map(|neighbour| (neighbour.id, neighbour)).collect();
        book.questions(ids)
    };
    for (ids, wishes) in questions {
        attendant::listen(whereabouts, services.neighbours.ask(&ids, wishes), ids, asked.clone());
    }
    whereabouts.alarm.notify_one();
}

/// What there is to know of a package that somebody wishes for, and whose turn it is.
pub(crate) fn view(services: &Services, id: &Sha256) -> View {
    let mut book = services.whereabouts.lock();
    let now = Instant::now();
    let turn = book.turn(services, id, now);
    let company = book.company(&services.neighbours, id, now);
    let neighbours = |ids: Vec<NeighbourId>| ids.iter().filter_map(|id| book.present.get(id).cloned()).collect();
    let view = View {
        turn,
        holders: neighbours(book.turns.holders(id, now)),
        companions: neighbours(book.turns.companions(id)),
        company,
        is_unanswered: book.turns.is_unanswered(id),
        waited_for: book.turns.waited_for(id).and_then(|neighbour| book.present.get(&neighbour).cloned()),
        wait_ends: book.turns.wait_ends(id),
        info: book.info(id),
        infos: book.large.get(id).map_or(0, |(_, hypotheses)| hypotheses.count()),
    };
    drop(book);
    services.whereabouts.alarm.notify_one();
    view
}

/// Whose turn it is with each of these packages. One that only somebody far away has is ours: mirrors are asked for it, too.
pub(crate) fn turns(services: &Services, ids: &[Sha256]) -> Vec<Turn> {
    let mut book = services.whereabouts.lock();
    let now = Instant::now();
    let turns = ids.iter().map(|id| book.next_turn(services, id, now)).collect();
    drop(book);
    services.whereabouts.alarm.notify_one();
    turns
}

/// A mirror has been asked for a package that is shared: neighbours who ask hear that it is coming.
pub(crate) fn coming(services: &Services, id: Sha256) -> Coming {
    let whereabouts = Arc::clone(&services.whereabouts);
    let mut book = whereabouts.lock();
    book.turns.handle_begun(&id);
    *book.coming.entry(id).or_default() += 1;
    drop(book);
    Coming { whereabouts, id }
}

impl Drop for Wish {
    fn drop(&mut self) {
        let mut book = self.whereabouts.lock();
        for id in &self.ids {
            if book.turns.release(id) {
                book.large.remove(id);
            }
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut book = self.whereabouts.lock();
        if let Some(count) = book.coming.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                book.coming.remove(&self.id);
                book.turns.handle_ceased(&self.id);
            }
        }
    }
}

fn peer(neighbour: &Neighbour) -> Peer<NeighbourId> {
    Peer { id: neighbour.id, peer_id: *neighbour.peer_id.as_bytes(), is_local: neighbour.asker == Asker::Local }
}
