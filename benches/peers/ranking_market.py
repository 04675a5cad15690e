"""The dumped market, and the walk over score trees that numpy, polars and numba share: each asks for columns by node,
keeps those that are asked for again, and looks across the market at the clock's rows alone.
"""

import collections
import functools
import pathlib
import threading

import numpy as np
import ranking_text as text

SYMBOLS = 50
SLOTS_A_DAY = 6
# The first slot whose open is in the window, and the first at which the universe has members.
FIRST = 180 * SLOTS_A_DAY
LISTED = 60 * SLOTS_A_DAY - 1
START_DAY = 17167  # 2017-01-01, counted from 1970-01-01
FEE = 0.0004
CAPITAL = 10_000.0
# Smaller than this share of the largest is nothing but rounding.
ROUNDING = 1e-12
FIELDS = ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"]


class Market:
    """Columns of shape (symbols, slots). No candle is missing and all symbols are members once they are listed, which
    every program here may make use of."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.fields = {n: np.fromfile(folder / f"{n}.f64", "<f8").reshape(SYMBOLS, -1) for n in FIELDS}
        f = self.fields
        self.slots = f["close"].shape[1]
        self.days = (self.slots - FIRST) // SLOTS_A_DAY
        # What the language derives from candles.
        f["typical"] = (f["high"] + f["low"] + f["close"]) / 3.0
        f["taker_buy_ratio"] = f["taker_buy_volume"] / f["volume"]
        f["trades"] = np.full_like(f["close"], 100.0)
        if any(not np.isfinite(column).all() for column in f.values()) or not (f["quote_volume"] > 0).all():
            raise SystemExit("the market of the dump has holes, which the peers do not know how to handle")

    @functools.cached_property
    def clocks(self):
        """By name: the slots at whose closes weights are set."""
        closes = np.arange(FIRST, self.slots - 1) + 1
        days, rest = START_DAY + closes // SLOTS_A_DAY, closes % SLOTS_A_DAY
        weekly = (rest == 0) & (days % 7 == 4)  # 1970-01-05 was a Monday.
        on = {"12h": closes % 3 == 0, "1d": rest == 0, "1w": weekly}
        return {name: closes[rows] - 1 for name, rows in on.items()}

    @functools.cached_property
    def wide(self):
        """Opens and closes, slot by slot."""
        return tuple(np.ascontiguousarray(self.fields[name].T) for name in ("open", "close"))

    def benchmark(self):
        """The day's mean return of the 30 names of greatest volume over 30 days, for each day of the window."""
        sums = np.cumsum(self.fields["quote_volume"], axis=1)
        ends = FIRST - 1 + SLOTS_A_DAY * np.arange(self.days)
        volume = (sums[:, ends] - sums[:, ends - 30 * SLOTS_A_DAY]).T
        best = np.argpartition(-volume, 29, axis=1)[:, :30]
        closes = self.fields["close"].T
        returns = closes[ends + SLOTS_A_DAY] / closes[ends] - 1.0
        return np.take_along_axis(returns, best, axis=1).mean(axis=1)


