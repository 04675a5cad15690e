"""A generation of strategies that rank the market on several systems, one after another in one run, and a table.

    venv/bin/pip install -r benches/peers/requirements.txt
    venv/bin/python benches/peers/ranking.py [--binary PATH] [--strategies N] [--slow N] [--engines N] [--runs N]

Ours is `cargo bench -p sg-ai-portfolio --bench ranking` (or a binary built from it): it writes market, texts and its
hedged daily returns, which all others read and are compared with. Seconds run from columns in memory to hedged daily
returns of each strategy; reading and parsing are not in them, compilation is told apart. Processor time counts
(getrusage; of ours what the system says of its process when it prints a line), for the machine may be shared. One
thread unless said; ours and numba in turn, medians. Slow systems get the first `--slow` strategies; engines of alpha
expressions compute scores alone.
"""

import argparse
import os

for threads in ("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[threads] = "1"

import dataclasses
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import ranking_engine
import ranking_market
import ranking_numba
import ranking_numpy
import ranking_polars
import ranking_qlib
import ranking_text

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Found:
    """One row of the table."""

    name: str
    strategies: list
    walls: list
    cpus: list
    returns: np.ndarray | None = None
    first_cpu: float = float("nan")
    left_out: int = 0
    note: str = ""

    @property
    def wall(self):
        return statistics.median(self.walls)

    @property
    def cpu(self):
        return statistics.median(self.cpus)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def built():
    """The bench's binary, built by cargo."""
    command = ["cargo", "bench", "-p", "sg-ai-portfolio", "--bench", "ranking", "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == "ranking"][-1]


def ours(binary, count, folder=None):
    """Wall and processor seconds of one thread and of two, of a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "RAYON_NUM_THREADS"}
    environment |= {"SG_BENCH_STRATEGIES": str(count), "SG_BENCH_THREADS": "1,2", "SG_BENCH_OPERATORS": "0"}
    if folder is not None:
        environment["SG_BENCH_DUMP"] = str(folder)
    walls, marks = [], []
    with subprocess.Popen([binary], env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if " threads: " in line:
                # A zombie still tells its times; after its last line the process has little left to do.
                stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                marks.append((int(stat[11]) + int(stat[12])) / TICKS)
                walls.append(float(line.split(" in ")[1].split(" s")[0]))
    if process.returncode != 0 or len(walls) != 2:
        sys.exit(f"{binary} failed")
    return walls, marks


def measured(function):
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    out = function()
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


class Timed:
    """Operators that count their processor time by kind."""

    def __init__(self, ops):
        self.ops, self.spent = ops, {}

    def __getattr__(self, name):
        function = getattr(self.ops, name)
        if not callable(function):
            return function

        def timed(*args):
            began = time.process_time()
            out = function(*args)
            own = args[0] if args and isinstance(args[0], str) else name
            seconds, times = self.spent.get((name, own), (0.0, 0))
            self.spent[name, own] = (seconds + time.process_time() - began, times + 1)
            return out

        return timed


def kinds(market, strategies):
    """Where numba's time goes."""
    timed = Timed(ranking_numba.Ops(market))
    total = measured(lambda: ranking_numba.generation(market, strategies, ops=timed))[1]
    inside = sum(seconds for seconds, _ in timed.spent.values())
    print(f"\nnumba by operator, {len(strategies)} strategies, {total:.2f} s of processor time,", end=" ")
    print(f"{total - inside:.2f} of them trading and the walk over the trees\n")
    print("| operator | times | cpu s | ms each |\n|---|---|---|---|")
    for (name, own), (seconds, times) in sorted(timed.spent.items(), key=lambda item: -item[1][0]):
        print(f"| {name} {own if own != name else ''} | {times} | {seconds:.2f} | {1e3 * seconds / times:.2f} |")


def agreement(out, truth):
    """Share of strategies whose returns are ours to 1e-9, and the largest difference."""
    worst = np.abs(out - truth).max(axis=1)
    worst[np.isnan(worst)] = np.inf
    return 100.0 * (worst <= 1e-9).mean(), worst.max(), worst


def ties(scores):
    """Whether some row of scores has two that differ by nothing but rounding: only it decides their order."""
    ordered = np.sort(scores, axis=1)
    apart = np.diff(ordered, axis=1)
    return bool(((apart > 0) & (apart <= 1e-12 * np.abs(ordered[:, 1:]))).any())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", help="the bench, built already; without it cargo builds it")
    parser.add_argument("--strategies", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=200, help="strategies for numpy and polars")
    parser.add_argument("--engines", type=int, default=100, help="strategies for engines of alpha expressions")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], choices=["numpy", "polars", "kunquant", "qlib"])
    parser.add_argument("--kinds", action="store_true", help="also print numba's time by operator")
    args = parser.parse_args()
    binary = args.binary or built()
    with tempfile.TemporaryDirectory() as folder:
        compare(args, binary, pathlib.Path(folder))


