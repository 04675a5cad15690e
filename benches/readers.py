#!/usr/bin/env python3
"""What readers cost: many people with the dashboard open, while the search runs.

    benches/readers.py http://127.0.0.1:8080 --pid DAEMON [--postgres POSTMASTER] [--readers 200] [--window 60]
        [--rounds 3] [--every 10]

Each reader does what the dashboard does: listens to the events, and opens a page now and then (once in --every seconds
on average), for which it asks for what that page asks for. Windows with and without readers take turns, so that
whatever else the machine does falls on both. Told of each window: requests, errors, latencies as the reader sees them,
how much the search did in it, and who used how much processor time: the threads that compute, the other threads of the
daemon, Postgres, this program. On a machine that does other things, what the latter three use more with readers than
without tells better what readers cost than the search's own rate does. Standard library only.
"""

import argparse
import asyncio
import json
import os
import pathlib
import random
import statistics
import time
from urllib.parse import urlsplit
from urllib.request import urlopen

PAGES = [
    ["/api/overview", "/api/generations?limit=200"],
    ["/api/strategies?limit=50", "/api/overview"],
    ["/api/strategies?limit=50&sort=sharpe_ratio&order=desc", "/api/overview"],
    ["/api/generations?limit=400", "/api/sessions?limit=40", "/api/overview", "/api/strategies?limit=500&source=holdout",
     "/api/scores?limit=12", "/api/protocol?limit=40"],
    ["/api/data", "/api/regimes"],
    ["/api/overview", "/api/runners", "/api/dead-letters?limit=100", "/api/audit?limit=50", "/api/settings",
     "/api/drift-alerts?limit=100"],
]


class Tally:
    def __init__(self):
        self.latencies_s, self.errors, self.events, self.bytes = [], {}, 0, 0

    def error(self, what):
        self.errors[what] = self.errors.get(what, 0) + 1


async def get(host, port, path, tally, connection):
    """One request over a connection that is kept; how long it took until the last byte."""
    began = time.perf_counter()
    try:
        if connection[1] is None:
            connection[:] = await asyncio.open_connection(host, port)
        reader, writer = connection
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: gzip\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        lines = head.decode().lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), None)
        if length is None:
            size = 0
            while chunk := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(chunk + 2)
                size += chunk
            await reader.readexactly(2)
        else:
            size = len(await reader.readexactly(length))
        tally.latencies_s.append(time.perf_counter() - began)
        tally.bytes += size
        status = lines[0].split(" ")[1]
        if status != "200":
            tally.error(f"{status} {path}")
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        tally.error(f"{type(error).__name__} {path}")
        connection[:] = [None, None]


async def listen(host, port, tally):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /api/events HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\n\r\n".encode())
    try:
        while line := await reader.readline():
            tally.events += line.startswith(b"event:")
        tally.error("events ended")
    finally:
        writer.close()


async def read(host, port, every_s, until, tally):
    listening = asyncio.create_task(listen(host, port, tally))
    connections = [[None, None] for _ in range(6)]
    await asyncio.sleep(random.uniform(0, every_s))
    while time.monotonic() < until:
        page = random.choice(PAGES)
        # As a browser does: all that a page needs at once, over at most six connections.
        await asyncio.gather(*(get(host, port, path, tally, c) for path, c in zip(page, connections)))
        await asyncio.sleep(min(random.uniform(0.5, 1.5) * every_s, max(0.0, until - time.monotonic())))
    listening.cancel()
    for _, writer in connections:
        if writer:
            writer.close()


def ticks(path):
    """Name and processor time, seconds; none where it has ended."""
    try:
        head, fields = pathlib.Path(path).read_text().rsplit(") ", 1)
    except OSError:
        return "", 0.0
    fields = fields.split()
    return head.split("(", 1)[1], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(") ", 1)[1].split()[1]) == pid:
                yield entry
        except OSError:
            pass


def cpu_s(args):
    """Processor time so far: threads that compute, the daemon's other threads, Postgres, this program."""
    threads = [ticks(f"/proc/{args.pid}/task/{task}/stat") for task in os.listdir(f"/proc/{args.pid}/task")]
    compute = sum(time_s for name, time_s in threads if name.startswith("compute"))
    # Ended threads count in the whole.
    whole = ticks(f"/proc/{args.pid}/stat")[1]
    postgres = sum(ticks(f"/proc/{child}/stat")[1] for child in children(args.postgres)) if args.postgres else 0.0
    return {"compute": compute, "other_threads": whole - compute, "postgres": postgres, "reader": time.process_time()}


def did(base):
    """Backtests that the search and its null searches have done."""
    stats = json.load(urlopen(base + "/sg-ai/stats", timeout=30))
    return stats["generations"], stats["evaluations"] + stats["protocol"]["null_evaluations"]


async def change(base):
    """Waits until the search stores something: windows begin and end there, for it stores whole generations."""
    before = await asyncio.to_thread(did, base)
    while (now := await asyncio.to_thread(did, base)) == before:
        await asyncio.sleep(0.05)
    return time.monotonic(), now


async def window(args, readers):
    url = urlsplit(args.base)
    tally = Tally()
    began, (_, first) = await change(args.base)
    before, until = cpu_s(args), began + args.window
    if readers:
        await asyncio.gather(*(read(url.hostname, url.port, args.every, until, tally) for _ in range(readers)))
    else:
        await asyncio.sleep(args.window)
    ended, (_, last) = await change(args.base)
    after, took = cpu_s(args), ended - began
    told = {"readers": readers, "seconds": round(took, 1), "backtests_per_s": round((last - first) / took, 1),
            "backtests_per_compute_cpu_s": round((last - first) / (after["compute"] - before["compute"]), 1),
            **{name + "_cpu_s_per_s": round((after[name] - before[name]) / took, 4) for name in after}}
    if tally.latencies_s:
        sorted_ms = sorted(1000 * s for s in tally.latencies_s)
        at = lambda q: round(sorted_ms[min(len(sorted_ms) - 1, int(q * len(sorted_ms)))], 1)
        told |= {"requests": len(sorted_ms), "requests_per_s": round(len(sorted_ms) / args.window, 1), "p50_ms": at(0.5),
                 "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1), "errors": tally.errors, "events": tally.events,
                 "mb": round(tally.bytes / 1e6, 1)}
    print(json.dumps(told), flush=True)
    return told


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("base")
    parser.add_argument("--pid", type=int, required=True, help="of the daemon, whose processor time is told")
    parser.add_argument("--postgres", type=int, help="its postmaster, whose children's processor time is told")
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--window", type=float, default=60, help="seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=float, default=10, help="seconds between two pages of a reader")
    args = parser.parse_args()
    without, with_readers = [], []
    for _ in range(args.rounds):
        without.append(await window(args, 0))
        with_readers.append(await window(args, args.readers))
    mean = lambda rows, key: statistics.mean(row[key] for row in rows)
    more = {name: mean(with_readers, name) - mean(without, name)
            for name in ("other_threads_cpu_s_per_s", "postgres_cpu_s_per_s", "reader_cpu_s_per_s")}
    print(json.dumps({
        "search_loses_pct": round(100 * (1 - mean(with_readers, "backtests_per_s") / mean(without, "backtests_per_s")), 1),
        "more_cpu_s_per_s_with_readers": {name: round(value, 4) for name, value in more.items()},
        "share_of_all_processors_pct": round(100 * sum(more.values()) / os.cpu_count(), 2),
        "errors": sum(sum(row["errors"].values()) for row in with_readers)}))


asyncio.run(main())
