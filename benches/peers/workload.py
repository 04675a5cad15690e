"""The reference workload as arrays: candles, parameter sets, and the columns that every rule looks at.

`SG_BENCH_DIR` names a folder with SYMBOL-15m-{small,large}.zip and params.csv.
"""

import csv
import io
import os
import pathlib
import sys
import zipfile

import numba
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
if "SG_BENCH_DIR" not in os.environ:
    sys.exit("SG_BENCH_DIR must name the folder of the workload")
REFERENCE = pathlib.Path(os.environ["SG_BENCH_DIR"]).resolve()
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
FEE = 0.0004


def rows(symbol, size):
    """CSV rows of a symbol, as strings."""
    archive = zipfile.ZipFile(REFERENCE / f"{symbol}-15m-{size}.zip")
    with archive, archive.open(archive.namelist()[0]) as file:
        return list(csv.reader(io.TextIOWrapper(file)))


def candles(size):
    """Per symbol: open times (ms) and open, high, low, close, volume."""
    out = {}
    for symbol in SYMBOLS:
        table = rows(symbol, size)
        times = np.array([int(r[0]) for r in table], dtype=np.int64)
        prices = [np.array([float(r[k]) for r in table]) for k in range(1, 6)]
        out[symbol] = (times, *prices)
    return out


def params(sets):
    with open(REFERENCE / "params.csv") as file:
        table = list(csv.DictReader(file))[:sets]
    return [
        (int(r["fast"]), int(r["slow"]), int(r["rsi_n"]), float(r["thr"]), float(r["sl_pct"]), float(r["tp_pct"]))
        for r in table
    ]


@numba.njit(cache=False)
def ema(close, n):
    out = np.full(close.size, np.nan)
    total = 0.0
    for i in range(n):
        total += close[i]
    e = total / n
    out[n - 1] = e
    alpha = 2.0 / (n + 1)
    for i in range(n, close.size):
        e = e + alpha * (close[i] - e)
        out[i] = e
    return out


@numba.njit(cache=False)
def rsi(close, n):
    out = np.full(close.size, np.nan)
    gain = 0.0
    loss = 0.0
    for i in range(1, close.size):
        change = close[i] - close[i - 1]
        up, down = max(change, 0.0), max(-change, 0.0)
        if i <= n:
            gain += up
            loss += down
            if i < n:
                continue
            gain /= n
            loss /= n
        else:
            gain = (gain * (n - 1) + up) / n
            loss = (loss * (n - 1) + down) / n
        out[i] = 100.0 * gain / (gain + loss) if gain + loss > 0.0 else 50.0
    return out


@numba.njit(cache=False)
def signals(fast, slow, strength, threshold):
    """Entry and exit of a set at each candle's close."""
    n = fast.size
    entry, leave = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for i in range(1, n):
        a, b, a0, b0 = fast[i], slow[i], fast[i - 1], slow[i - 1]
        entry[i] = a > b and a0 <= b0 and strength[i] < threshold
        leave[i] = a < b and a0 >= b0
    return entry, leave


class Columns:
    """Every column of one symbol that some set looks at, computed once."""

    def __init__(self, close, sets):
        self.ema = {n: ema(close, n) for n in {p[0] for p in sets} | {p[1] for p in sets}}
        self.rsi = {n: rsi(close, n) for n in {p[2] for p in sets}}

    def signals(self, p):
        return signals(self.ema[p[0]], self.ema[p[1]], self.rsi[p[2]], p[3])
