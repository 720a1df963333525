//! Holds the JSON about the catalog's packages still, as `golden.rs` does for the rest.

mod still;

use p2p_api::{
    FaultKind, ForgetDone, ForgetRecord, ForgottenPackage, NamesRequest, Package, PackageFault, PackageRecord,
    PackagesListed, Place, Reach, RescanDone, RescanProgress, RescanRecord, RescanRequest, UnknownName, VerifyDone,
    VerifyProgress, VerifyRecord,
};
use still::holds_still;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../tests/golden/api/", $name, ".json"))
    };
}

const FILE_NAME: &str = "linux-6.12.1-1-x86_64.pkg.tar.zst";
const CACHED: &str = "/var/cache/pacman/pkg/linux-6.12.1-1-x86_64.pkg.tar.zst";

#[test]
fn a_list_is_written_as_its_golden_files() {
    let package = Package {
        file_name: FILE_NAME.to_owned(),
        name: "linux".to_owned(),
        version: "6.12.1-1".to_owned(),
        repository: "core".to_owned(),
        size: 141_557_760,
        sha256: "0f".repeat(32),
        info_hash: "1e".repeat(20),
        path: CACHED.to_owned(),
        place: Place::Cache,
        added: 1_700_000_000,
        fetched: Some(1_700_000_100),
        uploaded_bytes: 734_003_200,
        last_asked: Some(1_700_000_200),
        reach: Reach::Public,
    };
    holds_still(golden!("packages_package"), &PackageRecord::Package(Box::new(package)));
    let listed = PackagesListed { packages: 1_204, bytes: 6_442_450_944 };
    holds_still(golden!("packages_done"), &PackageRecord::Done(listed));
}

#[test]
fn a_verification_is_written_as_its_golden_files() {
    let names = ["linux", "extra/gimp", "python-*"].map(str::to_owned).to_vec();
    holds_still(golden!("names_request"), &NamesRequest { names });
    let unknown = UnknownName { name: "extra/gimp".to_owned() };
    holds_still(golden!("verify_unknown"), &VerifyRecord::Unknown(unknown.clone()));
    holds_still(golden!("verify_unknown"), &ForgetRecord::Unknown(unknown));
    let (packages_done, packages, done, total) = (12, 87, 356_515_840, 943_718_400);
    let progress = VerifyProgress { packages_done, packages, done, total, file_name: FILE_NAME.to_owned() };
    holds_still(golden!("verify_progress"), &VerifyRecord::Progress(progress));
    let fault = PackageFault {
        file_name: FILE_NAME.to_owned(),
        path: CACHED.to_owned(),
        place: Place::Cache,
        fault: FaultKind::Wrong,
        message: "the file is not what the sync database said: its SHA-256 is another".to_owned(),
    };
    holds_still(golden!("verify_fault"), &VerifyRecord::Fault(fault));
    let done = VerifyDone { packages: 87, good_bytes: 802_160_640, wrong: 1, gone: 2, unreadable: 0 };
    holds_still(golden!("verify_done"), &VerifyRecord::Done(done));
}

#[test]
fn what_is_forgotten_is_written_as_its_golden_files() {
    let package = ForgottenPackage {
        file_name: FILE_NAME.to_owned(),
        path: format!("/var/lib/p2pd/store/0f0f0f0f0f0f0f0f-{FILE_NAME}~"),
        place: Place::Store,
        removed: true,
    };
    holds_still(golden!("forget_forgotten"), &ForgetRecord::Forgotten(package));
    let done = ForgetDone { packages: 1, freed_bytes: 141_557_760 };
    holds_still(golden!("forget_done"), &ForgetRecord::Done(done));
}

#[test]
fn a_rescan_is_written_as_its_golden_files() {
    holds_still(golden!("rescan_request"), &RescanRequest { all: true, wait: false });
    holds_still(golden!("rescan_asked"), &RescanRecord::Asked);
    let progress = RescanProgress { waiting: 75, hashed: 12, hashed_bytes: 356_515_840 };
    holds_still(golden!("rescan_progress"), &RescanRecord::Progress(progress));
    let done = RescanDone {
        hashed: 87,
        hashed_bytes: 943_718_400,
        packages: 1_204,
        bytes: 6_442_450_944,
        wrong: 1,
        unreadable: 0,
        unreadable_directories: 0,
    };
    holds_still(golden!("rescan_done"), &RescanRecord::Done(done));
}

#[test]
fn what_a_request_leaves_out_is_the_ordinary_case() {
    assert_eq!(serde_json::from_str::<RescanRequest>("{}").unwrap(), RescanRequest::default());
    assert!(RescanRequest::default().wait && !RescanRequest::default().all);
    assert_eq!(serde_json::from_str::<NamesRequest>("{}").unwrap(), NamesRequest::default());
    assert_eq!(serde_json::from_str::<FaultKind>(r#""moon-phase""#).unwrap(), FaultKind::Unreadable);
}
