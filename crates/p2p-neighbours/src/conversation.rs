//! One club connection, without any I/O: two daemons ask each other for packages (`p2p_packages`).
//!
//! After each call of a `handle_*`, `answer_*`, `ask` or `tell_*`, poll until nothing comes: events, then data to get and bytes
//! to transmit while the transport takes them; then sleep until [`Conversation::poll_timeout`]. Everything that the other
//! side says is a claim: who wants bytes compares their SHA-256.
//!
//! Whatever the other side does, one connection holds less than 768 KiB: below 320 KiB wait to be sent, at most 160 KiB have
//! arrived and are no whole message yet, in a buffer of up to twice that, and below 128 KiB are package ids and addresses.
//! Events come on top: as many as the bytes of one call make, taken before the next one.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use errands::{About, Errands};
use greeting::{Arriving, Numbers, OUR_PACKAGES_ID, OUR_PEX_ID};
use limits::{GREETING_TIMEOUT, KEEP_ALIVE, PART_BYTES, PEX_GAP, SILENCE_TIMEOUT};
use outbox::{Ends, Outbox};
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{
    ExtendedHandshake, Framer, Handshake, Kind, MAX_GET_BYTES, MAX_PACKAGES_MESSAGE_BYTES, MAX_QUESTION_IDS, Message,
    PackagesMessage, PexMessage, PexSchedule, Role, What, Wishes,
};
use questions::{Awaited, Questions};

pub(crate) use denials::Denials;
pub use event::{AskFault, Event, NeighbourFault};
pub use greeting::ConversationOptions;

mod answers;
mod denials;
mod errands;
mod event;
mod greeting;
mod limits;
mod outbox;
mod questions;

/// The state machine; see the module's documentation for how to drive it.
#[derive(Debug)]
pub struct Conversation {
    club: InfoHash,
    options: ConversationOptions,
    stage: Stage,
    framer: Framer,
    outbox: Outbox,
    questions: Questions,
    errands: Errands,
    denials: Denials,
    pex: PexSchedule,
    clocks: Clocks,
    events: VecDeque<Event>,
}

#[derive(Debug)]
enum Stage {
    /// Their handshake is awaited.
    Handshaking(Arriving),
    /// Their extended handshake is awaited.
    Greeting,
    Ready(Numbers),
    Closed,
}

/// Since when what has not happened.
#[derive(Debug)]
struct Clocks {
    started: Instant,
    heard: Instant,
    spoke: Instant,
    /// When they last told us of others.
    gossiped: Option<Instant>,
}

impl Conversation {
    /// A conversation in `club` that begins now.
    ///
    /// # Errors
    ///
    /// Where the handshake in `role` is for something else, our own, or without extensions.
    pub fn new(club: InfoHash, role: Role, options: ConversationOptions, now: Instant) -> Result<Self, NeighbourFault> {
        let mut conversation = Self {
            club,
            options,
            stage: Stage::Handshaking(Arriving::default()),
            framer: Framer::new(MAX_PACKAGES_MESSAGE_BYTES),
            outbox: Outbox::default(),
            questions: Questions::default(),
            errands: Errands::default(),
            denials: Denials::default(),
            pex: PexSchedule::default(),
            clocks: Clocks { started: now, heard: now, spoke: now, gossiped: None },
            events: VecDeque::new(),
        };
        if !matches!(role, Role::Introduced(_)) {
            let ours = Handshake::ours(club, conversation.options.peer_id);
            conversation.outbox.push(Bytes::copy_from_slice(&ours.encode()), Ends::Nothing);
        }
        if let Role::Answerer(theirs) | Role::Introduced(theirs) = role {
            conversation.greet(&theirs, now)?;
        }
        Ok(conversation)
    }

