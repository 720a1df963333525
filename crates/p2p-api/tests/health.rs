//! Holds the JSON of explanations and of the diagnosis still, as `golden.rs` does for the rest.

mod still;

use p2p_api::{
    AccessHealth, Calls, CallsBack, DatabaseHealth, Diagnosis, DirectoryHealth, Explanation, FetchSource, FetchStory,
    Has, Held, LanHearing, Listing, MappingState, NeighbourAnswer, PacmanUse, Place, PortMapping, Reach, ReachReason,
    ScanHealth, SourceKind, StateHealth, StoryEnd, StoryEvent,
};
use still::holds_still;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/api/", $name, ".json"))
    };
}

const FILE_NAME: &str = "gimp-2.10.38-1-x86_64.pkg.tar.zst";

#[test]
fn explanations_are_written_as_their_golden_file() {
    let unknown = Explanation {
        name: "http://home.example/custom/tool-1-1-any.pkg.tar.zst".to_owned(),
        listings: Vec::new(),
        held: None,
        info_hash: None,
        reach: Reach::Nobody,
        reason: ReachReason::Unlisted,
        pattern: None,
        neighbours: Vec::new(),
        peers: 0,
        others: None,
        last_fetch: None,
    };
    holds_still(golden!("explanations"), &vec![known(), unknown]);
    let reasons = [
        ReachReason::Listed,
        ReachReason::Superseded,
        ReachReason::Excluded,
        ReachReason::NotShared,
        ReachReason::Unlisted,
    ];
    holds_still(r#"["listed", "superseded", "excluded", "not-shared", "unlisted"]"#, &reasons.to_vec());
    let answers = [Has::Here, Has::Coming, Has::Absent, Has::Silent];
    holds_still(r#"["here", "coming", "absent", "silent"]"#, &answers.to_vec());
    let ends = [StoryEnd::Running, StoryEnd::Ready, StoryEnd::Failed, StoryEnd::Abandoned];
    holds_still(r#"["running", "ready", "failed", "abandoned"]"#, &ends.to_vec());
}

fn known() -> Explanation {
    let answer = |address: &str, local, answer| NeighbourAnswer { address: address.to_owned(), local, answer };
    Explanation {
        name: FILE_NAME.to_owned(),
        listings: vec![Listing {
            repository: "extra".to_owned(),
            version: "2.10.38-1".to_owned(),
            size: 19_922_944,
            sha256: "0f".repeat(32),
        }],
        held: Some(Held {
            path: format!("/var/cache/pacman/pkg/{FILE_NAME}"),
            place: Place::Cache,
            added: Some(1_700_000_000),
            fetched: Some(1_700_000_000),
            uploaded_bytes: 39_845_888,
        }),
        info_hash: Some("1e".repeat(20)),
        reach: Reach::Public,
        reason: ReachReason::Listed,
        pattern: None,
        neighbours: vec![answer("192.168.1.2:6881", true, Has::Here), answer("[2001:db8::1]:6881", false, Has::Silent)],
        peers: 3,
        others: Some(12),
        last_fetch: Some(story()),
    }
}

fn story() -> FetchStory {
    let source =
        |kind, name: &str, bytes, why: &str| FetchSource { kind, name: name.to_owned(), bytes, why: why.to_owned() };
    let event = |after_ms, text: &str| StoryEvent { after_ms, text: text.to_owned() };
    FetchStory {
        began: 1_700_000_000,
        elapsed_ms: 1_240,
        end: StoryEnd::Ready,
        message: None,
        sources: vec![
            source(SourceKind::Mirror, "mirror.example", 9_961_472, "was asked, and sent some of it"),
            source(SourceKind::Neighbour, "", 0, "none was connected"),
        ],
        events: vec![event(0, "mirror.example is asked"), event(85, "mirror.example answers")],
        more_events: 0,
    }
}

#[test]
fn a_diagnosis_is_written_as_its_golden_file() {
    let calls = |connected, asked, reached, failed| Calls { connected, asked, reached, failed };
    holds_still(
        golden!("diagnosis"),
        &Diagnosis {
            calls: CallsBack { asked: true, remote: calls(5, 3, 2, 0), local: calls(1, 0, 0, 0) },
            lan: LanHearing { neighbours: 1, last_search: Some(240) },
            databases: vec![DatabaseHealth {
                repository: "core".to_owned(),
                shared: true,
                packages: 268,
                modified: Some(1_700_000_000),
                fault: None,
            }],
            pacman: PacmanUse {
                config: "/etc/pacman.conf".to_owned(),
                fault: None,
                xfer_command: Some("/usr/bin/pacman2pacman-get %u %o".to_owned()),
                download_user: Some("alpm".to_owned()),
                served_repositories: 0,
            },
            access: AccessHealth {
                users: vec!["root".to_owned(), "alpm".to_owned()],
                unknown_users: Vec::new(),
                group: "p2pd".to_owned(),
                group_exists: true,
            },
            cache: vec![DirectoryHealth {
                path: "/var/cache/pacman/pkg/".to_owned(),
                packages: 412,
                unreadable: 0,
                fault: None,
            }],
            state: StateHealth {
                path: "/var/lib/p2pd".to_owned(),
                free_bytes: Some(53_687_091_200),
                store_bytes: 314_572_800,
                max_store: 10_737_418_240,
            },
            scan: ScanHealth { waiting: 0, wrong: 0, unreadable: 0 },
            port_mapping: PortMapping { state: MappingState::Off, gateway: None, external: None, error: None },
        },
    );
    let states = [
        MappingState::Off,
        MappingState::NotNeeded,
        MappingState::Searching,
        MappingState::Mapped,
        MappingState::Failed,
    ];
    holds_still(r#"["off", "not-needed", "searching", "mapped", "failed"]"#, &states.to_vec());
}
