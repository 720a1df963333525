//! Holds the JSON of the API still: what is in `tests/golden/api` is what is written, and is read back as the same.

mod still;

use std::num::NonZeroU64;

use p2p_api::{
    ActiveFetch, Announcing, ApiError, DatabaseSource, Discovery, ErrorCode, Failed, FailureCode, FetchRecord,
    FetchRequest, Freshness, ManualLimit, MappingState, Neighbour, NeighbourOrigin, PackageClaim, Pause, PauseReason,
    PortMapping, PrefetchFile, PrefetchRecord, PrefetchRequest, Progress, Ready, Replicate, Scope, ServiceState,
    SignatureFile, Status, Tracker, TransactionAccepted, TransactionId, TransactionProgress, TransactionRequest,
    Upload, UploadReason, UploadRequest,
};
use serde_json::Value;
use still::holds_still;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/api/", $name, ".json"))
    };
}

#[test]
fn a_fetch_request_is_written_as_its_golden_file() {
    holds_still(
        golden!("fetch_request"),
        &FetchRequest {
            url: "http://mirror.example/core/os/x86_64/a-1:2.0+r5-1-any.pkg.tar.zst".to_owned(),
            with_signature: true,
            force: false,
            transaction: Some(TransactionId { pid: 4711, started: 93_784 }),
        },
    );
}

#[test]
fn transactions_are_written_as_their_golden_files() {
    let transaction = TransactionId { pid: 4711, started: 93_784 };
    let urls = vec!["http://mirror.example/core/os/x86_64/a-1-1-any.pkg.tar.zst".to_owned()];
    holds_still(golden!("transaction_request"), &TransactionRequest { transaction, urls, with_signatures: true });
    holds_still(golden!("transaction_accepted"), &TransactionAccepted { files: 87 });
    holds_still(golden!("learn"), &FetchRecord::Learn);
}

#[test]
fn prefetches_are_written_as_their_golden_files() {
    let url = "http://mirror.example/core/os/x86_64/a-1-1-any.pkg.tar.zst".to_owned();
    let package = Some(PackageClaim { sha256: "0f".repeat(32), size: 1_234_567 });
    let files = vec![PrefetchFile { url: url.clone(), package }, PrefetchFile { url: url.clone(), package: None }];
    holds_still(golden!("prefetch_request"), &PrefetchRequest { files });
    holds_still(golden!("prefetch_progress"), &PrefetchRecord::Progress(transaction_progress()));
    let message = "no mirror has a-1-1-any.pkg.tar.zst".to_owned();
    holds_still(golden!("prefetch_failed"), &PrefetchRecord::Failed { url, message });
    holds_still(golden!("prefetch_done"), &PrefetchRecord::Done(transaction_progress()));
}

fn transaction_progress() -> TransactionProgress {
    TransactionProgress { files_done: 12, files: 87, done: 356_515_840, total: 943_718_400, from_peers: 146_171_494 }
}

