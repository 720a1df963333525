"""One libtorrent session that seeds many torrents: DIRECTORY of .torrent files, DIRECTORY of packages, ADDRESS:PORT.

Prints how many of them it seeds whenever that changes. Ends at SIGTERM.
"""

import os
import sys
import time

import libtorrent as lt

torrents, packages, listen = sys.argv[1:]
session = lt.session({
    "listen_interfaces": listen,
    "enable_dht": True,
    "dht_bootstrap_nodes": "",
    "enable_lsd": True,
    "enable_upnp": False,
    "enable_natpmp": False,
    "alert_mask": 0,
})
for name in sorted(os.listdir(torrents)):
    torrent = lt.add_torrent_params()
    torrent.ti = lt.torrent_info(os.path.join(torrents, name))
    torrent.save_path = packages
    torrent.flags |= lt.torrent_flags.seed_mode
    torrent.flags &= ~lt.torrent_flags.auto_managed
    torrent.flags &= ~lt.torrent_flags.paused
    session.async_add_torrent(torrent)

# Looking at 15,000 torrents costs time that would be counted as the session's.
expected, seeding = len(os.listdir(torrents)), 0
while seeding < expected:
    time.sleep(0.5)
    seeding = sum(1 for status in session.get_torrent_status(lambda status: status.is_seeding, 0))
    print(seeding, flush=True)
while True:
    time.sleep(3600)
