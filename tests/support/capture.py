"""Writes every frame that leaves through one interface to a file: its length in four bytes, then the frame.

Arguments: the interface and the file. Prints {"capturing": true} once nothing is missed any more, and at SIGTERM how many
frames it wrote and how many the kernel dropped.
"""

import json
import select
import signal
import socket
import struct
import sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))

interface, path = sys.argv[1:]
frames = 0
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap, open(path, "wb") as out:
    tap.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    tap.bind((interface, ETH_P_ALL))
    tap.setblocking(False)
    print(json.dumps({"capturing": True}), flush=True)
    while True:
        ready, _, _ = select.select([tap], [], [], 0.1)
        if ready:
            frame, address = tap.recvfrom(1 << 18)
            if address[2] == PACKET_OUTGOING:
                out.write(struct.pack("!I", len(frame)) + frame)
                frames += 1
        elif stopping:
            break
    _, drops = struct.unpack("II", tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
print(json.dumps({"frames": frames, "drops": drops}), flush=True)
