//! Paths and header names.

/// `GET`: one [`Status`](crate::Status).
pub const STATUS: &str = "/v1/status";

/// `POST` a [`FetchRequest`](crate::FetchRequest): a stream of [`FetchRecord`](crate::FetchRecord)s.
pub const FETCHES: &str = "/v1/fetches";

/// `POST` a [`TransactionRequest`](crate::TransactionRequest): a [`TransactionAccepted`](crate::TransactionAccepted).
pub const TRANSACTIONS: &str = "/v1/transactions";

/// `POST` a [`PrefetchRequest`](crate::PrefetchRequest): a stream of [`PrefetchRecord`](crate::PrefetchRecord)s.
pub const PREFETCHES: &str = "/v1/prefetches";

/// The only value of `Host` that the daemon answers to: a web page can't send it by accident.
pub const HOST: &str = "p2pd";

/// The header in which both sides state the version that they speak; lower case, as it is sent.
pub const VERSION_HEADER: &str = "p2pd-api";

/// The version that this crate describes.
pub const API_VERSION: u32 = 1;
