//! Whole transactions beside pacman's own downloader, in the same run: the real pacman, the real nginx.

mod calls;
mod scene;
mod upgrade;

use std::time::Duration;

use p2p_tests::Package;

use crate::Size;
use crate::figures::{Wanted, quotient, row, usage};
use scene::{Scene, Timed, Way};

/// The natural logarithm's standard deviation, with which two hundred packages have two hundred megabytes.
const SPREAD: f64 = 1.79;
const LARGEST: f64 = 20_000_000.0;

/// Other ways than ours and pacman's own: so slow, or so far from the point, that one scene tells enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    Measured,
    Left,
}

#[test]
fn bench_a_transaction_from_a_mirror_at_a_hundred_megabits() {
    let scene = Scene::on_a_line(100, packages());
    table(&scene, "mirror at 100 Mbit/s", 1, Wanted::AtMost(1.05), Others::Measured);
}

#[test]
fn bench_a_transaction_from_a_mirror_thirty_milliseconds_away() {
    let scene = Scene::far_away(Duration::from_millis(30), packages());
    table(&scene, "mirror behind a proxy that adds 30 ms each way", 3, Wanted::AtMost(1.0), Others::Left);
}

#[test]
fn bench_a_transaction_on_the_loopback() {
    let scene = Scene::near(packages());
    table(&scene, "mirror on the loopback, without limits", 3, Wanted::AtMost(2.0), Others::Left);
}

#[test]
fn bench_a_transaction_with_a_peer_that_has_everything() {
    let scene = Scene::with_a_peer(20, packages());
    let what = "mirror at 20 Mbit/s with .torrent files, a peer on the LAN at 1 Gbit/s";
    table(&scene, what, 1, Wanted::AtMost(0.15), Others::Left);
}

#[test]
fn bench_a_large_package_among_small_ones() {
    let large = Size::chosen().of(64_000_000, 1_500_000_000);
    let small = crate::sizes::log_normal(Size::chosen().of(20, 60), SPREAD, LARGEST);
    let scene = Scene::near(small.chain([("z-large".to_owned(), large)]));
    table(&scene, "one large package, mirror on the loopback", 2, Wanted::AtMost(2.0), Others::Left);
}

fn packages() -> impl Iterator<Item = (String, u64)> {
    crate::sizes::log_normal(Size::chosen().of(40, 200), SPREAD, LARGEST)
}

/// Measures all ways so often, and prints the fastest runs: other load only ever slows.
fn table(scene: &Scene, what: &str, runs: usize, wanted: Wanted, others: Others) {
    let all = scene.packages();
    let mut sizes: Vec<u64> = all.iter().map(Package::size).collect();
    sizes.sort_unstable();
    let (bytes, median) = (sizes.iter().sum::<u64>(), sizes[sizes.len() / 2]);
    let best =
        |way| (0..runs).map(|_| scene.time(way, all)).min_by_key(|timed| timed.elapsed).expect("runs at least once");
    let alone = best(Way::Alone);
    let (client, server) = (best(Way::Client), best(Way::CacheServer));
    eprintln!("\n{what}: {} packages, {} MB, median {} KB", all.len(), bytes / 1_000_000, median / 1_000);
    let line = |what: &str, timed: &Timed, wanted| {
        row(what, timed.elapsed, quotient(timed.elapsed, alone.elapsed), wanted);
    };
    line("pacman's own downloader, ParallelDownloads = 5", &alone, None);
    line("XferCommand = pacman2pacman-get", &client, Some(wanted));
    line("our CacheServer as first Server", &server, Some(wanted));
    if others == Others::Measured {
        line("XferCommand = aria2c", &best(Way::Aria2), None);
        let few: Vec<Package> = all.iter().step_by(Size::chosen().of(20, 10)).cloned().collect();
        let old = scene.time(Way::Old, &few);
        let extrapolated = old.elapsed.mul_f64(count(all) / count(&few));
        let name = format!("transmission, the old way ({} packages, extrapolated)", few.len());
        line(&name, &Timed { elapsed: extrapolated, ..old }, None);
    }
    for (way, timed) in [("XferCommand", client), ("CacheServer", server)] {
        let (peers, mirrors) = (timed.from_peers / 1_000_000, timed.from_mirrors / 1_000_000);
        usage(&format!("  p2pd, {way}: {peers} MB from peers, {mirrors} MB from mirrors"), timed.daemon);
    }
}

fn count(packages: &[Package]) -> f64 {
    f64::from(u32::try_from(packages.len()).expect("a few hundred"))
}
