//! The peer, tracker and local-discovery protocols as values, without any I/O.