class Evaluator:
    """Scores at the clock's rows from a system's operators `ops`, whose columns look as that system likes.

    `most` columns are kept at once: beyond it the one that has been kept longest goes, and is computed anew.
    """

    def __init__(self, ops, strategies, most=150):
        self.ops, self.most = ops, most
        self.uses = collections.Counter()
        self.known = {}
        self.lock = threading.Lock()
        self.computed = 0
        for strategy in strategies:
            for node in self.wanted(strategy):
                self.count(node, strategy.inverse_volatility)

    @staticmethod
    def key(node, sight):
        return (node, sight if text.has_sight(node) else 0)

    def wanted(self, strategy):
        """The nodes whose columns a strategy asks for."""
        out = []

        def walk(node):
            if text.looks_across(node):
                for part in text.parts(node):
                    walk(part)
            elif node[0] != "number":
                out.append(node)

        walk(strategy.score)
        out += [("volatility", strategy.inverse_volatility)] if strategy.inverse_volatility else []
        return out + ([("neutral", strategy.beta_neutral)] if strategy.beta_neutral else [])

    def needed(self, node, sight):
        """What a column is made of, as keys."""
        if node[0] == "neutral":
            return [(("returns",), 0), (("market",), 0)]
        if node == ("market",):
            return [(("returns",), 0)]
        if node[0] == "beta":
            changes = ("changes", node[1])
            return [self.key(changes, sight), self.key(("mean_change", node[1]), sight)]
        if node[0] in {"mean_change", "changes"}:
            own = [self.key(node[1], sight)]
            if node[0] == "changes":
                return own
            seen = [(("volatility", sight), 0)] if sight else []
            return [self.key(("changes", node[1]), sight), *own, *seen]
        own = [self.key(part, sight) for part in text.parts(node) if part[0] != "number"]
        return own + ([(("volatility", sight), 0)] if node[0] in text.ACROSS and sight else [])

    def count(self, node, sight):
        key = self.key_of(node, sight)
        self.uses[key] += 1
        if self.uses[key] == 1:
            for part, own in self.needed(node, key[1]):
                self.count(part, own)

    def key_of(self, node, sight):
        if node[0] == "mean_change":
            return (node, sight)
        return self.key(node, sight)

    def column(self, node, sight=0):
        key = self.key_of(node, sight)
        with self.lock:
            found = self.known.get(key)
        if found is None:
            found = self.make(*key)
            self.computed += 1
        with self.lock:
            self.uses[key] -= 1
            if self.uses[key] > 0:
                self.known[key] = found
                if len(self.known) > self.most:
                    self.known.pop(next(iter(self.known)))
            else:
                self.known.pop(key, None)
        return found

    def make(self, node, sight):
        ops, kind = self.ops, node[0]
        of = lambda part: part[1] if part[0] == "number" else self.column(part, sight)
        if kind == "series":
            return ops.series(*node[1:])
        if kind == "volatility":
            return ops.volatility(node[1])
        if kind in text.UNARY:
            return ops.unary(kind, of(node[1]))
        if kind in text.BINARY:
            return ops.binary(kind, of(node[1]), of(node[2]))
        if kind in text.ROLLING:
            return ops.rolling(kind, of(node[1]), node[2])
        if kind == "correlation":
            return ops.correlation(of(node[1]), of(node[2]), node[3])
        if kind == "returns":
            return ops.changes(ops.series("close"), True)
        if kind == "market":
            return ops.mean_change(of(("returns",)), None, True, None)
        if kind == "neutral":
            return ops.slope(of(("market",)), of(("returns",)), node[1])
        if kind == "changes":
            return ops.changes(of(node[1]), text.has_unit(node[1]))
        if kind == "beta":
            return ops.slope(self.column(("mean_change", node[1]), sight), of(("changes", node[1])), node[2])
        seen = self.column(("volatility", sight)) if sight else None
        if kind == "mean_change":
            return ops.mean_change(of(("changes", node[1])), of(node[1]), text.has_unit(node[1]), seen)
        return ops.across(kind, of(node[1]), seen)

    def scores(self, strategy, rows):
        """Scores (rows x symbols; NaN for those left out), volatilities and slopes on the market, where asked for."""
        sight, ops = strategy.inverse_volatility, self.ops
        volatility = ops.rows(self.column(("volatility", sight)), rows) if sight else None
        taken = {}

        def take(node):
            if text.looks_across(node):
                for part in text.parts(node):
                    take(part)
            elif node[0] != "number":
                taken.setdefault(node, []).append(ops.rows(self.column(node, sight), rows))

        take(strategy.score)
        # Whoever lacks a part is left out before anything looks across the market.
        left = ops.left([found[0] for found in taken.values()], volatility)

        def value(node):
            if node[0] == "number":
                return node[1]
            if not text.looks_across(node):
                return taken[node][0]
            inner = [value(part) for part in text.parts(node)]
            if node[0] in text.ACROSS:
                return ops.across_rows(node[0], ops.masked(inner[0], left))
            return ops.unary_rows(node[0], *inner) if node[0] in text.UNARY else ops.binary_rows(node[0], *inner)

        scores = ops.masked(value(strategy.score), left)
        neutral = strategy.beta_neutral
        return scores, volatility, ops.rows(self.column(("neutral", neutral)), rows) if neutral else None


def node_cells(strategies, market):
    """Operators of all strategies x symbols x candles, as they are written, and with what is shared counted once."""

    def size(node):
        own = 0 if node[0] == "number" else 1
        return own + sum(size(part) for part in text.parts(node))

    shared = set()

    def walk(node):
        shared.add(node)
        for part in text.parts(node):
            walk(part)

    for strategy in strategies:
        walk(strategy.score)
    cells = SYMBOLS * market.slots
    once = sum(1 for node in shared if node[0] != "number")
    return sum(size(s.score) for s in strategies) * cells, once * cells