def compare(args, binary, folder):
    say("ours writes market and results")
    ours(binary, args.strategies, folder)
    texts = (folder / "strategies.txt").read_text().split("\n")
    market = ranking_market.Market(folder)
    truth = dict(zip(texts, np.fromfile(folder / "returns.f64", "<f8").reshape(len(texts), -1), strict=True))
    strategies = read(texts)
    startup = statistics.median(ours(binary, 0)[1][0] for _ in range(3))
    unread = len(texts) - len(strategies)

    rows = {name: Found(name, strategies, [], []) for name in ("sg-ai", "sg-ai, 2 threads")}
    for threads in (1, 2):
        name = f"numba{', 2 threads' if threads == 2 else ''}"
        rows[name] = Found(name, strategies, [], [], left_out=unread)
        if threads == 1:
            rows[name].first_cpu = measured(lambda: ranking_numba.generation(market, strategies))[1]
    for turn in range(args.runs):
        walls, marks = ours(binary, args.strategies)
        cpus = [marks[0] - startup, marks[1] - marks[0]]
        for name, wall, cpu in zip(("sg-ai", "sg-ai, 2 threads"), walls, cpus, strict=True):
            rows[name].walls.append(wall)
            rows[name].cpus.append(cpu)
        for threads, name in ((1, "numba"), (2, "numba, 2 threads")):
            wall, cpu, out = measured(lambda t=threads: ranking_numba.generation(market, strategies, t))
            rows[name].walls.append(wall)
            rows[name].cpus.append(cpu)
            rows[name].returns = out
        shown = [f"{r.name} {r.walls[-1]:.2f} s, cpu {r.cpus[-1]:.2f} s" for r in rows.values()]
        say(f"run {turn + 1}: {'; '.join(shown)}")

    some = strategies[: args.slow]
    if not {"numpy", "polars"} <= set(args.without):
        row = rows["ours of the slow"] = Found(f"sg-ai, the first {len(some)}", some, [], [])
        for _ in range(args.runs):
            walls, marks = ours(binary, args.slow)
            row.walls.append(walls[0])
            row.cpus.append(marks[0] - startup)
    for name, module in (("numpy", ranking_numpy), ("polars", ranking_polars)):
        if name in args.without:
            continue
        row = rows[name] = Found(name, some, [], [], left_out=unread)
        row.first_cpu = measured(lambda m=module: m.generation(market, some[:5]))[1]
        for _ in range(args.runs):
            wall, cpu, row.returns = measured(lambda m=module: m.generation(market, some))
            row.walls.append(wall)
            row.cpus.append(cpu)
        say(f"{name}: {row.wall:.2f} s, cpu {row.cpu:.2f} s")

    table(args, market, rows, truth)
    disagreements(market, rows["numba"], truth)
    engines(args, market, strategies, rows)
    if args.kinds:
        kinds(market, strategies)


def read(texts):
    strategies, unreadable = [], {}
    for one in texts:
        try:
            strategies.append(ranking_text.strategy(one))
        except ranking_text.Unreadable as why:
            unreadable[str(why)] = unreadable.get(str(why), 0) + 1
    if unreadable:
        say(f"left out by all but ours, by what is not known: {unreadable}")
    return strategies


