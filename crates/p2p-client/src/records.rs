//! An answer that comes record by record, as an iterator.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use p2p_api::{FetchRecord, ForgetRecord, MAX_SILENCE, PackageRecord, PrefetchRecord, RescanRecord, VerifyRecord};
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::connection::{Arrived, Connection};
use crate::heartbeat::Heartbeat;

/// How long the caller is left without a turn: pacman redraws its bars every 200 ms.
const TURN: Duration = Duration::from_millis(200);

/// One line of such an answer.
pub trait Record: DeserializeOwned {
    /// Whether no other comes after it.
    fn is_last(&self) -> bool;
}

impl Record for FetchRecord {
    fn is_last(&self) -> bool {
        match self {
            Self::Learn | Self::Progress(_) => false,
            Self::Ready(_) | Self::Failed(_) => true,
        }
    }
}

impl Record for PrefetchRecord {
    fn is_last(&self) -> bool {
        match self {
            Self::Progress(_) | Self::Failed { .. } => false,
            Self::Done(_) => true,
        }
    }
}

impl Record for PackageRecord {
    fn is_last(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Record for VerifyRecord {
    fn is_last(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Record for ForgetRecord {
    fn is_last(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Record for RescanRecord {
    fn is_last(&self) -> bool {
        matches!(self, Self::Asked | Self::Done(_))
    }
}

/// What a turn brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<R> {
    /// The daemon said something.
    Record(R),
    /// 200 ms have passed, or a signal came in.
    Nothing,
}

/// An answer under way. Iterating ends after the last record and after an error; dropping it tells the daemon that
/// nobody waits any longer.
#[derive(Debug)]
pub struct Records<R> {
    connection: Connection,
    daemon_user: u32,
    heartbeat: Heartbeat,
    /// When silence becomes a fault.
    deadline: Instant,
    over: bool,
    record: PhantomData<fn() -> R>,
}

/// A file on its way; its last record is `ready` or `failed`.
pub type Fetch = Records<FetchRecord>;

/// Files fetched ahead; the last record is `done`.
pub type Prefetch = Records<PrefetchRecord>;

impl<R: Record> Records<R> {
    pub(crate) fn new(connection: Connection, heartbeat: Heartbeat, deadline: Instant) -> Result<Self, ClientError> {
        let daemon_user = connection.daemon_user()?;
        Ok(Self { connection, daemon_user, heartbeat, deadline, over: false, record: PhantomData })
    }

    /// The user id that the daemon runs as, from the kernel: files of this user are the daemon's own.
    pub const fn daemon_user(&self) -> u32 {
        self.daemon_user
    }

    fn turn(&mut self) -> Result<Heard<R>, ClientError> {
        let turn_ends = Instant::now() + TURN;
        loop {
            if let Some(line) = self.connection.take_line()? {
                self.deadline = Instant::now() + MAX_SILENCE;
                let record = serde_json::from_slice(&line);
                return record.map(Heard::Record).map_err(|_| ClientError::Broken("a record can't be read"));
            }
            match self.connection.receive(turn_ends.min(self.deadline))? {
                Arrived::Bytes if Instant::now() < self.deadline || self.connection.has_line() => {}
                Arrived::End => return Err(ClientError::Broken("it hung up half-way")),
                Arrived::Nothing if Instant::now() < self.deadline && !self.heartbeat.is_stale() => {
                    return Ok(Heard::Nothing);
                }
                Arrived::Bytes | Arrived::Nothing => return Err(ClientError::Hung),
            }
        }
    }
}

impl<R: Record> Iterator for Records<R> {
    type Item = Result<Heard<R>, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let heard = self.turn();
        self.over = match &heard {
            Ok(Heard::Record(record)) => record.is_last(),
            Ok(Heard::Nothing) => false,
            Err(_) => true,
        };
        Some(heard)
    }
}
