//! A socket that listens, and the connections of those who come: all of it ends at once.

use std::io;
use std::net::{self, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::Host;

/// A listening socket, and connections that are closed with it.
#[derive(Debug)]
pub(crate) struct Door {
    socket: TcpListener,
    address: SocketAddr,
    /// None once it is closed.
    streams: Mutex<Option<Vec<TcpStream>>>,
    closed: Condvar,
}

/// Converses with everybody who comes to a [`Door`], and closes it when dropped.
#[derive(Debug)]
pub(crate) struct Listener<S> {
    /// What all conversations share.
    pub(crate) state: Arc<S>,
    door: Arc<Door>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    #[track_caller]
    fn open(host: &Host) -> Arc<Self> {
        let wanted = SocketAddr::new(host.address(), 0);
        let bind = host.spawn(move || TcpListener::bind(wanted).expect("a port is free"));
        let socket = bind.join().expect("binding does not panic");
        let address = socket.local_addr().expect("a bound socket has an address");
        Arc::new(Self { socket, address, streams: Mutex::new(Some(Vec::new())), closed: Condvar::new() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection, and refuses new ones.
    pub(crate) fn close(&self) {
        let streams = self.streams().take();
        self.closed.notify_all();
        // Ends `accept`, as no drop would; nothing happens to what has ended already.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        for stream in streams.into_iter().flatten() {
            drop(stream.shutdown(net::Shutdown::Both));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.streams().is_none()
    }

    /// Whether it is closed by the end of `pause`: who does something slowly asks here for each pause.
    pub(crate) fn is_closed_within(&self, pause: Duration) -> bool {
        let waited = self.closed.wait_timeout_while(self.streams(), pause, |streams| streams.is_some());
        waited.expect("no thread panics with the lock").0.is_none()
    }

    /// Has this connection closed with the door, or now.
    pub(crate) fn keep(&self, stream: &TcpStream) -> io::Result<()> {
        match &mut *self.streams() {
            Some(streams) => streams.push(stream.try_clone()?),
            None => drop(stream.shutdown(net::Shutdown::Both)),
        }
        Ok(())
    }

    /// The next who comes; none once it is closed.
    fn admit(&self) -> Option<TcpStream> {
        let accepted = self.socket.accept();
        if self.is_closed() {
            return None;
        }
        let (stream, _) = accepted.expect("an open door admits whoever comes");
        self.keep(&stream).expect("a connection can be held twice");
        Some(stream)
    }

    fn streams(&self) -> MutexGuard<'_, Option<Vec<TcpStream>>> {
        self.streams.lock().expect("no thread panics with the lock")
    }
}

impl<S: Send + Sync + 'static> Listener<S> {
    /// Listens on a free port of `host`; a conversation has a thread there, and the connection ends with it.
    #[track_caller]
    pub(crate) fn start(
        host: &Host,
        state: impl FnOnce(Arc<Door>) -> S,
        converse: fn(TcpStream, &S) -> io::Result<()>,
    ) -> Self {
        let door = Door::open(host);
        let state = Arc::new(state(Arc::clone(&door)));
        let (admitting, shared) = (Arc::clone(&door), Arc::clone(&state));
        let thread = host.spawn(move || {
            while let Some(stream) = admitting.admit() {
                let state = Arc::clone(&shared);
                thread::spawn(move || {
                    let end = stream.try_clone().expect("a connection can be held twice");
                    // Who came may hang up at any moment: no fault of who listens.
                    drop(converse(stream, &state));
                    // The door holds it, too.
                    drop(end.shutdown(net::Shutdown::Both));
                });
            }
        });
        Self { state, door, thread: Some(thread) }
    }
}

impl<S> Drop for Listener<S> {
    fn drop(&mut self) {
        self.door.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_dropped_listener_cuts_its_connections_and_is_not_reached_any_more() {
        let host = Host::loopback();
        let echo = |mut stream: TcpStream, _: &Arc<Door>| io::copy(&mut stream.try_clone()?, &mut stream).map(drop);
        let listener = Listener::start(&host, |door| door, echo);
        let door = Arc::clone(&listener.state);
        let mut stream = TcpStream::connect(door.address()).expect("somebody listens");
        io::Write::write_all(&mut stream, b"?").expect("the connection is open");
        stream.read_exact(&mut [0]).expect("an echo");
        assert!(!door.is_closed_within(Duration::from_millis(1)));
        drop(listener);
        assert!(door.is_closed_within(Duration::from_mins(1)));
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "an open connection is cut");
        assert!(TcpStream::connect(door.address()).is_err(), "nobody listens");
        door.keep(&stream).expect("a connection that is cut already");
    }

    #[test]
    fn a_listener_that_closes_while_others_come_ends_without_a_panic() {
        let host = Host::loopback();
        for _ in 0..100 {
            let mut listener = Listener::start(&host, |door| door, |_, _| Ok(()));
            let door = Arc::clone(&listener.state);
            let coming = thread::spawn(move || while TcpStream::connect(door.address()).is_ok() {});
            listener.door.close();
            let admitting = listener.thread.take().expect("it was started");
            assert!(admitting.join().is_ok() && coming.join().is_ok());
        }
    }
}
