//! Serves the packages of the catalog to whoever asks, read-only.
