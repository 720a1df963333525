//! The words that the daemon and its clients exchange.
