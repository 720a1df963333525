"""A private DHT for the tests: as many libtorrent nodes as the ports in the argument, a JSON object.

Prints how many nodes each one knows and who has announced himself for the info hash, whenever that changes. Ends at
SIGTERM.
"""

import json
import signal
import sys
import time

import libtorrent as lt

options = json.loads(sys.argv[1])
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))

sessions = [
    lt.session({
        "listen_interfaces": "%s:%d" % (options["address"], port),
        "enable_dht": True,
        "dht_bootstrap_nodes": "",
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "dht_restrict_routing_ips": False,
        "dht_restrict_search_ips": False,
        "dht_prefer_verified_node_ids": False,
        "dht_enforce_node_id": False,
        # Nodes that share an address would take each other for floods.
        "dht_block_ratelimit": 100000,
        "dht_upload_rate_limit": 10000000,
        "alert_mask": lt.alert.category_t.dht_operation_notification,
    })
    for port in options["ports"]
]

wanted = lt.sha1_hash(bytes.fromhex(options["info_hash"]))
peers = set()
last = None
rounds = 0
while not stopping:
    known = [session.status().dht_nodes for session in sessions]
    # Nodes to bootstrap from would be asked, and never remembered; these are.
    for session in [session for session, nodes in zip(sessions, known) if nodes < len(sessions) // 2]:
        for port in options["ports"]:
            session.add_dht_node((options["address"], port))
    if rounds % 10 == 0:
        sessions[0].dht_get_peers(wanted)
    rounds += 1
    for alert in sessions[0].pop_alerts():
        if isinstance(alert, lt.dht_get_peers_reply_alert):
            peers.update("%s:%d" % peer for peer in alert.peers())
    state = {"known": known, "peers": sorted(peers)}
    if state != last:
        print(json.dumps(state), flush=True)
        last = state
    time.sleep(0.2)
