//! The records of one fetch, as an iterator.

use std::time::{Duration, Instant};

use p2p_api::{FetchRecord, MAX_SILENCE};

use crate::ClientError;
use crate::connection::{Arrived, Connection};
use crate::heartbeat::Heartbeat;

/// How long the caller is left without a turn: pacman redraws its bars every 200 ms.
const TURN: Duration = Duration::from_millis(200);

/// What a turn brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The daemon said something.
    Record(FetchRecord),
    /// 200 ms have passed, or a signal came in.
    Nothing,
}

/// A fetch under way. Iterating ends after `ready`, after `failed` and after an error; dropping it tells the daemon that
/// nobody waits any longer.
#[derive(Debug)]
pub struct Fetch {
    connection: Connection,
    daemon_user: u32,
    heartbeat: Heartbeat,
    /// When silence becomes a fault.
    deadline: Instant,
    over: bool,
}

impl Fetch {
    pub(crate) fn new(connection: Connection, daemon_user: u32, heartbeat: Heartbeat, deadline: Instant) -> Self {
        Self { connection, daemon_user, heartbeat, deadline, over: false }
    }

    /// The user id that the daemon runs as, from the kernel: files of this user are the daemon's own.
    pub const fn daemon_user(&self) -> u32 {
        self.daemon_user
    }

    fn turn(&mut self) -> Result<Heard, ClientError> {
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

impl Iterator for Fetch {
    type Item = Result<Heard, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let heard = self.turn();
        self.over = match &heard {
            Ok(Heard::Record(record)) => !matches!(record, FetchRecord::Progress(_)),
            Ok(Heard::Nothing) => false,
            Err(_) => true,
        };
        Some(heard)
    }
}
