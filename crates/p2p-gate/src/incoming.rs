//! Callers: heard for a moment, then brought to whoever speaks for their info hash.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::debug;

use crate::admission::{Speaker, WaitingId};
use crate::doorman::{Destination, Direction};
use crate::filter::{canonical, may_accept};
use crate::gatehouse::{Arrival, Gatehouse};
use crate::handshaking::{HandshakeFault, read_handshake, turn_away};
use crate::network::Network;
use crate::on_link::is_on_link;
use crate::transport::Socket;

/// Takes a new connection in; it is dealt with in a task of its own.
pub(crate) fn receive(house: &Arc<Gatehouse>, socket: Socket, address: SocketAddr) {
    let address = canonical(address);
    if let Err(error) = may_accept(address, house.scope, is_on_link) {
        debug!(peer = %address, error = &error as &dyn Error, "caller turned away");
        return;
    }
    let network = Network::of(address.ip(), is_on_link);
    let (id, somebody_else) = house.book().handle_caller(address.ip(), network, socket.transport());
    let place = WaitingPlace { house: Arc::clone(house), id };
    let house = Arc::clone(house);
    house.tasks.clone().spawn(async move {
        // The wait ends with the caller's handshake: who has spoken can't lose his place any more.
        let heard = somebody_else.run_until_cancelled(hear(&house, socket, address)).await.flatten();
        drop(place);
        if let Some((arrival, destination)) = heard {
            attend(&house, arrival, destination).await;
        }
    });
}

/// Hears the handshake; none where the caller wants nothing that we have.
async fn hear(house: &Gatehouse, mut socket: Socket, address: SocketAddr) -> Option<(Arrival, Destination)> {
    let theirs = match read_handshake(&mut socket, house.limits.handshake_timeout).await {
        Ok(theirs) if theirs.peer_id != house.peer_id => theirs,
        Ok(_) => return None,
        Err(error) => {
            debug!(peer = %address, error = &error as &dyn Error, "caller without a handshake");
            if matches!(error, HandshakeFault::Foreign) {
                turn_away(socket).await;
            }
            return None;
        }
    };
    let destination = house.doorman.destination(theirs.info_hash);
    if destination == Destination::Nowhere {
        debug!(peer = %address, info_hash = %theirs.info_hash, "caller for an unknown info hash");
        return None;
    }
    let (direction, hang_up) = (Direction::Incoming, house.stop.child_token());
    let arrival = Arrival { socket, theirs, address, direction, speaker: Speaker::of(destination), hang_up };
    Some((arrival, destination))
}

async fn attend(house: &Arc<Gatehouse>, arrival: Arrival, destination: Destination) {
    let (address, info_hash) = (arrival.address, arrival.theirs.info_hash);
    match house.admit(arrival) {
        Ok(admitted) => admitted.attend(destination).await,
        Err(error) => debug!(peer = %address, %info_hash, error = &error as &dyn Error, "caller sent away"),
    }
}

/// A caller's place while he has not spoken.
struct WaitingPlace {
    house: Arc<Gatehouse>,
    id: WaitingId,
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.house.book().handle_caller_gone(self.id);
    }
}
