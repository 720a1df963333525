//! Many packages at a time when every mirror is dead, and one neighbour that has them all.

use std::time::Duration;

use p2p_tests::{DelayProxy, Host, PackageSpec, Payload};

use crate::signed::{Signed, wait_signed};
use crate::world::{FALLBACK, FETCH_WITHIN};

/// More than may be asked of one neighbour at a time.
const PACKAGES: usize = 24;
/// One way to that neighbour: what is asked at one time overlaps.
const FAR: Duration = Duration::from_millis(100);

/// The database holds no signatures of packages.
#[test]
fn two_dozen_packages_and_their_signatures_come_from_one_neighbour_in_one_transaction() {
    let mut signed = Signed::new();
    let names: Vec<String> = (0..PACKAGES).map(|number| format!("part-{number}")).collect();
    let packages: Vec<_> = names
        .iter()
        .map(|name| signed.world.repository.add(&PackageSpec::new(name).payload(Payload::Random(60_000))))
        .collect();
    signed.publish(&signed.keyring);
    let arguments: Vec<&str> = std::iter::once("-S").chain(names.iter().map(String::as_str)).collect();
    let mut first = signed.machine(Vec::new());
    first.refresh("-Sy");
    first.pacman.pacman(&arguments).succeeded();
    first.wait_seeding(PACKAGES as u64);
    wait_signed(&mut first.daemon);
    let far = DelayProxy::start(&Host::loopback(), first.daemon.listen(), FAR);
    let mut second = signed.machine(vec![far.address()]);
    second.refresh("-Sy");
    second.daemon.wait_for_status("a neighbour", FETCH_WITHIN, |status| status.number("neighbours") == 1);
    signed.mirror.stop();
    let ran = second.pacman.pacman(&arguments);
    eprintln!("{:?}", ran.elapsed);
    assert!(ran.status.success() && !ran.output().contains(FALLBACK), "{ran}\n{}", second.daemon.log());
    assert!(packages.iter().all(|package| second.pacman.has_installed(package)), "{ran}");
}