#[test]
fn a_request_that_does_not_mention_signatures_wants_none() {
    let request: FetchRequest = serde_json::from_str(r#"{"url": "http://m/a"}"#).unwrap();
    assert!(!request.with_signature);
}

#[test]
fn progress_is_written_as_its_golden_files() {
    holds_still(golden!("progress_first"), &FetchRecord::Progress(Progress::default()));
    holds_still(
        golden!("progress"),
        &FetchRecord::Progress(Progress {
            done: 800_000,
            total: Some(1_234_567),
            from_peers: 524_288,
            source: Some("/var/lib/p2pd/spool/a-1-1-any.pkg.tar.zst".into()),
            contiguous: 262_144,
            transaction: Some(transaction_progress()),
        }),
    );
}

#[test]
fn ready_is_written_as_its_golden_files() {
    let ready = Ready {
        path: "/var/lib/p2pd/store/a-1-1-any.pkg.tar.zst".into(),
        size: 1_234_567,
        modified: Some(1_700_000_000),
        verified: true,
        from_peers: 524_288,
        from_mirrors: 710_279,
        signature: Some(SignatureFile { path: "/var/lib/p2pd/store/a-1-1-any.pkg.tar.zst.sig".into(), size: 566 }),
        transaction: None,
    };
    holds_still(golden!("ready"), &FetchRecord::Ready(ready.clone()));
    let plain = Ready { modified: None, verified: false, from_peers: 0, signature: None, ..ready };
    holds_still(golden!("ready_unknown_file"), &FetchRecord::Ready(plain));
}

#[test]
fn failed_is_written_as_its_golden_file() {
    holds_still(
        golden!("failed"),
        &FetchRecord::Failed(Failed {
            code: FailureCode::NotFound,
            message: "no mirror has a-1-1-any.pkg.tar.zst".to_owned(),
            hint: Some("run pacman -Sy".to_owned()),
        }),
    );
}

#[test]
fn an_error_is_written_as_its_golden_file() {
    holds_still(
        golden!("error"),
        &ApiError {
            code: ErrorCode::VersionMismatch,
            message: "this p2pd speaks version 1 of the API".to_owned(),
            hint: Some("restart p2pd after an upgrade".to_owned()),
        },
    );
}

#[test]
fn the_upload_is_written_as_its_golden_files() {
    use UploadReason as R;
    let pause = |reason, until| Pause { reason, until };
    let upload = Upload {
        limit: Some(0),
        reason: UploadReason::Paused,
        paused_until: None,
        month_bytes: 3_435_973_836,
        monthly_cap: None,
        slots: 8,
        pauses: vec![pause(PauseReason::User, Some(1_700_000_000)), pause(PauseReason::Metered, None)],
        manual_limit: Some(ManualLimit { bytes_per_second: NonZeroU64::new(204_800) }),
    };
    holds_still(golden!("upload"), &upload);
    let seconds = NonZeroU64::new(3_600);
    let requests = vec![
        UploadRequest::Pause { seconds, reason: PauseReason::User },
        UploadRequest::Pause { seconds: None, reason: PauseReason::Metered },
        UploadRequest::Resume { reason: None },
        UploadRequest::Resume { reason: Some(PauseReason::Metered) },
        UploadRequest::Limit(ManualLimit { bytes_per_second: NonZeroU64::new(204_800) }),
        UploadRequest::Limit(ManualLimit { bytes_per_second: None }),
        UploadRequest::Default,
    ];
    holds_still(golden!("upload_requests"), &requests);
    let reasons = vec![R::Paused, R::Cap, R::Limit, R::Schedule, R::OwnFetch, R::Default];
    holds_still(r#"["paused", "cap", "limit", "schedule", "own-fetch", "default"]"#, &reasons);
}

#[test]
fn neighbours_are_written_as_their_golden_file() {
    let neighbour = |address: &str, local| Neighbour {
        address: address.to_owned(),
        repository: Some("core".to_owned()),
        local,
        origin: if local { NeighbourOrigin::Lan } else { NeighbourOrigin::Neighbour },
        version: Some("pacman2pacman 0.1.0".to_owned()),
        connected_seconds: 3_600,
        round_trip_us: Some(1_260),
    };
    let far =
        Neighbour { repository: None, version: None, round_trip_us: None, ..neighbour("[2001:db8::1]:6881", false) };
    holds_still(golden!("neighbours"), &vec![neighbour("192.168.1.2:6881", true), far]);
}

#[test]
fn what_a_change_of_the_upload_leaves_out_is_a_persons_and_without_end() {
    let read = |text: &str| serde_json::from_str::<UploadRequest>(text);
    let pause = UploadRequest::Pause { seconds: None, reason: PauseReason::User };
    assert_eq!(read(r#"{"action":"pause"}"#).unwrap(), pause);
    assert_eq!(read(r#"{"action":"resume"}"#).unwrap(), UploadRequest::Resume { reason: None });
    for wrong in [
        r#"{"action":"limit","bytes_per_second":0}"#,
        r#"{"action":"pause","seconds":0}"#,
        r#"{"action":"pause","seconds":-1}"#,
        r#"{"action":"pause","reason":"because"}"#,
        r#"{"action":"stop"}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_status_is_written_as_its_golden_file() {
    holds_still(golden!("status"), &status());
}

#[test]
fn every_code_has_its_kebab_case_name() {
    use {ErrorCode as E, FailureCode as F};
    let errors =
        [E::BadRequest, E::VersionMismatch, E::Forbidden, E::NotFound, E::TooLarge, E::TooBusy, E::Unavailable];
    let failures =
        [F::NotFound, F::Unreachable, F::StillUnreachable, F::Mismatch, F::DiskFull, F::Stopping, F::Internal];
    let written = serde_json::json!({ "errors": errors, "failures": failures });
    assert_eq!(written, serde_json::from_str::<Value>(golden!("codes")).unwrap());
}

#[test]
fn a_code_from_a_newer_daemon_is_read_as_the_most_general_one() {
    assert_eq!(serde_json::from_str::<FailureCode>(r#""moon-phase""#).unwrap(), FailureCode::Internal);
    assert_eq!(serde_json::from_str::<ErrorCode>(r#""moon-phase""#).unwrap(), ErrorCode::Unavailable);
}

#[test]
fn a_field_from_a_newer_daemon_is_ignored() {
    let line = r#"{"event":"failed","code":"stopping","message":"m","hint":null,"since":7}"#;
    let expected = Failed { code: FailureCode::Stopping, message: "m".to_owned(), hint: None };
    assert_eq!(serde_json::from_str::<FetchRecord>(line).unwrap(), FetchRecord::Failed(expected));
}

fn databases() -> Vec<Freshness> {
    let core = Freshness {
        repository: "core".to_owned(),
        signed_age_seconds: Some(10_800),
        key: Some("DC35D3696DE7430AB6F90D47E7C2C55199A9EB56".to_owned()),
        source: DatabaseSource::Neighbour,
        neighbours: 4,
        age_seconds: 600,
    };
    let (repository, source) = ("extra".to_owned(), DatabaseSource::Mirror);
    let extra =
        Freshness { repository, signed_age_seconds: None, key: None, source, neighbours: 0, age_seconds: 1_200 };
    vec![core, extra]
}

fn discovery() -> Discovery {
    Discovery {
        scope: Scope::Public,
        lan: ServiceState::On,
        dht: ServiceState::Failed,
        trackers: vec![
            Tracker { url: "udp://tracker.example:6969/announce".to_owned(), last_error: None, peers: 12 },
            Tracker {
                url: "http://old.example/announce".to_owned(),
                last_error: Some("connection refused".to_owned()),
                peers: 0,
            },
        ],
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        uptime_seconds: 93_784,
        listen: "[::]:6881".to_owned(),
        packages_seeded: 1_204,
        bytes_seeded: 6_442_450_944,
        uploaded_bytes: 12_884_901_888,
        downloaded_from_peers_bytes: 1_073_741_824,
        downloaded_from_mirrors_bytes: 2_147_483_648,
        upload_rate: 1_048_576,
        download_rate: 5_242_880,
        neighbours: 3,
        peers: 7,
        dht_nodes: 214,
        active_fetches: 1,
        fetches: vec![ActiveFetch {
            file_name: "linux-6.12.1-1-x86_64.pkg.tar.zst".to_owned(),
            done: 62_914_560,
            total: Some(141_557_760),
            from_peers: 20_971_520,
            rate: 5_242_880,
        }],
        discovery: discovery(),
        databases: Some(databases()),
        keyring_fault: None,
        announcing: Some(Announcing { offers: 1_204, due: 950, packets: 421_377, budget: 5 }),
        upload: Some(Upload {
            limit: Some(204_800),
            reason: UploadReason::Schedule,
            paused_until: None,
            month_bytes: 3_435_973_836,
            monthly_cap: Some(107_374_182_400),
            slots: 8,
            pauses: Vec::new(),
            manual_limit: None,
        }),
        store_bytes: 314_572_800,
        cache_server: Some("127.0.0.1:9717".to_owned()),
        replicate: Some(Replicate {
            held_packages: 960,
            held_bytes: 19_327_352_832,
            wanted_packages: 1_000,
            budget: 21_474_836_480,
            next: Some(1_700_000_000),
        }),
        port_mapping: Some(PortMapping {
            state: MappingState::Mapped,
            gateway: Some("192.168.1.1:5000".to_owned()),
            external: Some("203.0.113.7".to_owned()),
            error: None,
        }),
    }
}
