//! Keeps the [`Whereabouts`] up to date while the daemon runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use p2p_neighbours::Asker;
use p2p_wire::Wishes;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout_at;

use super::{NeighbourId, Replies, Said, Sha256, Whereabouts, peer};
use crate::fetch::package::sleep_until;
use crate::services::Services;

/// Answers that come later are not waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Hears of arrivals, asks newcomers, and minds deadlines, until the daemon stops.
pub(crate) async fn attend(services: Arc<Services>) {
    let here = &services.whereabouts;
    let mut arrivals = services.neighbours.arrivals();
    let mut newcomers = services.neighbours.newcomers();
    let mut count = services.neighbours.watch_count();
    loop {
        let due = {
            let mut book = here.lock();
            book.turns.note_idleness(Instant::now());
            book.turns.poll_timeout()
        };
        tokio::select! {
            () = services.stopping.cancelled() => return,
            arrived = arrivals.recv() => match arrived {
                Ok((neighbour, id)) => handle_arrived(&services, neighbour, id),
                // Who is waited for is asked anew.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            Some(newcomer) = newcomers.next() => {
                here.refresh(&services);
                let outstanding = here.lock().turns.outstanding();
                ask_one(&services, newcomer, &outstanding);
            }
            Ok(()) = count.changed() => here.refresh(&services),
            () = here.alarm.notified() => {}
            () = sleep_until(due) => handle_timeout(&services),
        }
    }
}

/// Notes the replies as they come.
pub(super) fn listen(
    whereabouts: &Arc<Whereabouts>,
    mut replies: Replies,
    ids: Vec<Sha256>,
    asked: BTreeSet<NeighbourId>,
) {
    if ids.is_empty() {
        return;
    }
    let whereabouts = Arc::clone(whereabouts);
    tokio::spawn(async move {
        let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
        while let Ok(Some(reply)) = timeout_at(deadline, replies.next()).await {
            whereabouts.hear(reply);
        }
        whereabouts.hear_no_more(&ids, &asked);
    });
}

fn handle_arrived(services: &Arc<Services>, neighbour: NeighbourId, id: Sha256) {
    let here = &services.whereabouts;
    let is_large = {
        let mut book = here.lock();
        if !book.turns.lacks(&id) || !book.turns.was_asked(&id, neighbour) {
            return;
        }
        if !book.present.contains_key(&neighbour) {
            drop(book);
            here.refresh(services);
            book = here.lock();
        }
        let Some(who) = book.present.get(&neighbour).map(peer) else { return };
        let now = Instant::now();
        let is_news = book.turns.holders(&id, now).is_empty();
        book.turns.handle_answer(who, &id, Said::Here, now);
        if !is_news && !book.large.contains_key(&id) {
            return;
        }
        let is_unknown = book.large.get(&id).is_some_and(|(_, hypotheses)| hypotheses.best().is_none());
        if is_unknown && !book.turns.follow_up(&id, neighbour, now) {
            return;
        }
        is_unknown
    };
    if is_large {
        // It can be had when its pieces are known.
        return ask_one(services, neighbour, &[id]);
    }
    here.changed.send_replace(());
}

/// Asks one neighbour.
fn ask_one(services: &Arc<Services>, neighbour: NeighbourId, ids: &[Sha256]) {
    let here = &services.whereabouts;
    let questions = {
        let mut book = here.lock();
        let Some(who) = book.present.get(&neighbour).map(peer) else { return };
        for id in ids {
            book.turns.handle_asked(id, &[who], Instant::now());
        }
        book.questions(ids)
    };
    for (ids, wishes) in questions {
        listen(here, services.neighbours.ask_one(neighbour, &ids, wishes), ids, BTreeSet::from([neighbour]));
    }
    here.changed.send_replace(());
}

fn handle_timeout(services: &Arc<Services>) {
    let here = &services.whereabouts;
    remind(services);
    let (asked, questions) = {
        let mut book = here.lock();
        let now = Instant::now();
        let anew = book.turns.handle_timeout(now);
        if !anew.is_empty() {
            book.turns.handle_asked_anew(now);
        }
        (book.present.keys().copied().collect::<BTreeSet<_>>(), book.questions(&anew))
    };
    for (ids, wishes) in questions {
        if !ids.is_empty() {
            listen(here, services.neighbours.ask(&ids, wishes), ids, asked.clone());
        }
    }
    here.changed.send_replace(());
}

/// Asks those nearby again for what is still lacking, before they forget that we want it. What they know of its pieces is not asked for:
/// that may be much.
fn remind(services: &Services) {
    let here = &services.whereabouts;
    let mut book = here.lock();
    let lacking = book.turns.remind(Instant::now());
    if lacking.is_empty() {
        return;
    }
    let nearby = book.present.values().filter(|neighbour| neighbour.asker == Asker::Local);
    let replies: Vec<Replies> =
        nearby.map(|neighbour| services.neighbours.ask_one(neighbour.id, &lacking, Wishes::default())).collect();
    drop(book);
    for replies in replies {
        // Nothing waits for these answers.
        listen(here, replies, lacking.clone(), BTreeSet::new());
    }
}

impl Whereabouts {
    /// Notes who is here.
    fn refresh(&self, services: &Services) {
        let present = services.neighbours.list();
        let mut book = self.lock();
        book.present = present.into_iter().map(|neighbour| (neighbour.id, neighbour)).collect();
        let ids = book.present.keys().copied().collect();
        book.turns.handle_present(&ids);
        book.loans.retain(|neighbour, _| ids.contains(neighbour));
        drop(book);
        self.changed.send_replace(());
    }
}
