"""Columns by polars expressions: a frame with a column a symbol, null where undefined. What follows from columns
(scores at the clock's rows, weights, trading) is numpy's.
"""

import polars as pl
import ranking_numpy
from ranking_market import LISTED, ROUNDING, SYMBOLS

NAMES = [f"{number:02}" for number in range(SYMBOLS)]
OTHERS = [f"y{name}" for name in NAMES]
RENAMED = dict(zip(NAMES, OTHERS, strict=True))


def frame(values):
    """Of an array of shape (symbols, slots)."""
    return pl.DataFrame(dict(zip(NAMES, values, strict=True)))


def each(x, function):
    return x.select(function(pl.col(name)).alias(name) for name in NAMES)


def pairs(x, y, function):
    """A function of a column and of the same symbol's in another frame."""
    both = x.hstack(y.rename(RENAMED))
    return both.select(function(pl.col(a), pl.col(b)).alias(a) for a, b in RENAMED.items())


def defined(condition, value):
    return pl.when(condition).then(value)


def quotient(a, b):
    return defined(b != 0.0, a / b)


ARITHMETIC = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": quotient}
ARITHMETIC["min"] = lambda a, b: defined(a <= b, a).when(b < a).then(b)
ARITHMETIC["max"] = lambda a, b: defined(a >= b, a).when(b > a).then(b)


def seeded(x, n, first, alpha):
    """An average that begins with the plain mean of the n values from `first` on."""
    begin = first + n - 1
    at = pl.int_range(pl.len())
    seed = pl.when(at == begin).then(pl.all().rolling_mean(n)).when(at > begin).then(pl.all())
    return x.select(seed).select(pl.all().ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True))


def rolling(kind, x, n):
    """An expression over each column of its own."""
    return {
        "delay": lambda: x.shift(n),
        "delta": lambda: x - x.shift(n),
        "mean": lambda: x.rolling_mean(n),
        "sum": lambda: x.rolling_sum(n),
        "highest": lambda: x.rolling_max(n),
        "lowest": lambda: x.rolling_min(n),
        "deviation": lambda: x.rolling_std(n, ddof=0),
        "ts_rank": lambda: (x.rolling_rank(n, method="average") - 1.0) / (n - 1),
    }[kind]()


def decayed(x, n):
    """Weights n, n - 1, ... 1 from the newest, by cumulative sums of values off their mean."""
    at = (pl.int_range(pl.len()) + 1).cast(pl.Float64)
    off = each(x, lambda a: (a - a.mean()).fill_null(0.0))
    moving = lambda a: a - a.shift(n, fill_value=0.0)
    sums = each(each(off, lambda a: a.cum_sum()), lambda a: moving(a) * (at - n))
    products = each(each(off, lambda a: (a * at).cum_sum()), moving)
    weighted = pairs(products, sums, lambda a, b: (a - b) / (0.5 * n * (n + 1)))
    return pairs(x, weighted, lambda a, b: defined(a.rolling_sum(n).is_not_null(), b + a.mean()))


def varies(x, n):
    """Whether values of a window differ."""
    return (x != x.shift(1)).cast(pl.Int32).rolling_sum(n - 1) > 0


