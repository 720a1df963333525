//! Ten thousand peers that do not exist.

use std::net::SocketAddr;

use p2p_tests::{DhtNetwork, Fault, FixedTracker, Router};

use super::*;

/// What the tracker names.
const INVENTED: u32 = 10_000;
/// What each answer of the DHT names: as much as a datagram takes.
const IN_EACH_ANSWER: u32 = 100;
const TRIES: usize = 3;

/// Addresses that count as global, and where nobody is.
fn nobody() -> Vec<SocketAddr> {
    (0..INVENTED).map(|number| SocketAddr::new(((5 << 24) | (number * 1_601)).to_be_bytes().into(), 6881)).collect()
}

#[test]
fn ten_thousand_invented_peers_in_tracker_and_dht_cost_a_package_a_moment_in_namespaces() {
    let mut router = Router::new();
    let (world, town) = (router.site([198, 51, 100]), router.site([203, 0, 113]));
    let [server, dht, place] = [world, world, town].map(|site| router.host(site));
    let (tracker, dht) = (FixedTracker::start(&server, &nobody()), DhtNetwork::start(&dht));
    dht.invent_peers(IN_EACH_ANSWER);
    // A large package comes so slowly that a swarm pays.
    for (bytes, rate) in [(SMALL, None), (LARGE, Some(4_000_000))] {
        let mut scene = Scene::of(bytes);
        scene.mirror = Mirror::serve_on(&server, scene.world.directory.path());
        scene.url = scene.mirror.url(&scene.world.path(&scene.package));
        if let Some(rate) = rate {
            scene.mirror.fault(&scene.world.path(&scene.package), Fault::Rate(rate));
        }
        scene.world.repository.write_torrents(&[tracker.url()]);
        let time = |is_lied_to: bool| {
            let machine = scene.world.machine(&[scene.mirror.server()]).daemon(|options| DaemonOptions {
                host: place.clone(),
                trackers: is_lied_to.then(|| tracker.url()).into_iter().collect(),
                dht_bootstrap: if is_lied_to { dht.nodes() } else { Vec::new() },
                ..options
            });
            let mut machine = machine.start();
            if is_lied_to {
                machine.daemon.wait_for_status("the tracker's peers", FETCH_WITHIN, |status| {
                    status.json()["discovery"]["trackers"][0]["peers"].as_u64() > Some(0)
                });
            }
            let ran = machine.fetch(&scene.url, &scene.package);
            ran.succeeded();
            assert!(scene.package.is_at(&machine.out(&scene.package)), "another file than asked for");
            ran.elapsed
        };
        let (mut alone, mut crowded) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            alone.push(time(false));
            crowded.push(time(true));
        }
        let (alone, crowded) = (median(alone), median(crowded));
        eprintln!("{bytes} bytes: alone {alone:?}, in the crowd {crowded:?}");
        assert!(crowded <= alone + COST + NOISE, "{crowded:?} in the crowd, {alone:?} alone");
    }
}
