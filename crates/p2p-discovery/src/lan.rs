//! Local service discovery (BEP 14): says on every link what we look for, and hears what others do.

mod links;
mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use p2p_package::InfoHash;
use p2p_wire::{LOCAL_SEARCH_V4, LOCAL_SEARCH_V6, LocalSearch, MAX_LOCAL_SEARCH_BYTES};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::links::Link;
use crate::budget::Budget;
use crate::found::LanSearch;
use crate::health::Activity;

/// How often links are read again, so that a cable or a network found later counts too.
const LINKS_INTERVAL: Duration = Duration::from_secs(10);
/// Up to so many hashes go out in a datagram each: transmission 3.00 reads only the first of a datagram.
const MAX_SINGLE: usize = 4;
/// Datagrams heard, on average and at once; on a link with more, somebody is noisy.
const HEARD_PER_SECOND: u32 = 100;
const HEARD_BURST: u32 = 500;

/// A socket that fails for good must not keep a processor busy.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// What happens on the links.
#[derive(Debug)]
pub(crate) enum LanEvent {
    /// Somebody else's search.
    Heard(LanSearch),
    /// There is a link that was not there before.
    NewLinks {
        /// They have been there since the start.
        are_first: bool,
    },
    /// Whether anything can be heard at all.
    Activity(Activity),
}

/// The driver of local service discovery.
#[derive(Debug)]
pub(crate) struct Lan {
    port: u16,
    cookie: String,
    events: mpsc::Sender<LanEvent>,
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    joined: BTreeSet<(u32, bool)>,
    links: Vec<Link>,
    senders: BTreeMap<Link, UdpSocket>,
    activity: Activity,
    /// Whether the links have been read before.
    has_read: bool,
}

impl Lan {
    /// `port` takes BitTorrent connections; `cookie` is ours alone.
    pub(crate) fn new(port: u16, cookie: String, events: mpsc::Sender<LanEvent>) -> Self {
        Self {
            port,
            cookie,
            events,
            v4: None,
            v6: None,
            joined: BTreeSet::new(),
            links: Vec::new(),
            senders: BTreeMap::new(),
            activity: Activity::Off,
            has_read: false,
        }
    }

