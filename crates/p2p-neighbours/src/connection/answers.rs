//! What the neighbour asks, taken to the shelf; what it asks too much, refused.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{Answer, Kind, Refusal, What, Wishes};
use tokio::time::Instant;

use super::Connection;

/// Bytes of a get that count like one package in a question.
const BYTES_AN_ID: u64 = 64 * 1024;
/// What a question about a club's repository counts: its answer may have as many KiB.
const IDS_A_RECENT: usize = 16;

impl Connection {
    pub(super) async fn read(&self, what: What, range: Range<u64>) -> Result<Bytes, Refusal> {
        let (shelf, asker) = (Arc::clone(&self.shared.shelf), self.neighbour.asker);
        if what.kind == Kind::Package && !shelf.gives(self.met.traffic) {
            return Err(Refusal::TooBusy);
        }
        shelf.refresh(asker).await;
        let read = tokio::task::spawn_blocking(move || shelf.read(what, range, asker)).await;
        let bytes = read.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            tracing::warn!(%error, "what a neighbour asked for cannot be read");
            Refusal::NotHere
        })?;
        bytes.ok_or(Refusal::NotHere)
    }

    /// Whether they may ask so much now; else they are told that it is too much.
    fn admit(&mut self, number: u32, ids: usize, now: std::time::Instant) -> bool {
        let may_ask = self.shared.may_ask(self.neighbour.address.ip(), self.neighbour.asker, ids, now);
        if !may_ask {
            self.conversation.refuse(number, Refusal::TooMuch, now);
        }
        may_ask
    }

    pub(super) async fn answer(&mut self, number: u32, ids: &[Sha256], wishes: Wishes) {
        let now = Instant::now().into_std();
        if !self.admit(number, ids.len(), now) {
            return;
        }
        let (shelf, asker) = (Arc::clone(&self.shared.shelf), self.neighbour.asker);
        shelf.refresh(asker).await;
        let here = shelf.look(ids, wishes, asker);
        let answer = |(id, here)| match here {
            Some(holding) => Answer::Here(holding),
            None if shelf.is_coming(id, asker) => Answer::Coming,
            None => Answer::Absent,
        };
        let answers: Vec<Answer> = ids.iter().zip(here).map(answer).collect();
        if let Some(entered) = self.entered {
            let denied = ids.iter().zip(&answers).filter(|(_, answer)| !matches!(answer, Answer::Here(_)));
            self.shared.note_denied(entered, denied.map(|(id, _)| *id));
        }
        self.conversation.answer_have(number, answers, now);
    }

    pub(super) fn admit_get(&mut self, number: u32, length: u64) {
        let ids = usize::try_from(length.div_ceil(BYTES_AN_ID)).unwrap_or(usize::MAX);
        self.admit(number, ids, Instant::now().into_std());
    }

    pub(super) async fn answer_recent(&mut self, number: u32, club: InfoHash) {
        let now = Instant::now().into_std();
        if !self.admit(number, IDS_A_RECENT, now) {
            return;
        }
        let shelf = Arc::clone(&self.shared.shelf);
        shelf.refresh(self.neighbour.asker).await;
        match self.shared.recent(club, self.neighbour.asker) {
            Ok((databases, pointers)) => self.conversation.answer_recent(number, databases, pointers, now),
            Err(why) => self.conversation.refuse(number, why, now),
        }
    }

    pub(super) fn begin_call(&mut self, number: u32, port: u16) {
        let now = Instant::now().into_std();
        if !self.admit(number, 1, now) {
            return;
        }
        let door = self.door.commands.clone();
        if let Err(why) = self.shared.calls.wish(&self.neighbour, (number, port), door, now) {
            self.conversation.refuse(number, why, now);
        }
    }
}
