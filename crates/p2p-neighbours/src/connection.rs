//! Drives one [`Conversation`]: bytes between it and a stream, what is asked to the shelf, answers to who waits for them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use p2p_package::{InfoHash, Sha256};
use p2p_wire::{Answer, Refusal, What, Wishes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::circle::Left;
use crate::conversation::{AskFault, Conversation, Event, NeighbourFault};
use crate::presence::{Door, Neighbour, NeighbourId};
use crate::replies::{Part, Recent, Reply};
use crate::shared::{Entry, Met, Shared};
use awaited::Awaited;
use incoming::Incoming;
use waiting::{Get, Have, Waiting};

mod answers;
mod awaited;
mod incoming;
mod waiting;

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// How long a neighbour may leave our bytes untaken.
const STALL: Duration = Duration::from_secs(30);
/// How long one who finds no place may take to hear of others.
const FAREWELL: Duration = Duration::from_secs(2);
/// What the daemon may want of one neighbour at one time.
pub(crate) const COMMANDS: usize = 64;
/// Parts of a transfer that may wait for who asked: all of the largest one.
pub(crate) const PARTS: usize = 256;

/// What the rest of the daemon wants of a connection.
#[derive(Debug)]
pub(crate) enum Command {
    Ask {
        ids: Arc<[Sha256]>,
        wishes: Wishes,
        replies: mpsc::Sender<Reply>,
    },
    Get {
        what: What,
        range: Range<u64>,
        parts: mpsc::Sender<Part>,
    },
    Recent {
        club: InfoHash,
        replies: mpsc::Sender<Recent>,
    },
    Call {
        port: u16,
        reached: oneshot::Sender<bool>,
    },
    /// Whether they were reached where they wished to be called; none where nobody tried.
    AnswerCall {
        number: u32,
        reached: Option<bool>,
    },
    Arrived(Arc<[Sha256]>),
    /// A neighbour that this one may be told of has come, or gone.
    Came(SocketAddr),
    Went(SocketAddr),
}

/// How a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// We wanted no more of it, or there is a better one with the same daemon.
    Closed,
    /// There are as many neighbours as there may be.
    Full,
    /// The neighbour broke the rules, or does not answer.
    Fault(NeighbourFault),
    /// The neighbour hung up.
    HungUp,
    /// The stream broke.
    Broken(io::Error),
    /// The neighbour did not take our bytes for half a minute.
    Stalled,
}

/// Somebody who waits for the answer to a question. Where nothing comes, the end of the channel says so.
#[derive(Debug)]
enum Question {
    Packages { ids: Arc<[Sha256]>, replies: mpsc::Sender<Reply> },
    Club(mpsc::Sender<Recent>),
    Call(oneshot::Sender<bool>),
}

/// One connection and what goes on in it.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    conversation: Conversation,
    neighbour: Neighbour,
    met: Met,
    /// Set once the greetings are over.
    entered: Option<NeighbourId>,
    /// What to think of the neighbour should it all end now.
    left: Left,
    door: Door,
    commands: mpsc::Receiver<Command>,
    questions: BTreeMap<u32, Question>,
    /// What is still to be asked.
    waiting: Waiting,
    /// What they do not have, or not yet, by their own word: they may tell us of its arrival, once.
    awaited: Awaited,
    transfers: BTreeMap<u32, Incoming>,
    pending: Bytes,
    /// When the neighbour last took bytes, or had none to take.
    taken: Instant,
}