    /// Runs until `stop`; each list of hashes from `searches` is searched for once.
    pub(crate) async fn run(mut self, mut searches: mpsc::Receiver<Vec<InfoHash>>, stop: CancellationToken) {
        let mut heard = Budget::new(HEARD_PER_SECOND, HEARD_BURST, Instant::now());
        let mut reading = tokio::time::interval(LINKS_INTERVAL);
        // One byte more than allowed, so that a longer datagram is seen to be longer.
        let mut buffers = [[0; MAX_LOCAL_SEARCH_BYTES + 1]; 2];
        let [buffer4, buffer6] = &mut buffers;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = reading.tick() => self.read_links().await,
                Some(hashes) = searches.recv() => self.search(&hashes).await,
                (length, from) = receive(self.v4.as_ref(), buffer4) => self.hear(&buffer4[..length], from, &mut heard).await,
                (length, from) = receive(self.v6.as_ref(), buffer6) => self.hear(&buffer6[..length], from, &mut heard).await,
            }
        }
    }

    async fn hear(&self, datagram: &[u8], from: SocketAddr, heard: &mut Budget) {
        if !heard.take(1, Instant::now()) {
            return;
        }
        let search = match LocalSearch::decode(datagram) {
            Ok(search) => search,
            Err(fault) => return tracing::debug!(peer = %from, error = %fault, "ignoring a datagram"),
        };
        let is_own = search.cookie.as_deref() == Some(self.cookie.as_str());
        if is_own || !self.links.iter().any(|link| link.covers(from)) {
            return;
        }
        let address = sockets::peer(from, search.port);
        for info_hash in search.info_hashes {
            // The reader only moves what it gets into a list, so this never waits for long.
            let _ = self.events.send(LanEvent::Heard(LanSearch { info_hash, address })).await;
        }
    }

    async fn search(&self, hashes: &[InfoHash]) {
        let (singles, rest) = hashes.split_at(hashes.len().min(MAX_SINGLE));
        for part in singles.chunks(1).chain([rest]) {
            let search = LocalSearch { port: self.port, info_hashes: part.to_vec(), cookie: Some(self.cookie.clone()) };
            for (link, sender) in &self.senders {
                let group = sockets::group(link.address);
                for datagram in search.encode(group) {
                    if let Err(error) = sender.send_to(&datagram, group).await {
                        tracing::debug!(link = %link.address, error = %error, "local search not sent");
                    }
                }
            }
        }
    }

    /// Opens what is missing, joins and leaves links, and says when there is a new one.
    async fn read_links(&mut self) {
        let links = match links::read() {
            Ok(links) => links,
            Err(error) => return self.set_activity(Activity::Failed, Some(&error)).await,
        };
        let are_first = !std::mem::replace(&mut self.has_read, true);
        let opened = self.open();
        self.join(&links);
        let before = self.senders.len();
        self.senders.retain(|link, _| links.contains(link));
        let kept = self.senders.len();
        for link in links.iter().filter(|link| link.sends()) {
            if self.senders.contains_key(link) {
                continue;
            }
            match sockets::sender(link) {
                Ok(sender) => drop(self.senders.insert(*link, sender)),
                Err(error) => tracing::debug!(link = %link.address, error = %error, "no local search here"),
            }
        }
        self.links = links;
        let is_on = !self.joined.is_empty();
        let activity = if is_on { Activity::On } else { Activity::Failed };
        self.set_activity(activity, opened.err().as_ref()).await;
        if self.senders.len() > kept {
            tracing::debug!(before, links = self.senders.len(), "local search has new links");
            let _ = self.events.send(LanEvent::NewLinks { are_first }).await;
        }
    }

    /// One family is enough: fails only where neither is open.
    fn open(&mut self) -> io::Result<()> {
        let v4 = open(&mut self.v4, LOCAL_SEARCH_V4.into());
        let v6 = open(&mut self.v6, LOCAL_SEARCH_V6.into());
        v4.or(v6)
    }

    fn join(&mut self, links: &[Link]) {
        let wanted: BTreeMap<_, _> = links.iter().map(|link| ((link.index, link.address.is_ipv4()), link)).collect();
        self.joined.retain(|joined| wanted.contains_key(joined));
        for ((index, is_v4), link) in wanted {
            let listener = if is_v4 { &self.v4 } else { &self.v6 };
            let Some(listener) = listener.as_ref().filter(|_| !self.joined.contains(&(index, is_v4))) else {
                continue;
            };
            match sockets::join(listener, link) {
                Ok(()) => drop(self.joined.insert((index, is_v4))),
                // Joined already, and gone for a moment.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => drop(self.joined.insert((index, is_v4))),
                Err(error) => tracing::debug!(link = %link.address, error = %error, "cannot hear local searches"),
            }
        }
    }

    async fn set_activity(&mut self, activity: Activity, error: Option<&io::Error>) {
        if self.activity == activity {
            return;
        }
        if activity == Activity::Failed {
            tracing::warn!(error = error.map(tracing::field::display), "local service discovery cannot start");
        }
        self.activity = activity;
        let _ = self.events.send(LanEvent::Activity(activity)).await;
    }
}

/// Opens the listener of one family, where it is not open yet.
fn open(listener: &mut Option<UdpSocket>, group: SocketAddr) -> io::Result<()> {
    if listener.is_none() {
        let opened = sockets::listener(group);
        let opened = opened.inspect_err(|error| tracing::debug!(%group, %error, "cannot hear local searches"));
        *listener = Some(opened?);
    }
    Ok(())
}

/// The next datagram; without a socket there never is one.
async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    let Some(socket) = socket else {
        return std::future::pending().await;
    };
    loop {
        match socket.recv_from(buffer).await {
            Ok(received) => return received,
            Err(error) => {
                tracing::debug!(error = %error, "the socket of local searches failed");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn links_of_the_start_are_told_from_one_that_comes_later() {
        let (events, mut told) = mpsc::channel(16);
        let mut lan = Lan::new(6881, "cookie".to_owned(), events);
        for are_first in [true, false] {
            lan.read_links().await;
            // As if all cables had been out for a while.
            lan.senders.clear();
            let new_links = std::iter::from_fn(|| told.try_recv().ok()).find_map(|event| match event {
                LanEvent::NewLinks { are_first } => Some(are_first),
                LanEvent::Heard(_) | LanEvent::Activity(_) => None,
            });
            assert_eq!(new_links, Some(are_first));
        }
    }
}
