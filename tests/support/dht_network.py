"""A private DHT for the tests: as many libtorrent nodes as the ports in the argument, a JSON object.

Prints how many nodes each one knows, whenever that changes. Ends at SIGTERM.
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
        "alert_mask": 0,
    })
    for port in options["ports"]
]

last = None
while not stopping:
    known = [session.status().dht_nodes for session in sessions]
    # Nodes to bootstrap from would be asked, and never remembered; these are.
    for session in [session for session, nodes in zip(sessions, known) if nodes < len(sessions) // 2]:
        for port in options["ports"]:
            session.add_dht_node((options["address"], port))
    if known != last:
        print(json.dumps(known), flush=True)
        last = known
    time.sleep(0.2)
