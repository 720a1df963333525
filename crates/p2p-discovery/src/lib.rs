//! Finds who has a package and says what we have: trackers, DHT, local network.
