"""One libtorrent session for the tests: seeds or downloads one torrent.

The only argument is a JSON object, written by libtorrent.rs. Whenever the state changes, one line of JSON goes to the
standard output. Ends at SIGTERM.
"""

import json
import signal
import sys
import time

import libtorrent as lt

options = json.loads(sys.argv[1])
stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))

session = lt.session({
    "user_agent": "libtorrent of a test",
    "listen_interfaces": options["listen"],
    "enable_dht": bool(options["dht"]),
    "dht_bootstrap_nodes": "",
    "enable_lsd": options["lsd"],
    "local_service_announce_interval": 5,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "close_redundant_connections": False,
    # A private DHT has all its nodes in one network.
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_prefer_verified_node_ids": False,
    "dht_enforce_node_id": False,
    "dht_announce_interval": 10,
    "min_reconnect_time": 2,
    "peer_connect_timeout": 5,
    "enable_outgoing_tcp": options["transport"] != "utp",
    "enable_incoming_tcp": options["transport"] != "utp",
    "enable_outgoing_utp": options["transport"] != "tcp",
    "enable_incoming_utp": options["transport"] != "tcp",
    "out_enc_policy": {"forced": 0, "enabled": 1, "disabled": 2}[options["encryption"]],
    "upload_rate_limit": options["upload_limit"],
    "download_rate_limit": options["download_limit"],
    "alert_mask": lt.alert.category_t.error_notification,
})

if options["torrent"].startswith("magnet:"):
    torrent = lt.parse_magnet_uri(options["torrent"])
else:
    torrent = lt.add_torrent_params()
    torrent.ti = lt.torrent_info(options["torrent"])
torrent.save_path = options["directory"]
torrent.flags &= ~lt.torrent_flags.auto_managed
torrent.flags &= ~lt.torrent_flags.paused
switches = [("dht", lt.torrent_flags.disable_dht), ("lsd", lt.torrent_flags.disable_lsd), ("pex", lt.torrent_flags.disable_pex)]
for name, disabled in switches:
    if not options[name]:
        torrent.flags |= disabled
handle = session.add_torrent(torrent)
for ip, port in options["peers"]:
    handle.connect_peer((ip, port))

last = None
while not stopping:
    if options["dht"] and session.status().dht_nodes == 0:
        # Nodes to bootstrap from would be asked, and never remembered; these are.
        for ip, port in options["dht"]:
            session.add_dht_node((ip, port))
    status = handle.status()
    state = {
        "done": status.total_wanted_done,
        "complete": status.is_seeding,
        "uploaded": status.total_payload_upload,
        "downloaded": status.total_payload_download,
        "peers": sorted("%s:%d" % peer.ip for peer in handle.get_peer_info()),
        "dht_nodes": session.status().dht_nodes,
    }
    if state != last:
        print(json.dumps(state), flush=True)
        last = state
    for alert in session.pop_alerts():
        print(alert, file=sys.stderr, flush=True)
    time.sleep(0.1)
