"""A link between this network namespace and another, with delay and loss in both directions, in user space: for kernels without
`sch_netem`, and the same everywhere.

    link.py NAME ADDRESS FAR_ADDRESS DELAY_MS LOSS_PERCENT

makes the device NAME here and `far` in the namespace NAME, which must be there, and carries packets until it is ended. DELAY_MS is
for a packet and the answer to it together; LOSS_PERCENT of the packets are lost each way. Needs root and /dev/net/tun.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
LARGEST = 1 << 16


def device(name: str) -> int:
    """Makes a device; what is read from it is what the kernel sends there."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return file


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def carry(files: tuple[int, int], one_way_s: float, loss: float) -> None:
    """Carries packets from each device to the other."""
    other = {files[0]: files[1], files[1]: files[0]}
    chance = random.Random(1)
    under_way: list[tuple[float, int, int, bytes]] = []
    number = 0
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        for file in select.select(files, [], [], wait)[0]:
            # Some at a time, so that none waits for a flood from the other side.
            for _ in range(64):
                try:
                    packet = os.read(file, LARGEST)
                except BlockingIOError:
                    break
                if chance.random() >= loss:
                    number += 1
                    heapq.heappush(under_way, (time.monotonic() + one_way_s, number, other[file], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, _, file, packet = heapq.heappop(under_way)
            try:
                os.write(file, packet)
            except OSError:
                pass  # A device that is full or going down loses packets, as any does.


def main() -> None:
    name, address, far_address = sys.argv[1:4]
    delay_ms, loss_percent = map(float, sys.argv[4:6])
    files = device(name), device(f"{name}far")
    ip("link", "set", f"{name}far", "netns", name)
    ip("address", "add", address, "peer", far_address, "dev", name)
    ip("link", "set", name, "up")
    inside = ("-n", name)
    ip(*inside, "link", "set", f"{name}far", "name", "far")
    ip(*inside, "address", "add", far_address, "peer", address, "dev", "far")
    ip(*inside, "link", "set", "far", "up")
    ip(*inside, "link", "set", "lo", "up")
    print("ready", flush=True)
    carry(files, delay_ms / 2000, loss_percent / 100)


if __name__ == "__main__":
    main()
