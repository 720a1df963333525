//! The gate with real sockets on loopback: fake peers on one side, a fake engine and a fake seeder on the other.

mod incoming;
mod limits;
mod outgoing;
mod probe;
mod proxy;
mod support;
mod utp;
