"""The generation in numba: its operators' columns, then one function for all that one strategy trades."""

import concurrent.futures

import numpy as np
import ranking_market as market_of
import ranking_numba_ops as kernels
from ranking_market import FIRST, LISTED, SLOTS_A_DAY
from ranking_numba_ops import BINARY, KINDS, ROLLING, UNARY
from ranking_numba_trade import trade


class Ops:
    def __init__(self, market):
        self.fields = {name: np.ascontiguousarray(column.T) for name, column in market.fields.items()}
        self.everybody = np.ones_like(self.fields["close"])
        self.squares = self.new(self.everybody)
        kernels.squared_returns(self.fields["close"], self.squares)

    def new(self, like):
        return np.empty(like.shape)

    def windowed(self, kernel, columns, n, out, *more):
        """Over columns that are whole from some row on; else over each run of defined values alone."""
        wholes = [kernels.whole_from(x) for x in columns]
        if min(wholes) >= 0:
            first = max(wholes)
            out[:first] = np.nan
            kernel(*(x[first:] for x in columns), n, *more, out[first:])
            return out
        out[:] = np.nan
        for s in range(out.shape[1]):
            defined = np.logical_and.reduce([~np.isnan(x[:, s]) for x in columns])
            edges = np.flatnonzero(np.diff(np.concatenate(([False], defined, [False])).astype(np.int8)))
            for begin, end in edges.reshape(-1, 2):
                if end - begin >= n:
                    alone = [np.ascontiguousarray(x[begin:end, s : s + 1]) for x in columns]
                    found = np.empty((end - begin, 1))
                    kernel(*alone, n, *more, found)
                    out[begin:end, s] = found[:, 0]
        return out

    def series(self, name, *n):
        f = self.fields
        if name in f:
            return f[name]
        out, close = self.new(f["close"]), f["close"]
        if name == "ema":
            kernels.smoothed(close, n[0], 0, 2.0 / (n[0] + 1), out)
        elif name == "amihud":
            moves = self.new(out)
            kernels.price_impact(close, f["quote_volume"], moves)
            self.windowed(kernels.total, [moves], n[0], out, float(n[0]))
        elif name == "rsi":
            up, down, ups, downs = (self.new(out) for _ in range(4))
            kernels.rsi_parts(close, up, down)
            kernels.smoothed(up, n[0], 1, 1.0 / n[0], ups)
            kernels.smoothed(down, n[0], 1, 1.0 / n[0], downs)
            kernels.strength(ups.ravel(), downs.ravel(), out.ravel())
        else:
            ranges, atr = self.new(out), self.new(out)
            kernels.true_range(f["high"], f["low"], close, ranges)
            kernels.smoothed(ranges, n[0], 1, 1.0 / n[0], atr)
            BINARY["/"][0]((100.0 * atr).ravel(), close.ravel(), out.ravel())
        return out

    def volatility(self, n):
        out = self.new(self.squares)
        self.windowed(kernels.total, [self.squares], n, out, float(n))
        kernels.roots(out.ravel())
        return out

    def unary(self, kind, x):
        out = self.new(x)
        UNARY[kind](x.ravel(), out.ravel())
        return out

    def binary(self, kind, x, y):
        out = self.new(y if isinstance(x, float) else x)
        both, right, left = BINARY[kind]
        if isinstance(x, float):
            left(x, y.ravel(), out.ravel())
        elif isinstance(y, float):
            right(x.ravel(), y, out.ravel())
        else:
            both(x.ravel(), y.ravel(), out.ravel())
        return out

    def rolling(self, kind, x, n):
        out = self.new(x)
        if kind in {"delay", "delta"}:
            ROLLING[kind](x, n, out)
            return out
        if kind in {"mean", "sum"}:
            return self.windowed(kernels.total, [x], n, out, float(n) if kind == "mean" else 1.0)
        return self.windowed(ROLLING[kind], [x], n, out)

    def correlation(self, x, y, n):
        return self.windowed(kernels.correlation, [x, y], n, self.new(x))

    def slope(self, x, y, n):
        return self.windowed(kernels.slope, [x, y], n, self.new(x))

    def changes(self, x, relative):
        out = self.new(x)
        kernels.changes(x, relative, out)
        return out

    def mean_change(self, change, value, relative, seen):
        out, everybody = self.new(change), self.everybody
        first = 1 if value is None else LISTED
        value, seen = change if value is None else value, everybody if seen is None else seen
        kernels.mean_change(change, value, relative, seen, first, out)
        return out

    def across(self, kind, x, seen):
        masked = self.new(x)
        kernels.only_seen(x, self.everybody if seen is None else seen, LISTED, masked)
        return self.across_rows(kind, masked)

    def across_rows(self, kind, x):
        out = self.new(x)
        if kind == "cs_rank":
            kernels.cs_rank(x, out)
        else:
            kernels.cs_moments(x, KINDS[kind], out)
        return out

    unary_rows, binary_rows = unary, binary

    def rows(self, column, rows):
        return column[rows]

    def left(self, parts, volatility):
        left = np.zeros_like(parts[0])
        for part in parts:
            positive = self.everybody if volatility is None else volatility
            kernels.mask(part.ravel(), positive.ravel(), left.ravel())
        return left

    def masked(self, x, left):
        return self.binary("+", x, left) if isinstance(x, np.ndarray) else left + x


def generation(market, strategies, threads=1, scores_of=None, ops=None):
    """Hedged daily returns of each strategy. Several threads take whole strategies; kernels let go of Python's lock."""
    benchmark, ops = market.benchmark(), ops or Ops(market)
    evaluator = market_of.Evaluator(ops, strategies)
    opens, closes = ops.fields["open"], ops.fields["close"]
    returns = np.empty_like(closes)
    kernels.changes(closes, True, returns)

    def one(strategy):
        rows = market.clocks[strategy.rebalance]
        scores, volatility, betas = evaluator.scores(strategy, rows)
        if scores_of is not None:
            scores_of(strategy, scores)
        top, bottom = strategy.ends or (0.0, None)
        hedged = np.empty(market.days)
        trade(
            scores, scores if volatility is None else volatility, scores if betas is None else betas, returns,
            strategy.inverse_volatility > 0, strategy.beta_neutral, strategy.ends is None, top, bottom or 0.0,
            strategy.long_only, strategy.cap, strategy.smooth, strategy.band, strategy.gross, opens, closes, FIRST,
            SLOTS_A_DAY, rows, benchmark, hedged,
        )
        return hedged

    if threads == 1:
        return np.array([one(strategy) for strategy in strategies])
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return np.array(list(pool.map(one, strategies)))
