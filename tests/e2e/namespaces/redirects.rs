//! Requests on a stranger's word: none.

use p2p_tests::{DaemonOptions, Fault, Lan, Mirror};

use crate::world::World;

/// Addresses of the real Internet, inside namespaces only: documentation networks do not count as global everywhere.
const GLOBAL: [u8; 3] = [9, 9, 9];

#[test]
fn a_global_mirror_may_not_redirect_to_a_service_of_this_machine() {
    let mut lan = Lan::new(GLOBAL);
    let (mirror_host, machine_host) = (lan.host(), lan.host());
    let (world, package) = World::with_package(3_000_000);
    let path = world.path(&package);
    let (evil, honest) = (
        Mirror::serve_on(&mirror_host, world.directory.path()),
        Mirror::serve_on(&mirror_host, world.directory.path()),
    );
    let victim = Mirror::serve_on(&machine_host.inside(), world.directory.path());
    evil.fault("*", Fault::RedirectTo(victim.url(&path)));
    let machine = world.machine(&[evil.server(), honest.server()]);
    let machine = machine.daemon(|options| DaemonOptions { host: machine_host, ..options }).start();
    machine.fetch_well(&evil.url(&path), &package);
    assert_eq!(victim.requests().len(), 0, "{:?}", victim.requests());
}
