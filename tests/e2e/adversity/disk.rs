//! Disks that are full.

use p2p_tests::{DaemonOptions, Mirror, SmallDisk};

use crate::world::{FETCH_WITHIN, World};

const SIZE: u64 = 12_000_000;

#[test]
fn a_full_store_gives_the_right_file_or_a_clear_error() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let disk = SmallDisk::mount(6_000_000);
    let machine = world.machine(&[mirror.server()]);
    let machine = machine.daemon(|options| DaemonOptions { state_dir: Some(disk.path("state")), ..options }).start();
    let ran = machine.fetch(&mirror.url(&world.path(&package)), &package);
    if ran.status.success() {
        assert!(package.is_at(&machine.out(&package)), "a wrong file: {ran}");
    } else {
        assert!(ran.stderr.to_lowercase().contains("space"), "{ran}");
        assert!(!machine.out(&package).exists(), "{ran}");
    }
    // And it lives on.
    let small = machine.daemon.status();
    assert_eq!(small.number("active_fetches"), 0);
}

#[test]
fn a_full_disk_at_the_client_is_a_clear_error() {
    let (world, package) = World::with_package(SIZE);
    let mirror = Mirror::serve(world.directory.path());
    let disk = SmallDisk::mount(6_000_000);
    let machine = world.machine(&[mirror.server()]).start();
    let out = disk.path(package.file_name());
    let ran = machine.daemon.client().fetch(&mirror.url(&world.path(&package)), &out, FETCH_WITHIN);
    assert!(ran.failed().stderr.to_lowercase().contains("space"), "{ran}");
    assert!(!package.is_at(&out));
}