def table(args, market, rows, truth):
    print(f"{args.strategies} strategies, {ranking_market.SYMBOLS} symbols, {market.slots} candles;", end=" ")
    print(f"medians of {args.runs} runs\n")
    print("| system | strategies | left out | wall s | cpu s | cpu ms a strategy |"
          " G node-cells/s, as written (distinct) | first call, cpu s | ours is faster by (cpu) | by (wall) |"
          " the same to 1e-9 | largest difference |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for row in rows.values():
        all_of_them = len(row.strategies) == len(rows["sg-ai"].strategies)
        base = rows["sg-ai, 2 threads" if "2 threads" in row.name else "sg-ai" if all_of_them else "ours of the slow"]
        written, distinct = ranking_market.node_cells(row.strategies, market)
        same, largest = "", ""
        if row.returns is not None:
            share, worst, _ = agreement(row.returns, np.array([truth[s.text] for s in row.strategies]))
            same, largest = f"{share:.1f} %", f"{worst:.1e}"
        first = "" if np.isnan(row.first_cpu) else f"{row.first_cpu:.1f}"
        print(f"| {row.name} | {len(row.strategies)} | {row.left_out} | {row.wall:.2f} | {row.cpu:.2f} |"
              f" {1e3 * row.cpu / len(row.strategies):.1f} |"
              f" {written / row.cpu / 1e9:.2g} ({distinct / row.cpu / 1e9:.2g}) |"
              f" {first} | {row.cpu / base.cpu:.2f} | {row.wall / base.wall:.2f} | {same} | {largest} |")


def disagreements(market, row, truth):
    """Names what differs, and whether only rounding decides there: between two scores, or at the edge of a band."""
    _, _, worst = agreement(row.returns, np.array([truth[s.text] for s in row.strategies]))
    differ = [s for s, w in zip(row.strategies, worst, strict=True) if w > 1e-9]
    if not differ:
        return
    tied, edges = set(), set()
    look = lambda s, scores: tied.add(s.text) if ties(scores) else None
    plain = ranking_numba.generation(market, differ, scores_of=look)
    for factor in (1.0 - 1e-12, 1.0 + 1e-12):
        moved = ranking_numba.generation(market, [dataclasses.replace(s, band=s.band * factor) for s in differ])
        edges |= {s.text for s, a, b in zip(differ, plain, moved, strict=True) if np.abs(a - b).max() > 1e-9}
    print(f"\nnumba differs by more than 1e-9 on {len(differ)}: on {len(tied)} two scores tie but for rounding; on")
    print(f"{len(edges - tied)} others a band wider or narrower by 1e-12 of it changes as much; the rest:")
    for strategy, difference in sorted(zip(row.strategies, worst, strict=True), key=lambda pair: -pair[1]):
        if difference > 1e-9 and strategy.text not in tied | edges:
            print(f"  {difference:.1e} {strategy.text.split('; ', 2)[2]}")


def engines(args, market, strategies, rows):
    """Scores alone, compared with numba's; what ours takes for whole strategies stands beside them."""
    print("\n| engine, scores alone | strategies | of all it could | wall s | cpu s | cpu ms a strategy |"
          " G node-cells/s, as written (distinct) | compile s | ours, whole strategies, by node-cells written (cpu) |"
          " scores the same to 1e-6 of the largest |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    base = rows["sg-ai"]
    our_rate = ranking_market.node_cells(base.strategies, market)[0] / base.cpu
    for name, module in (("kunquant", ranking_engine), ("qlib", ranking_qlib)):
        if name in args.without:
            continue
        able = [s for s in strategies if module.supports(s)]
        engine = module.Engine(market, able[: args.engines])
        for text, why in engine.failed.items():
            say(f"{name} cannot: {text}: {why}")
        scores, same = {}, []
        keep = lambda s, v, into=scores: into.update({s.text: v})
        look = lambda s, v, true=scores, out=same: out.append(alike(v[market.clocks[s.rebalance]], true[s.text]))
        ranking_numba.generation(market, engine.strategies, scores_of=keep)
        engine.run(take=look)
        spent = [measured(engine.run)[:2] for _ in range(args.runs)]
        wall, cpu = (statistics.median(each) for each in zip(*spent, strict=True))
        count = len(engine.strategies)
        written, distinct = ranking_market.node_cells(engine.strategies, market)
        print(f"| {name} | {count} | {len(able)} | {wall:.2f} | {cpu:.2f} | {1e3 * cpu / count:.1f} |"
              f" {written / cpu / 1e9:.2g} ({distinct / cpu / 1e9:.2g}) | {engine.compiled_s:.0f} |"
              f" {our_rate / (written / cpu):.1f} | {sum(same)} |")


def alike(found, true):
    """Whether scores are those of numba where both have them."""
    both = ~np.isnan(found) & ~np.isnan(true)
    largest = np.abs(true[both]).max(initial=0.0)
    return bool(both.any() and np.abs(found - true)[both].max() <= 1e-6 * largest)


if __name__ == "__main__":
    main()
