//! The plain downloads of a package: one, or two while it is open which mirror answers first.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use p2p_webseed::MirrorFault;
use tokio_util::task::AbortOnDropHandle;

use super::{Event, PackageFetch};
use crate::fetch::content::Content;
use crate::fetch::hedge::Overtaken;
use crate::fetch::story::Happening;
use crate::fetch::stream::{Opened, Stream, verdict};
use p2p_api::Report;

/// A mirror that was asked for the rest of the package.
#[derive(Debug)]
pub(super) struct ActiveStream {
    serial: u32,
    mirror: usize,
    asked: Instant,
    /// The first to answer enters its serial number here, and only its bytes go into the file.
    first: Arc<OnceLock<u32>>,
    task: AbortOnDropHandle<()>,
}

impl ActiveStream {
    /// Stops it. When this returns, it does not append any more.
    pub(super) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl PackageFetch {
    pub(super) fn open_stream(&mut self, mirror: usize, from: u64) {
        self.note_coming();
        self.stream = Some(self.ask(mirror, from, Arc::default()));
    }

    /// Asks another mirror for the same.
    pub(super) fn open_rival(&mut self, mirror: usize, from: u64) {
        let first = self.stream.as_ref().map(|stream| Arc::clone(&stream.first));
        self.rival = first.map(|first| self.ask(mirror, from, first));
    }

    fn ask(&mut self, mirror: usize, from: u64, first: Arc<OnceLock<u32>>) -> ActiveStream {
        self.stream_serial += 1;
        let (serial, size) = (self.stream_serial, self.known.id.size);
        let url = self.target.mirrors[mirror].clone();
        let stream = Stream { url, from, size: Some(size), limit: size, content: Content::Package };
        let (events, services) = (self.events.clone(), Arc::clone(&self.services));
        let (appender, turn) = (self.assembly.appender(), Arc::clone(&first));
        let task = tokio::spawn(async move {
            let result = match stream.start(&services.mirrors, &services.mirror_book).await {
                Ok(_) if *turn.get_or_init(|| serial) != serial => return,
                Ok(body) => {
                    let _ = events.send(Event::StreamOpened(serial, body.opened())).await;
                    body.pour(&services.mirror_book, &appender).await
                }
                Err(fault) => Err(fault),
            };
            let _ = events.send(Event::StreamEnded(serial, result)).await;
        });
        ActiveStream { serial, mirror, asked: Instant::now(), first, task: AbortOnDropHandle::new(task) }
    }

    /// Ends the streams, and waits until the bytes that they brought are in the file.
    pub(super) async fn close_stream(&mut self) {
        for stream in [self.stream.take(), self.rival.take()].into_iter().flatten() {
            stream.stop().await;
        }
        let contiguous = self.assembly.synced().await;
        self.tally.streamed(contiguous);
        self.coming = None;
    }

    pub(super) fn handle_stream_opened(&mut self, serial: u32, opened: Opened, now: Instant) {
        if is(self.rival.as_ref(), serial) {
            let late = std::mem::replace(&mut self.stream, self.rival.take());
            if let Some(late) = late {
                let overtaken = Overtaken { mirror: late.mirror, silence: now.duration_since(late.asked) };
                self.services.mirror_book.note_overtaken(&self.target.mirrors[late.mirror], overtaken, now);
            }
        }
        let Some(stream) = self.stream.as_ref().filter(|stream| stream.serial == serial) else { return };
        self.modified = opened.modified.or(self.modified);
        self.rival = None;
        self.story.note(Happening::MirrorAnswers(stream.mirror));
        self.services.whereabouts.note_sent(&self.known.id.sha256);
        self.plan.handle_stream_answer(stream.mirror, now);
    }

    pub(super) async fn handle_stream_ended(&mut self, serial: u32, result: Result<(), MirrorFault>, now: Instant) {
        if is(self.rival.as_ref(), serial) {
            if let (Some(rival), Err(fault)) = (self.rival.take(), result) {
                self.note_fault(rival.mirror, &fault, now);
                self.plan.handle_rival_fault(verdict(&fault), now);
            }
            return;
        }
        let Some(stream) = self.stream.take_if(|stream| stream.serial == serial) else { return };
        self.stream = self.rival.take();
        // The next stream begins where this one ended, so that has to be known exactly.
        let contiguous = self.assembly.synced().await;
        self.tally.streamed(contiguous);
        self.plan.handle_stream_bytes(contiguous, now);
        match result {
            Ok(()) => self.plan.handle_stream_end(),
            Err(fault) => {
                self.note_fault(stream.mirror, &fault, now);
                self.plan.handle_stream_fault(verdict(&fault), now);
            }
        }
    }

    fn note_fault(&self, mirror: usize, fault: &MirrorFault, now: Instant) {
        self.story.note(Happening::MirrorFails { mirror, fault: Report(fault).to_string() });
        let mirror = &self.target.mirrors[mirror];
        self.services.mirror_book.note_fault(mirror, fault, now);
        let error = Report(fault).to_string();
        tracing::debug!(package = %self.known.id.file_name, %mirror, error, "a mirror's stream broke");
    }
}

fn is(stream: Option<&ActiveStream>, serial: u32) -> bool {
    stream.is_some_and(|stream| stream.serial == serial)
}