    /// Takes bytes in that the other side sent.
    ///
    /// # Errors
    ///
    /// What the other side did wrong; the conversation is over then.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<(), NeighbourFault> {
        let outcome = self.receive(bytes, now);
        if outcome.is_err() {
            self.stop();
        }
        outcome
    }

    /// Does what is due; call it when [`Self::poll_timeout`]'s time has come.
    ///
    /// # Errors
    ///
    /// What the other side failed to do in time; the conversation is over then.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), NeighbourFault> {
        let outcome = self.keep_time(now);
        if outcome.is_err() {
            self.stop();
        }
        outcome
    }

    /// Asks which of `ids` they have; the question's number. An [`Event::Answered`] or [`Event::Refused`] with it follows, the
    /// latter also where they say nothing for 5 s, unless the connection ends.
    ///
    /// # Errors
    ///
    /// Where 8 questions have no answer yet, the greetings are not over, or there are no ids or more than 128.
    pub fn ask(&mut self, ids: Vec<Sha256>, wishes: Wishes, now: Instant) -> Result<u32, AskFault> {
        if !(1..=MAX_QUESTION_IDS).contains(&ids.len()) {
            return Err(AskFault::Bounds);
        }
        let n = self.number(Awaited::Has { ids: ids.len() }, now)?;
        self.say(&PackagesMessage::Have { n, ids, wishes }, Ends::Nothing, now);
        Ok(n)
    }

    /// Asks for bytes of a file; the get's number. [`Event::Got`] with it follow, in order, until all have come or an
    /// [`Event::Refused`] ends them, the latter also where nothing comes for 5 s, unless the connection ends.
    ///
    /// # Errors
    ///
    /// Where 4 gets have no whole answer yet, the greetings are not over, or the range is empty or longer than 4 MiB.
    pub fn get(&mut self, what: What, range: Range<u64>, now: Instant) -> Result<u32, AskFault> {
        if range.is_empty() || range.end - range.start > MAX_GET_BYTES {
            return Err(AskFault::Bounds);
        }
        // Of these they have told; the others may well not be there. An index is asked of anybody, and who passes a pointer on may
        // not have its index yet.
        let is_promised = matches!(what.kind, Kind::Package | Kind::Database);
        let n = self.number(Awaited::Data { next: range.start, end: range.end, is_promised }, now)?;
        self.say(&PackagesMessage::Get { n, what, range }, Ends::Nothing, now);
        Ok(n)
    }

    /// Asks what they know of a club's repository; the question's number. An [`Event::Newest`] or [`Event::Refused`] with it
    /// follows, as for [`Self::ask`].
    ///
    /// # Errors
    ///
    /// Where 8 questions have no answer yet, or the greetings are not over.
    pub fn ask_recent(&mut self, club: InfoHash, now: Instant) -> Result<u32, AskFault> {
        let n = self.number(Awaited::Newest, now)?;
        self.say(&PackagesMessage::Recent { n, club }, Ends::Nothing, now);
        Ok(n)
    }

    /// Asks to be dialled at `port`, which is not 0; the question's number. An [`Event::Called`] or [`Event::Refused`] with it
    /// follows, as for [`Self::ask`].
    ///
    /// # Errors
    ///
    /// Where 8 questions have no answer yet, the greetings are not over, or the port is 0.
    pub fn ask_call(&mut self, port: u16, now: Instant) -> Result<u32, AskFault> {
        if port == 0 {
            return Err(AskFault::Bounds);
        }
        let n = self.number(Awaited::Called, now)?;
        self.say(&PackagesMessage::Call { n, port }, Ends::Nothing, now);
        Ok(n)
    }

    /// Nobody waits for this answer any more: it brings no event. The other side is not told, and so it counts as unanswered
    /// until it is there.
    pub fn forget(&mut self, number: u32) {
        self.questions.forget(number);
    }

    /// We have these now: told to a neighbour that asked for them in the last 10 minutes and heard that we had not, once.
    pub fn tell_arrived(&mut self, ids: &[Sha256], now: Instant) {
        for ids in self.denials.take(ids, now).chunks(MAX_QUESTION_IDS) {
            self.say(&PackagesMessage::Arrived { ids: ids.to_vec() }, Ends::Nothing, now);
        }
    }

    /// Notes a daemon of this club that the other side shall be told of (BEP 11).
    pub fn tell_added(&mut self, peer: SocketAddr) {
        self.pex.add(peer);
    }

    /// Notes that a daemon has left the club.
    pub fn tell_dropped(&mut self, peer: SocketAddr) {
        self.pex.drop(peer);
    }

    /// There is no place for the other side: it is told of others that may have one, in one message and at once. To be sent, and
    /// then hung up.
    pub fn take_leave(&mut self, others: Vec<SocketAddr>, now: Instant) {
        if let Stage::Ready(Numbers { pex: Some(id), .. }) = self.stage
            && !others.is_empty()
        {
            let message = PexMessage { added: others, dropped: Vec::new() };
            self.send(&Message::Extended { id, payload: message.encode().into() }, Ends::Nothing, now);
        }
    }

    /// The next bytes to send. Ask for them only when the transport takes some: that is the back-pressure.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called, whatever happens before; none once the conversation is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Handshaking(_) | Stage::Greeting => Some(self.clocks.started + GREETING_TIMEOUT),
            Stage::Ready(numbers) => {
                let own = [self.clocks.heard + SILENCE_TIMEOUT, self.clocks.spoke + KEEP_ALIVE];
                own.into_iter().chain(self.questions.due()).chain(self.pex_due(numbers)).min()
            }
            Stage::Closed => None,
        }
    }

    /// How long the other side takes to answer a question, smoothed; none before the first answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.questions.round_trip()
    }

    fn receive(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), NeighbourFault> {
        if matches!(self.stage, Stage::Closed) {
            return Ok(());
        }
        if let Stage::Handshaking(arriving) = &mut self.stage {
            let Some((theirs, rest)) = arriving.take(bytes)? else {
                return Ok(());
            };
            self.greet(&theirs, now)?;
            bytes = rest;
        }
        // A long read goes in by parts, so that the buffer never holds more than one message and one part.
        for part in bytes.chunks(PART_BYTES) {
            self.framer.push(part);
            while let Some(message) = self.framer.next_message().map_err(NeighbourFault::Framing)? {
                self.clocks.heard = now;
                self.handle_message(message, now)?;
            }
        }
        Ok(())
    }

    fn greet(&mut self, theirs: &Handshake, now: Instant) -> Result<(), NeighbourFault> {
        self.options.judge(theirs, self.club)?;
        self.stage = Stage::Greeting;
        let payload = self.options.extended_handshake().encode().into();
        self.send(&Message::Extended { id: 0, payload }, Ends::Nothing, now);
        Ok(())
    }

    fn handle_message(&mut self, message: Message, now: Instant) -> Result<(), NeighbourFault> {
        match message {
            Message::Extended { id: 0, payload } => self.handle_greeting(&payload, now),
            Message::Extended { id: OUR_PACKAGES_ID, payload } => self.handle_packages(&payload, now),
            Message::Extended { id: OUR_PEX_ID, payload } => self.handle_pex(&payload, now),
            Message::Have(_)
            | Message::Request(_)
            | Message::Piece { .. }
            | Message::Cancel(_)
            | Message::Suggest(_)
            | Message::Reject(_)
            | Message::AllowedFast(_) => Err(NeighbourFault::Pieces),
            // What a program may say to everybody before it knows who they are.
            Message::KeepAlive
            | Message::Choke
            | Message::Unchoke
            | Message::Interested
            | Message::NotInterested
            | Message::Bitfield(_)
            | Message::HaveAll
            | Message::HaveNone
            | Message::Port(_)
            | Message::Extended { .. }
            | Message::Unknown(_) => Ok(()),
        }
    }

    fn handle_greeting(&mut self, payload: &[u8], now: Instant) -> Result<(), NeighbourFault> {
        let theirs = ExtendedHandshake::read(payload).map_err(NeighbourFault::Extension)?;
        let numbers = Numbers::of(&theirs)?;
        if numbers.pex.is_some() {
            self.pex.start(now);
        }
        // It may come again, to change the numbers (BEP 10).
        if !matches!(self.stage, Stage::Ready(_)) {
            self.events.push_back(Event::Ready { port: theirs.port, version: theirs.version });
        }
        self.stage = Stage::Ready(numbers);
        Ok(())
    }

    fn handle_packages(&mut self, payload: &Bytes, now: Instant) -> Result<(), NeighbourFault> {
        if !matches!(self.stage, Stage::Ready(_)) {
            return Err(NeighbourFault::Early);
        }
        let event = match PackagesMessage::read(payload).map_err(NeighbourFault::Packages)? {
            Some(PackagesMessage::Has { n, answers }) => self.questions.handle_has(n, answers, now)?,
            Some(PackagesMessage::Data { n, offset, bytes }) => self.questions.handle_data(n, offset, &bytes, now)?,
            Some(PackagesMessage::No { n, why }) => self.questions.handle_no(n, why, now)?,
            Some(PackagesMessage::Arrived { ids }) => Some(Event::Arrived { ids }),
            Some(PackagesMessage::Newest { n, databases, pointers }) => {
                self.questions.handle_newest(n, databases, pointers, now)?
            }
            Some(PackagesMessage::Called { n, reached }) => self.questions.handle_called(n, reached, now)?,
            Some(PackagesMessage::Have { n, ids, wishes }) => {
                self.handle_question(n, About::Packages { ids, wishes }, now)?
            }
            Some(PackagesMessage::Recent { n, club }) => self.handle_question(n, About::Club(club), now)?,
            Some(PackagesMessage::Call { n, port }) => self.handle_question(n, About::Call(port), now)?,
            Some(PackagesMessage::Get { n, what, range }) => self.handle_get(n, what, range, now)?,
            // Of a later version.
            None => None,
        };
        self.events.extend(event);
        Ok(())
    }

    fn handle_pex(&mut self, payload: &[u8], now: Instant) -> Result<(), NeighbourFault> {
        if !matches!(self.stage, Stage::Ready(_)) || self.clocks.gossiped.is_some_and(|last| now < last + PEX_GAP) {
            return Ok(());
        }
        self.clocks.gossiped = Some(now);
        let PexMessage { added, .. } = PexMessage::read(payload).map_err(NeighbourFault::Extension)?;
        if !added.is_empty() {
            self.events.push_back(Event::Peers(added));
        }
        Ok(())
    }

    /// A number for a question of ours.
    fn number(&mut self, awaited: Awaited, now: Instant) -> Result<u32, AskFault> {
        if matches!(self.stage, Stage::Ready(_)) { self.questions.ask(awaited, now) } else { Err(AskFault::NotReady) }
    }

    fn keep_time(&mut self, now: Instant) -> Result<(), NeighbourFault> {
        match self.stage {
            Stage::Handshaking(_) | Stage::Greeting if now >= self.clocks.started + GREETING_TIMEOUT => {
                Err(NeighbourFault::NoGreeting)
            }
            Stage::Ready(_) if now >= self.clocks.heard + SILENCE_TIMEOUT => Err(NeighbourFault::Silent),
            Stage::Ready(numbers) => {
                self.events.extend(self.questions.give_up(now)?);
                self.speak_up(numbers, now);
                Ok(())
            }
            Stage::Handshaking(_) | Stage::Greeting | Stage::Closed => Ok(()),
        }
    }

    fn speak_up(&mut self, numbers: Numbers, now: Instant) {
        if self.pex_due(numbers).is_some_and(|due| due <= now)
            && let (Some(id), Some(message)) = (numbers.pex, self.pex.take(now))
        {
            self.send(&Message::Extended { id, payload: message.encode().into() }, Ends::Nothing, now);
        }
        if now >= self.clocks.spoke + KEEP_ALIVE {
            // Whoever does not read needs no sign of life.
            if self.outbox.is_empty() {
                self.send(&Message::KeepAlive, Ends::Nothing, now);
            }
            self.clocks.spoke = now;
        }
    }

    /// When the other side is to be told of others; never while it knows no PEX, or does not read.
    fn pex_due(&self, numbers: Numbers) -> Option<Instant> {
        numbers.pex.filter(|_| self.outbox.is_empty()).and(self.pex.due())
    }

    fn say(&mut self, message: &PackagesMessage, ends: Ends, now: Instant) {
        if let Stage::Ready(Numbers { packages: id, .. }) = self.stage {
            self.send(&Message::Extended { id, payload: message.encode() }, ends, now);
        }
    }

    fn send(&mut self, message: &Message, ends: Ends, now: Instant) {
        self.outbox.push(message.encode(), ends);
        self.clocks.spoke = now;
    }

    fn stop(&mut self) {
        self.stage = Stage::Closed;
        self.errands = Errands::default();
    }
}

#[cfg(test)]
mod tests;
