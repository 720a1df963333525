//! The words that the daemon and its clients exchange.
//!
//! `docs/api.md` specifies them, `tests/golden/api` holds them still. A reader ignores fields that it doesn't know, so
//! that a daemon may say more than an older client understands; another [`API_VERSION`] says that they can't talk at all.
//!
//! Nothing here opens a file, a socket or a clock.

mod diagnosis;
mod error;
mod explanation;
mod fetch;
mod freshness;
mod limits;
mod names;
mod neighbours;
mod packages;
mod publications;
mod replicate;
mod report;
mod routes;
mod socket;
mod status;
mod transaction;
mod upload;

pub use diagnosis::{
    AccessHealth, Calls, CallsBack, DatabaseHealth, Diagnosis, DirectoryHealth, LanHearing, MappingState, PacmanUse,
    PortMapping, ScanHealth, StateHealth,
};
pub use error::{ApiError, ErrorCode};
pub use explanation::{
    Explanation, FetchSource, FetchStory, Has, Held, Listing, MAX_EXPLAINED_NAME, NeighbourAnswer, ReachReason,
    SourceKind, StoryEnd, StoryEvent,
};
pub use fetch::{Failed, FailureCode, FetchRecord, FetchRequest, Progress, Ready, SignatureFile};
pub use freshness::{DatabaseSource, Freshness};
pub use limits::{
    FIRST_RECORD_WITHIN, HEARTBEAT_INTERVAL, HEARTBEAT_MAX_AGE, MAX_RECORD_BYTES, MAX_REQUEST_BYTES, MAX_SILENCE,
    MAX_TRANSACTION_BYTES, MAX_TRANSACTION_FILES, RECORD_INTERVAL,
};
pub use names::{MAX_NAMES, MAX_PATTERNS, Names, NamesError};
pub use neighbours::{Neighbour, NeighbourOrigin};
pub use packages::{
    FaultKind, ForgetDone, ForgetRecord, ForgottenPackage, NamesRequest, Package, PackageFault, PackageRecord,
    PackagesListed, Place, Reach, RescanDone, RescanProgress, RescanRecord, RescanRequest, UnknownName, VerifyDone,
    VerifyProgress, VerifyRecord,
};
pub use publications::{Publication, PublicationAccepted, Published};
pub use replicate::Replicate;
pub use report::Report;
pub use routes::{
    API_VERSION, DIAGNOSIS, EXPLANATIONS, FETCHES, FORGET, HOST, NEIGHBOURS, PACKAGES, PREFETCHES, PUBLICATIONS,
    RESCAN, STATUS, TRANSACTIONS, UPLOAD, VERIFY, VERSION_HEADER,
};
pub use socket::{DEFAULT_SOCKET, SOCKET_VARIABLE, heartbeat_path};
pub use status::{ActiveFetch, Announcing, Discovery, Scope, ServiceState, Status, Tracker};
pub use transaction::{
    PackageClaim, PrefetchFile, PrefetchRecord, PrefetchRequest, TransactionAccepted, TransactionId,
    TransactionProgress, TransactionRequest,
};
pub use upload::{MAX_PAUSE_SECONDS, ManualLimit, Pause, PauseReason, Upload, UploadReason, UploadRequest};