enum Step {
    Read(usize),
    Wrote(usize),
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, conversation: Conversation, neighbour: Neighbour, met: Met) -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let door = Door { commands: sender, closing: Arc::default() };
        Self {
            shared,
            conversation,
            neighbour,
            met,
            entered: None,
            left: Left::Broken,
            door,
            commands,
            questions: BTreeMap::new(),
            waiting: Waiting::default(),
            awaited: Awaited::default(),
            transfers: BTreeMap::new(),
            pending: Bytes::new(),
            taken: Instant::now(),
        }
    }

    /// Speaks until either side has enough.
    pub(crate) async fn run(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        on_enter: impl FnOnce() + Send,
    ) -> End {
        let end = self.speak(stream, on_enter).await;
        self.left = match end {
            End::Fault(NeighbourFault::NoPackages | NeighbourFault::Ourselves) => Left::Useless,
            End::Fault(_) => Left::Fault,
            End::Closed | End::Full | End::HungUp | End::Broken(_) | End::Stalled => Left::Broken,
        };
        end
    }

    async fn speak(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        on_enter: impl FnOnce() + Send,
    ) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ_BYTES];
        let mut on_enter = Some(on_enter);
        loop {
            if let Some(end) = self.drain_events().await {
                if matches!(end, End::Full) {
                    // Whoever does not listen is hung up on anyway.
                    timeout(FAREWELL, self.say_farewell(&mut reader, &mut writer, &mut buffer)).await.ok();
                }
                return end;
            }
            if self.entered.is_some()
                && let Some(on_enter) = on_enter.take()
            {
                on_enter();
            }
            self.ask_waiting();
            self.fill().await;
            let deadline = self.deadline();
            let outcome = tokio::select! {
                step = step(&mut reader, &mut writer, &self.pending, &mut buffer) => match step {
                    Ok(step) => self.handle_step(&step, &buffer),
                    Err(error) => Some(End::Broken(error)),
                },
                // We hold a sender ourselves.
                Some(command) = self.commands.recv() => {
                    self.handle_command(command);
                    None
                }
                () = self.door.closing.notified() => Some(End::Closed),
                () = sleep_until(deadline) => self.handle_timeout(),
            };
            if let Some(end) = outcome {
                return end;
            }
        }
    }

    /// Says the rest and the end, and waits for theirs: a connection that is closed with bytes unread is reset, and what was
    /// said last is lost.
    async fn say_farewell(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
    ) -> io::Result<()> {
        writer.write_all(&self.pending).await?;
        while let Some(bytes) = self.conversation.poll_transmit() {
            writer.write_all(&bytes).await?;
        }
        writer.shutdown().await?;
        while reader.read(buffer).await? > 0 {}
        Ok(())
    }

    /// Reads what was asked for, and takes what is to be sent, unless some still waits.
    async fn fill(&mut self) {
        if !self.pending.is_empty() {
            return;
        }
        if let Some((number, what, range)) = self.conversation.wants_data() {
            let read = self.read(what, range).await;
            let now = Instant::now().into_std();
            match read {
                Ok(bytes) => self.conversation.answer_data(number, bytes, now),
                Err(why) => self.conversation.refuse(number, why, now),
            }
        }
        if let Some(bytes) = self.conversation.poll_transmit() {
            (self.pending, self.taken) = (bytes, Instant::now());
        }
    }

    fn handle_step(&mut self, step: &Step, buffer: &[u8]) -> Option<End> {
        match *step {
            Step::Read(0) => Some(End::HungUp),
            Step::Read(bytes) => {
                let heard = self.conversation.handle_bytes(&buffer[..bytes], Instant::now().into_std());
                heard.err().map(End::Fault)
            }
            Step::Wrote(0) => Some(End::Broken(io::ErrorKind::WriteZero.into())),
            Step::Wrote(bytes) => {
                self.pending.advance(bytes);
                self.taken = Instant::now();
                None
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        let now = Instant::now().into_std();
        match command {
            Command::Ask { ids, wishes, replies } => self.waiting.add_question(Have { ids, wishes, replies }),
            Command::Recent { club, replies } => {
                if let Ok(number) = self.conversation.ask_recent(club, now) {
                    self.questions.insert(number, Question::Club(replies));
                }
            }
            Command::Call { port, reached } => {
                if let Ok(number) = self.conversation.ask_call(port, now) {
                    self.questions.insert(number, Question::Call(reached));
                }
            }
            Command::AnswerCall { number, reached: Some(reached) } => {
                self.conversation.answer_call(number, reached, now);
            }
            Command::AnswerCall { number, reached: None } => self.conversation.refuse(number, Refusal::TooBusy, now),
            Command::Get { what, range, parts } => self.waiting.add_get(Get::new(what, range, parts)),
            Command::Arrived(ids) => self.conversation.tell_arrived(&ids, now),
            Command::Came(address) => self.conversation.tell_added(address),
            Command::Went(address) => self.conversation.tell_dropped(address),
        }
    }

    /// Asks what waits, as far as that may be asked now, and somebody still wants to know.
    fn ask_waiting(&mut self) {
        let now = Instant::now().into_std();
        while let Some(have) = self.waiting.next_question() {
            match self.conversation.ask(have.ids.to_vec(), have.wishes, now) {
                Ok(number) => {
                    let question = Question::Packages { ids: have.ids, replies: have.replies };
                    self.questions.insert(number, question);
                }
                Err(AskFault::Busy) => {
                    self.waiting.put_question_back(have);
                    break;
                }
                Err(AskFault::NotReady | AskFault::Bounds) => {}
            }
        }
        while let Some(get) = self.waiting.next_get(now) {
            match self.conversation.get(get.what, get.range.clone(), now) {
                Ok(number) => drop(self.transfers.insert(number, Incoming::new(get))),
                Err(AskFault::Busy) => return self.waiting.put_get_back(get),
                Err(AskFault::NotReady | AskFault::Bounds) => {}
            }
        }
    }

    async fn drain_events(&mut self) -> Option<End> {
        while let Some(event) = self.conversation.poll_event() {
            match event {
                Event::Ready { port, version } => {
                    if let Some(end) = self.enter(port, version) {
                        return Some(end);
                    }
                }
                Event::Asked { number, ids, wishes } => self.answer(number, &ids, wishes).await,
                Event::Wanted { number, length } => self.admit_get(number, length),
                Event::AskedRecent { number, club } => self.answer_recent(number, club).await,
                Event::AskedCall { number, port } => self.begin_call(number, port),
                Event::Answered { number, answers } => self.pass_answer(number, answers),
                Event::Newest { number, databases, pointers } => {
                    let neighbour = self.neighbour.clone();
                    if let Some(Question::Club(replies)) = self.questions.remove(&number) {
                        let _ = replies.try_send(Recent { neighbour, databases, pointers });
                    }
                }
                Event::Called { number, reached } => {
                    if let Some(Question::Call(waiting)) = self.questions.remove(&number) {
                        let _ = waiting.send(reached);
                    }
                }
                Event::Got { number, bytes, is_last, .. } => self.pass_bytes(number, bytes, is_last),
                Event::Refused { number, why } => self.pass_refusal(number, why),
                Event::Arrived { ids } => {
                    if let Some(id) = self.entered {
                        self.shared.note_arrived(id, &self.awaited.take(&ids));
                    }
                }
                Event::Peers(addresses) => self.shared.hear_of(&addresses, self.neighbour.club),
            }
        }
        None
    }

    fn enter(&mut self, port: Option<u16>, version: Option<String>) -> Option<End> {
        // Where we have reached it is known better than where it says it listens.
        if let Some(port) = port.filter(|_| !self.met.dialled_by_us) {
            self.neighbour.address.set_port(port);
        }
        self.neighbour.version = version;
        match self.shared.enter(self.neighbour.clone(), self.met, self.door.clone()) {
            Entry::Entered(neighbour) => {
                self.entered = Some(neighbour.id);
                self.neighbour = neighbour;
                None
            }
            Entry::Outranked => Some(End::Closed),
            Entry::Full(others) => {
                self.conversation.take_leave(others, Instant::now().into_std());
                Some(End::Full)
            }
        }
    }

    fn pass_answer(&mut self, number: u32, answers: Vec<Answer>) {
        let Some(Question::Packages { ids, replies }) = self.questions.remove(&number) else { return };
        self.neighbour.round_trip = self.conversation.round_trip();
        if let Some(id) = self.entered {
            self.shared.note_round_trip(id, self.neighbour.round_trip);
        }
        let now = Instant::now().into_std();
        let lacking = ids.iter().zip(&answers).filter(|(_, answer)| !matches!(answer, Answer::Here(_)));
        lacking.for_each(|(id, _)| self.awaited.note(*id, now));
        let neighbour = self.neighbour.clone();
        // Whoever asked may have gone, or have answers enough.
        let _ = replies.try_send(Reply { neighbour, ids, answers });
    }

    fn pass_refusal(&mut self, number: u32, why: Refusal) {
        // Whoever waits sees the end.
        self.questions.remove(&number);
        if let Some(cut_short) = self.transfers.remove(&number)
            && let Some(get) = cut_short.end()
        {
            match why {
                Refusal::TooMuch => self.waiting.handle_too_much(get, Instant::now().into_std()),
                Refusal::NotHere | Refusal::TooBusy => _ = get.parts.try_send(Err(why)),
            }
        }
    }

    fn pass_bytes(&mut self, number: u32, bytes: Bytes, is_last: bool) {
        let Some(incoming) = self.transfers.get_mut(&number) else { return };
        let is_wanted = incoming.push(bytes, is_last);
        self.waiting.handle_bytes();
        if !is_wanted {
            self.conversation.forget(number);
        }
        if is_last || !is_wanted {
            self.transfers.remove(&number);
        }
    }

    fn deadline(&self) -> Instant {
        let stalled = (!self.pending.is_empty()).then(|| self.taken + STALL);
        let due = [self.conversation.poll_timeout(), self.waiting.due()].into_iter().flatten().map(Instant::from_std);
        stalled.into_iter().chain(due).min().unwrap_or_else(|| Instant::now() + STALL)
    }

    fn handle_timeout(&mut self) -> Option<End> {
        if !self.pending.is_empty() && self.taken.elapsed() >= STALL {
            return Some(End::Stalled);
        }
        self.conversation.handle_timeout(Instant::now().into_std()).err().map(End::Fault)
    }
}

impl Drop for Connection {
    /// Whoever hangs up on us drops the future that we run in.
    fn drop(&mut self) {
        match self.entered {
            Some(id) => self.shared.leave(id, self.neighbour.address, self.left),
            None if self.met.dialled_by_us => self.shared.fail(self.neighbour.address, self.left),
            None => {}
        }
    }
}

async fn step(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    pending: &[u8],
    buffer: &mut [u8],
) -> io::Result<Step> {
    tokio::select! {
        wrote = writer.write(pending), if !pending.is_empty() => wrote.map(Step::Wrote),
        read = reader.read(buffer) => read.map(Step::Read),
    }
}
