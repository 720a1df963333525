//! Paths and header names.

/// `GET`: one [`Status`](crate::Status).
pub const STATUS: &str = "/v1/status";

/// `POST` a [`FetchRequest`](crate::FetchRequest): a stream of [`FetchRecord`](crate::FetchRecord)s.
pub const FETCHES: &str = "/v1/fetches";

/// `POST` a [`TransactionRequest`](crate::TransactionRequest): a [`TransactionAccepted`](crate::TransactionAccepted).
pub const TRANSACTIONS: &str = "/v1/transactions";

/// `POST` a [`PrefetchRequest`](crate::PrefetchRequest): a stream of [`PrefetchRecord`](crate::PrefetchRecord)s.
pub const PREFETCHES: &str = "/v1/prefetches";

/// `GET`: a stream of [`PackageRecord`](crate::PackageRecord)s.
pub const PACKAGES: &str = "/v1/packages";

/// `POST` a [`NamesRequest`](crate::NamesRequest): a stream of [`VerifyRecord`](crate::VerifyRecord)s.
pub const VERIFY: &str = "/v1/packages/verify";

/// `POST` a [`NamesRequest`](crate::NamesRequest): a stream of [`ForgetRecord`](crate::ForgetRecord)s.
pub const FORGET: &str = "/v1/packages/forget";

/// `POST` a [`RescanRequest`](crate::RescanRequest): a stream of [`RescanRecord`](crate::RescanRecord)s.
pub const RESCAN: &str = "/v1/rescan";

/// `GET`: an [`Upload`](crate::Upload); `POST` an [`UploadRequest`](crate::UploadRequest): the [`Upload`](crate::Upload) that
/// follows.
pub const UPLOAD: &str = "/v1/upload";

/// `GET`: an array of [`Neighbour`](crate::Neighbour)s.
pub const NEIGHBOURS: &str = "/v1/neighbours";

/// `GET`, with the query `package=NAME`: an array of [`Explanation`](crate::Explanation)s.
pub const EXPLANATIONS: &str = "/v1/explanations";

/// `GET`: one [`Diagnosis`](crate::Diagnosis).
pub const DIAGNOSIS: &str = "/v1/diagnosis";

/// `GET`: an array of [`Published`](crate::Published); `POST` a [`Publication`](crate::Publication) and two files: a
/// [`PublicationAccepted`](crate::PublicationAccepted).
pub const PUBLICATIONS: &str = "/v1/publications";

/// The only value of `Host` that the daemon answers to: a web page can't send it by accident.
pub const HOST: &str = "p2pd";

/// The header in which both sides state the version that they speak; lower case, as it is sent.
pub const VERSION_HEADER: &str = "p2pd-api";

/// The version that this crate describes.
pub const API_VERSION: u32 = 1;
