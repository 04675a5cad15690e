"""The systems compared. Each gets candles and parameter sets and gives (trades, total return) by (set, symbol)."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import zipfile
from collections import defaultdict

import numba
import numpy as np
import workload
from workload import FEE, SYMBOLS, Columns


@numba.njit(cache=False)
def loop(o, h, l, c, fast, slow, strength, thr, sl, tp):
    """The definition, candle by candle: what an expert would write for this one rule."""
    equity, units, trades = 1.0, 0.0, 0
    stop = target = 0.0
    for j in range(1, c.size):
        i = j - 1
        if i >= 1:
            a, b, a0, b0 = fast[i], slow[i], fast[i - 1], slow[i - 1]
            if units > 0.0:
                if a < b and a0 >= b0:
                    equity, units, trades = units * o[j] * (1 - FEE), 0.0, trades + 1
            elif a > b and a0 <= b0 and strength[i] < thr:
                units = equity / (o[j] * (1 + FEE))
                stop, target = o[j] * (1 - sl), o[j] * (1 + tp)
        if units > 0.0:
            price = 0.0
            if o[j] <= stop:
                price = o[j]
            elif l[j] <= stop:
                price = stop
            elif o[j] >= target:
                price = o[j]
            elif h[j] >= target:
                price = target
            if price > 0.0:
                equity, units, trades = units * price * (1 - FEE), 0.0, trades + 1
    if units > 0.0:
        equity, trades = units * c[-1] * (1 - FEE), trades + 1
    return trades, equity - 1.0


def numba_loop(candles, sets):
    out = {}
    for symbol in SYMBOLS:
        _, o, h, l, c, _ = candles[symbol]
        columns = Columns(c, sets)
        for k, p in enumerate(sets):
            series = columns.ema[p[0]], columns.ema[p[1]], columns.rsi[p[2]]
            out[k, symbol] = loop(o, h, l, c, *series, p[3], p[4] / 100, p[5] / 100)
    return out


def vectorbt_from_signals(candles, sets):
    import vectorbt as vbt

    out = {}
    for symbol in SYMBOLS:
        _, o, h, l, c, _ = candles[symbol]
        columns = Columns(c, sets)
        # Signals fill at the next open: shifted by one, priced at the open.
        entries, exits = np.zeros((c.size, len(sets)), bool), np.zeros((c.size, len(sets)), bool)
        for k, p in enumerate(sets):
            entry, leave = columns.signals(p)
            entries[1:, k], exits[1:, k] = entry[:-1], leave[:-1]
        wide = lambda x: x[:, None]
        portfolio = vbt.Portfolio.from_signals(
            wide(c), entries, exits, price=wide(o), open=wide(o), high=wide(h), low=wide(l), fees=FEE,
            sl_stop=np.array([p[4] / 100 for p in sets]), tp_stop=np.array([p[5] / 100 for p in sets]),
            stop_entry_price="fillprice", stop_exit_price="stopmarket", upon_stop_exit="close",
            upon_opposite_entry="ignore", init_cash=1.0, freq="15min",
        )
        counts, returns = portfolio.trades.count().values, portfolio.total_return().values
        for k in range(len(sets)):
            out[k, symbol] = int(counts[k]), float(returns[k])
    return out


def raptorbt_batch(candles, sets):
    import raptorbt

    out = {}
    for symbol in SYMBOLS:
        times, o, h, l, c, v = candles[symbol]
        columns = Columns(c, sets)
        items = []
        for k, p in enumerate(sets):
            config = raptorbt.BacktestConfig(initial_capital=10_000.0, fees=FEE, fill_timing="next_bar_open")
            config.set_fixed_stop(p[4] / 100)
            config.set_fixed_target(p[5] / 100)
            entry, leave = columns.signals(p)
            items.append(raptorbt.BatchSingleItem(str(k), entry, leave, symbol=symbol, config=config))
        results = raptorbt.batch_single_backtest(times * 1_000_000, o, h, l, c, v, items)
        for name, result in results:
            metrics = result.metrics
            out[int(name), symbol] = int(metrics.total_trades), float(metrics.total_return_pct) / 100
    return out


def backtesting_py(candles, sets):
    import warnings

    import pandas as pd

    warnings.filterwarnings("ignore")
    from backtesting import Backtest, Strategy

    class Cross(Strategy):
        fast = slow = strength = None
        thr = sl = tp = 0.0

        def init(self):
            self.f = self.I(lambda: self.fast)
            self.s = self.I(lambda: self.slow)
            self.r = self.I(lambda: self.strength)

        def next(self):
            a, b = self.f, self.s
            if self.position:
                if a[-1] < b[-1] and a[-2] >= b[-2]:
                    self.position.close()
            elif a[-1] > b[-1] and a[-2] <= b[-2] and self.r[-1] < self.thr:
                # Levels stand from the close here: the fill's price is not known yet.
                price = self.data.Close[-1]
                self.buy(sl=price * (1 - self.sl), tp=price * (1 + self.tp))

    out = {}
    for symbol in SYMBOLS:
        times, o, h, l, c, v = candles[symbol]
        index = pd.to_datetime(times, unit="ms")
        frame = pd.DataFrame({"Open": o, "High": h, "Low": l, "Close": c, "Volume": v}, index=index)
        columns = Columns(c, sets)
        for k, p in enumerate(sets):
            test = Backtest(frame, Cross, cash=1e9, commission=FEE, finalize_trades=True)
            stats = test.run(
                fast=columns.ema[p[0]], slow=columns.ema[p[1]], strength=columns.rsi[p[2]], thr=p[3], sl=p[4] / 100,
                tp=p[5] / 100,
            )
            out[k, symbol] = int(stats["# Trades"]), float(stats["Return [%]"]) / 100
    return out


class SgAi:
    """`sg-ai backtest --batch`, the candles imported into a cache of their own. Its own clock counts: from candles in
    memory to results, as for the others."""

    name = "sg-ai --batch"

    def __init__(self, size, sets):
        self.binary = os.environ.get("SG_AI", str(workload.ROOT / "target" / "release" / "sg-ai"))
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        dumps = folder / "dumps" / "spot"
        dumps.mkdir(parents=True)
        bounds = []
        for symbol in SYMBOLS:
            months = defaultdict(list)
            table = workload.rows(symbol, size)
            bounds = int(table[0][0]), int(table[-1][0]) + 900_000
            for row in table:
                months[time.strftime("%Y-%m", time.gmtime(int(row[0]) // 1000))].append(",".join(row))
            for month, lines in months.items():
                name = f"{symbol}-15m-{month}"
                with zipfile.ZipFile(dumps / f"{name}.zip", "w") as archive:
                    archive.writestr(f"{name}.csv", "\n".join(lines) + "\n")
        iso = lambda ms: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))
        self.window = ["--from", iso(bounds[0]), "--to", iso(bounds[1])]
        self.data = folder / "data"
        self.run(["data", "import", str(dumps), "--market", "spot"])
        lines = []
        for k, p in enumerate(sets):
            cross = f"ema({p[0]}) crosses {{}} ema({p[1]})"
            entry = f"{cross.format('above')} and rsi({p[2]}) < {p[3]:g}"
            lines.append(json.dumps({
                "name": str(k), "timeframe": "15m", "long": {"entry": entry, "exit": cross.format("below")},
                "risk": {"size_fraction": 1.0, "stop_loss": f"{p[4]:g}%", "take_profit": f"{p[5]:g}%"},
            }))
        self.batch = folder / "batch.jsonl"
        self.batch.write_text("\n".join(lines) + "\n")

    def run(self, args):
        command = [self.binary, *args, "--data-dir", str(self.data)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout

    def measure(self, threads, full):
        """Seconds, results, and the closing summary."""
        args = ["backtest", "--batch", str(self.batch), "--symbols", ",".join(SYMBOLS), *self.window, "--per-symbol"]
        args += ["--fee", str(FEE), "--slippage-bps", "0", "--threads", str(threads)]
        lines = [json.loads(line) for line in self.run(args + ([] if full else ["--summary-only"])).splitlines()]
        out = {}
        for line in lines[:-1]:
            p = line["performance"]
            out[int(line["name"]), line["symbol"]] = p["total_trades"], p["total_return"]
        summary = lines[-1]["summary"]
        return summary["seconds"], out, summary


class Kernel:
    """The engine's bench, making one run of a process: of all sets, whose file it reads by itself."""

    name = "sg-ai's engine"

    def __init__(self, size, sets):
        self.size = size
        if len(sets) != len(workload.params(None)):
            raise ValueError("the engine's bench runs all sets")

    def measure(self, threads, full):
        """Seconds, results, and the closing summary."""
        env = {**os.environ, "SG_BENCH_FIRST": self.size, "SG_BENCH_THREADS": str(threads)}
        env |= {"SG_BENCH_FULL": "each"} if full else {}
        done = subprocess.run([os.environ["SG_KERNEL"]], check=True, capture_output=True, text=True, env=env)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        out = {}
        for line in lines[:-1]:
            p = line["performance"]
            out[int(line["name"]), line["symbol"]] = p["total_trades"], p["total_return"]
        summary = lines[-1]["summary"]
        return summary["seconds"], out, summary
