//! Discovery against real trackers, DHT nodes and clients. Needs root, iproute2, opentracker, transmission-daemon and
//! aria2c; without one of them a test fails and says so.

mod dht;
mod lan;
mod namespace;
mod parts;
mod trackers;
