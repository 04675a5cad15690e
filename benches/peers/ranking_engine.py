"""Scores by KunQuant, a compiler of alpha expressions: it joins the expressions of a batch into one graph, generates
C++ with the processor's vectors for it, and runs that. Only scores: it knows no weights, no trading, no universe.

What it has of its own is used; `cs_rank` is its rank rescaled, which is the same where all symbols have a value.
"""

import subprocess
import tempfile
import time

import numpy as np
import ranking_text as text

# Rows of a whole number of vectors are what it is fast with: symbols are filled up with undefined ones.
WIDTH = 56
SUPPORTED = {"number", "volatility", "correlation", "cs_rank", *text.UNARY, *text.BINARY, *text.ROLLING, *text.UNITS}
SUPPORTED |= text.PLAIN_SERIES


class Graph:
    """Operators of the engine for nodes, each once."""

    def __init__(self):
        from KunQuant.Op import Input

        self.known = {}
        self.inputs = {n: Input(n) for n in ("open", "high", "low", "close", "volume", "quote_volume")}
        self.inputs |= {n: Input(n) for n in ("trades", "taker_buy_ratio", "typical")}

    def of(self, node):
        if node not in self.known:
            self.known[node] = self.make(node)
        return self.known[node]

    def make(self, node):
        from KunQuant import ops
        from KunQuant.Op import ConstantOp, Rank
        from KunQuant.predefined.talib import ATR

        kind, f = node[0], self.inputs
        if kind == "number":
            return ConstantOp(node[1])
        if kind == "series":
            name, close = node[1], f["close"]
            if name in f:
                return f[name]
            n = node[2]
            if name == "ema":
                return ops.ExpMovingAvg(close, n)
            if name == "amihud":
                return ops.WindowedAvg(ops.Abs(close / ops.BackRef(close, 1) - 1.0) / f["quote_volume"], n)
            if name == "natr":
                return ATR(f["high"], f["low"], close, n) * 100.0 / close
            change, zero = close - ops.BackRef(close, 1), ConstantOp(0.0)
            up = ops.ExpMovingAvg(ops.Max(change, zero), 2 * n - 1)
            down = ops.ExpMovingAvg(ops.Max(zero - change, zero), 2 * n - 1)
            return up * 100.0 / (up + down)
        if kind == "volatility":
            move = ops.Log(f["close"] / ops.BackRef(f["close"], 1))
            return ops.Sqrt(ops.WindowedAvg(move * move, node[1]))
        inner = [self.of(part) for part in text.parts(node)]
        if kind in {"+", "-", "*", "/"}:
            x, y = inner
            return {"+": x.__add__, "-": x.__sub__, "*": x.__mul__, "/": x.__truediv__}[kind](y)
        if kind in text.BINARY:
            return (ops.Min if kind == "min" else ops.Max)(*inner)
        x = inner[0]
        if kind in text.UNARY:
            one = {"abs": ops.Abs, "log": ops.Log, "sign": ops.Sign}
            return ConstantOp(0.0) - x if kind == "negate" else one[kind](x)
        if kind == "cs_rank":
            return (Rank(x) * 50.0 - 1.0) / 49.0
        n = node[-1]
        if kind == "correlation":
            return ops.WindowedCorrelation(x, n, inner[1])
        return {
            "delay": lambda: ops.BackRef(x, n),
            "delta": lambda: x - ops.BackRef(x, n),
            "mean": lambda: ops.WindowedAvg(x, n),
            "sum": lambda: ops.WindowedAvg(x, n) * float(n),
            "deviation": lambda: ops.WindowedStddev(x, n) * float(np.sqrt((n - 1) / n)),
            "highest": lambda: ops.WindowedMax(x, n),
            "lowest": lambda: ops.WindowedMin(x, n),
            "ts_rank": lambda: (ops.TsRank(x, n) - 1.0) / (n - 1.0),
            "decay": lambda: ops.DecayLinear(x, n),
        }[kind]()


def supports(strategy):
    return text.operators(strategy.score) <= SUPPORTED


class Engine:
    """Strategies compiled in batches; what fails to compile is left out and named."""

    def __init__(self, market, strategies, batch=10):
        self.market, self.batches, self.failed = market, [], {}
        began = time.perf_counter()
        for start in range(0, len(strategies), batch):
            self.compile(strategies[start : start + batch], start)
        self.compiled_s = time.perf_counter() - began
        self.strategies = [s for _, some, _ in self.batches for s in some]
        names = ["open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_ratio", "typical"]
        self.inputs = {}
        for name in names:
            wide = np.full((market.slots, WIDTH), np.nan)
            wide[:, :50] = market.fields[name].T
            self.inputs[name] = wide

    def compile(self, strategies, start):
        from KunQuant.Driver import KunCompilerConfig
        from KunQuant.jit import cfake
        from KunQuant.Op import Builder, Output
        from KunQuant.Stage import Function

        builder, name = Builder(), f"batch{start}"
        with builder:
            graph = Graph()
            for number, strategy in enumerate(strategies):
                Output(graph.of(strategy.score), f"s{number}")
        config = KunCompilerConfig(
            dtype="double", blocking_len=8, input_layout="TS", output_layout="TS", options={"no_fast_stat": "no_warn"}
        )
        try:
            with tempfile.TemporaryDirectory() as folder:
                library = cfake.compileit(
                    [(name, Function(builder.ops), config)], name, cfake.CppCompilerConfig(), tempdir=folder
                )
        except (ArithmeticError, AssertionError, LookupError, OSError, RuntimeError, subprocess.SubprocessError,
                TypeError, ValueError) as error:
            if len(strategies) == 1:
                self.failed[strategies[0].text] = str(error).split("\n")[0]
                return
            middle = len(strategies) // 2
            self.compile(strategies[:middle], start)
            self.compile(strategies[middle:], start + middle)
            return
        self.batches.append((library, strategies, name))

    def run(self, threads=1, take=None):
        """Computes all scores; `take(strategy, values of shape (slots, symbols))` may look at them."""
        from KunQuant.runner import KunRunner as kr

        executor = kr.createSingleThreadExecutor() if threads == 1 else kr.createMultiThreadExecutor(threads)
        out = np.empty((max(len(some) for _, some, _ in self.batches), self.market.slots, WIDTH))
        for library, strategies, name in self.batches:
            into = {f"s{number}": out[number] for number in range(len(strategies))}
            kr.runGraph(executor, library.getModule(name), self.inputs, 0, self.market.slots, into)
            if take is not None:
                for number, strategy in enumerate(strategies):
                    take(strategy, out[number][:, :50])