class Ops(ranking_numpy.Ops):
    def __init__(self, market):
        super().__init__(market)
        self.frames = {name: frame(values) for name, values in market.fields.items()}

    def series(self, name, *n):
        f = self.frames
        if name in f:
            return f[name]
        close, n = f["close"], n[0]
        if name == "ema":
            return seeded(close, n, 0, 2.0 / (n + 1))
        if name == "amihud":
            moves = pairs(each(close, lambda x: (x / x.shift(1) - 1.0).abs()), f["quote_volume"], quotient)
            return each(moves, lambda x: x.rolling_mean(n))
        if name == "rsi":
            up = seeded(each(close, lambda x: x.diff().clip(0.0)), n, 1, 1 / n)
            down = seeded(each(close, lambda x: (-x.diff()).clip(0.0)), n, 1, 1 / n)
            return pairs(up, down, lambda a, b: defined(a + b > 0.0, 100.0 * a / (a + b)).when(a + b == 0.0).then(50.0))
        last = each(close, lambda x: x.shift(1))
        highest = pairs(f["high"], last, ARITHMETIC["max"])
        ranges = pairs(highest, pairs(f["low"], last, ARITHMETIC["min"]), ARITHMETIC["-"])
        return pairs(seeded(ranges, n, 1, 1 / n), close, lambda a, b: 100.0 * a / b)

    def volatility(self, n):
        return each(self.frames["close"], lambda x: ((x / x.shift(1)).log() ** 2).rolling_mean(n).sqrt())

    def unary(self, kind, x):
        if kind == "log":
            return each(x, lambda a: defined(a > 0.0, a.log()))
        return each(x, {"negate": lambda a: -a, "abs": lambda a: a.abs(), "sign": lambda a: a.sign()}[kind])

    def binary(self, kind, x, y):
        function = ARITHMETIC[kind]
        if isinstance(x, float):
            return each(y, lambda a: function(pl.lit(x), a))
        if isinstance(y, float):
            return each(x, lambda a: function(a, pl.lit(y)))
        return pairs(x, y, function)

    unary_rows, binary_rows = ranking_numpy.Ops.unary, ranking_numpy.Ops.binary

    def rolling(self, kind, x, n):
        if kind == "decay":
            return decayed(x, n)
        if kind == "deviation":
            return each(x, lambda a: pl.when(varies(a, n)).then(a.rolling_std(n, ddof=0)).otherwise(
                pl.when(a.rolling_sum(n).is_not_null()).then(0.0)))
        return each(x, lambda a: rolling(kind, a, n))

    def correlation(self, x, y, n):
        found = pairs(x, y, lambda a, b: pl.rolling_corr(a, b, window_size=n, min_samples=n))
        moves = pairs(x, y, lambda a, b: varies(a, n) & varies(b, n))
        return pairs(found, moves, lambda a, b: defined(b & a.is_finite(), a.clip(-1.0, 1.0)))

    def slope(self, x, y, n):
        moving = lambda a, b: pl.rolling_cov(a, b, window_size=n, min_samples=n, ddof=0)
        return pairs(x, y, lambda a, b: defined(varies(a, n), moving(a, b) / a.rolling_var(n, ddof=0)))

    def changes(self, x, relative):
        return each(x, lambda a: quotient(a, a.shift(1)) - 1.0 if relative else a - a.shift(1))

    def mean_change(self, change, value, relative, seen):
        first = 1 if value is None else LISTED
        c = change if seen is None else pairs(change, seen, lambda a, b: defined(b > 0.0, a))
        greatest = each(c, lambda a: a.abs() + 1.0) if relative else pairs(c, value, lambda a, b: a.abs() + b.abs())
        both = pl.DataFrame([
            c.select(pl.mean_horizontal(pl.all()).alias("mean")).to_series(),
            greatest.select(pl.max_horizontal(pl.all()).alias("most")).to_series(),
        ])
        small = pl.col("mean").abs() <= ROUNDING * pl.col("most")
        value = pl.when(small).then(0.0).otherwise(pl.col("mean"))
        mean = both.select(pl.when(pl.int_range(pl.len()) >= first).then(value).alias("mean")).to_series()
        return pl.DataFrame([mean.alias(name) for name in NAMES])

    def across(self, kind, x, seen):
        x = x if seen is None else pairs(x, seen, lambda a, b: defined(b > 0.0, a))
        x = x.select(pl.when(pl.int_range(pl.len()) >= LISTED).then(pl.all()))
        if kind == "cs_rank":
            long = x.with_row_index("t").unpivot(index="t")
            value = pl.col("value")
            ranks = (value.rank("average") - 1.0) / (value.count() - 1.0)
            ranks = long.select(ranks.over("t")).to_series()
            slots = x.height
            return pl.DataFrame([ranks.slice(k * slots, slots).alias(name) for k, name in enumerate(NAMES)])
        mean = x.with_columns(pl.mean_horizontal(NAMES).alias("mean"))
        if kind == "relative":
            return mean.select(quotient(pl.col(NAMES), pl.col("mean")))
        off = mean.select(pl.col(NAMES) - pl.col("mean"))
        if kind == "cs_demean":
            return off
        squares = off.with_columns(pl.mean_horizontal(pl.col(NAMES) ** 2).sqrt().alias("deviation"))
        return squares.select(quotient(pl.col(NAMES), pl.col("deviation")))

    def rows(self, column, rows):
        return column[rows].to_numpy()


def generation(market, strategies):
    return ranking_numpy.generation(market, strategies, Ops(market))
