//! Whether others are found.

use p2p_api::{CallsBack, Discovery, LanHearing, Scope, ServiceState, Status};

use crate::doctor::finding::Finding;
use crate::report::{age, count};

/// A search heard within this, in seconds, shows that multicast works.
const LATELY: u64 = 3_600;
/// A daemon that has just started has not met anybody yet, in seconds.
const JUST_STARTED: u64 = 60;

pub(super) fn neighbours(status: &Status, calls: &CallsBack) -> Finding {
    let (far, near, discovery) = (calls.remote.connected, calls.local.connected, &status.discovery);
    let looks_around = [discovery.lan, discovery.dht].contains(&ServiceState::On) || !discovery.trackers.is_empty();
    match (calls.asked, far + near, status.neighbours) {
        // Where they are is not told to everybody.
        (false, _, 1..) => Finding::ok("neighbours", count(status.neighbours, "neighbour")),
        (true, 1.., _) => Finding::ok(
            "neighbours",
            format!("{}: {near} on local networks, {far} farther away", count(far + near, "neighbour")),
        ),
        _ if looks_around => {
            let hint = "the first may take minutes to find; discovery.peers names one for sure";
            Finding::warning("neighbours", "none is connected", hint)
        }
        _ => {
            let hint = "neither the local network, nor the DHT, nor a tracker is asked for any: only those of discovery.peers \
                        are dialled";
            Finding::warning("neighbours", "none is connected", hint)
        }
    }
}

pub(super) fn lan(discovery: &Discovery, heard: &LanHearing) -> Finding {
    match (discovery.lan, heard.last_search) {
        (ServiceState::Off, _) => Finding::ok("local network", "its discovery is off (discovery.lan)"),
        (ServiceState::Failed, _) => {
            let hint = "multicast has to be possible, and UDP port 6771 free; the log says more";
            Finding::problem("local network", "its discovery does not work", hint)
        }
        (ServiceState::On, _) if heard.neighbours > 0 => {
            let were = if heard.neighbours == 1 { "was" } else { "were" };
            Finding::ok("local network", format!("{} {were} found there", count(heard.neighbours, "neighbour")))
        }
        (ServiceState::On, Some(seconds)) if seconds <= LATELY => {
            Finding::ok("local network", format!("another machine was heard {} ago", age(seconds)))
        }
        (ServiceState::On, _) => {
            let hint = "fine where there is none; otherwise let UDP port 6771 in, and multicast through the switch";
            Finding::warning("local network", "no other machine was heard there lately", hint)
        }
    }
}

pub(super) fn dht(status: &Status) -> Finding {
    match (status.discovery.dht, status.dht_nodes) {
        _ if status.discovery.scope == Scope::Lan => Finding::ok("DHT", "not used: discovery.scope is \"lan\""),
        (ServiceState::Off, _) => Finding::ok("DHT", "it is off (discovery.dht)"),
        (ServiceState::Failed, _) => {
            Finding::problem("DHT", "it does not work", "discovery.dht_listen may be taken; the log says more")
        }
        (ServiceState::On, 0) if status.uptime_seconds < JUST_STARTED => {
            Finding::warning("DHT", "no node yet: p2pd has just started", "look again in a minute")
        }
        (ServiceState::On, 0) => {
            Finding::warning("DHT", "no node answers", "let UDP out; discovery.dht_bootstrap names nodes to begin with")
        }
        (ServiceState::On, nodes) => Finding::ok("DHT", count(nodes, "node")),
    }
}

pub(super) fn trackers(discovery: &Discovery) -> Finding {
    if discovery.scope == Scope::Lan {
        return Finding::ok("trackers", "not used: discovery.scope is \"lan\"");
    }
    let failed = discovery.trackers.iter().find_map(|tracker| Some((&tracker.url, tracker.last_error.as_ref()?)));
    match (failed, discovery.trackers.len() as u64) {
        (Some((url, error)), _) => {
            Finding::warning("trackers", format!("{url}: {error}"), "others are found without it, too")
        }
        (None, 0) => Finding::ok("trackers", "none was asked lately"),
        (None, number) => Finding::ok("trackers", format!("{} answered", count(number, "tracker"))),
    }
}
