"""Runs the reference workload on every system, one after another in one run, and prints a table.

    python3 -m venv venv && venv/bin/pip install -r benches/peers/requirements.txt
    cargo build --release
    venv/bin/python benches/peers/run.py [small|large] [--runs N] [--sets N] [--slow N]

A bar-evaluation is one candle of one symbol for one parameter set. Seconds run from candles in memory to the trade count
and total return of every (set, symbol): columns, conditions, trades and results included; reading, parsing, compilation
(numba) and JSON are not. Median of the runs; the slow system gets fewer sets and one run. One thread, unless said.

With `SG_KERNEL`, the path of the engine's bench (`cargo bench -p sg-ai-engine --bench kernel --no-run` tells it), ours is
the first run of a process of that instead of `sg-ai backtest --batch`. `SG_BENCH_WIDTH=avx2` then makes ours and numba use
no wider vectors than those, on a processor that has wider ones.
"""

import argparse
import os

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
if os.environ.get("SG_BENCH_WIDTH") == "avx2":
    os.environ["NUMBA_CPU_NAME"] = "haswell"

import resource
import statistics
import sys
import time

import systems
import workload


def clock(function, candles, sets, runs):
    walls, cpus, out = [], [], None
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        out = function(candles, sets)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus), out


def agreement(out, truth):
    """Share of equal trade counts, and the largest difference of returns where the counts are equal."""
    same = [key for key in out if out[key][0] == truth[key][0]]
    worst = max((abs(out[key][1] - truth[key][1]) for key in same), default=float("nan"))
    return 100.0 * len(same) / len(out), worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("size", nargs="?", default="small", choices=["small", "large"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=20, help="sets for backtesting.py; 0 leaves it out")
    parser.add_argument("--without", nargs="*", default=[], help="systems to leave out")
    args = parser.parse_args()
    candles, sets = workload.candles(args.size), workload.params(args.sets)
    bars = sum(c[0].size for c in candles.values())
    tiny = {symbol: tuple(column[:400] for column in columns) for symbol, columns in candles.items()}

    found = []
    ours = systems.Kernel(args.size, sets) if "SG_KERNEL" in os.environ else systems.SgAi(args.size, sets)
    for threads in (1, 2):
        for full in (False, True):
            name = f"{ours.name}, {threads} thread{'s' * (threads > 1)}, {'full performance' if full else 'trades and return'}"
            cpus, seconds, summaries, out = [], [], [], None
            for _ in range(args.runs):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                took, out, summary = ours.measure(threads, full)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpus.append(after.ru_utime - before.ru_utime)
                seconds.append(took)
                summaries.append(summary)
            peak = max(s["peak_memory_bytes"] or 0 for s in summaries) / 2**20
            cpu = statistics.median(s.get("cpu_seconds") or float("nan") for s in summaries)
            found.append((name, len(sets), statistics.median(seconds), cpu, out, peak))
    peers = [
        ("hand-written numba loop", systems.numba_loop, sets, args.runs),
        ("raptorbt", systems.raptorbt_batch, sets, args.runs),
        ("vectorbt from_signals", systems.vectorbt_from_signals, sets, args.runs),
    ]
    if args.slow:
        peers.append(("backtesting.py", systems.backtesting_py, sets[: args.slow], 1))
    for name, function, some, runs in peers:
        if name.split()[0] in args.without:
            continue
        function(tiny, some[:2])  # Compiles what is compiled at first use.
        wall, cpu, out = clock(function, candles, some, runs)
        found.append((name, len(some), wall, cpu, out, None))
        print(f"{name}: {wall:.3f} s", file=sys.stderr)

    truth = systems.numba_loop(candles, sets)
    best = found[0]
    rate = lambda n, seconds: n * bars / seconds / 1e6
    print(f"{args.size}: {len(sets)} sets x {bars} candles of {len(candles)} symbols; median of {args.runs} runs")
    print("| system | sets | wall s | M bar-evaluations/s, wall | cpu s | M/s, cpu | sg-ai is faster by (cpu) | equal counts | largest return difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, n, wall, cpu, out, peak in found:
        equal, worst = agreement(out, truth)
        ratio = rate(len(sets), best[3]) / rate(n, cpu)
        print(
            f"| {name} | {n} | {wall:.3f} | {rate(n, wall):.2f} | {cpu:.3f} | {rate(n, cpu):.2f} | {ratio:.1f} |"
            f" {equal:.1f} % | {worst:.1e} |"
        )
    print("peak memory of sg-ai, MiB: " + ", ".join(f"{peak:.0f}" for *_, peak in found if peak))


if __name__ == "__main__":
    main()
