"""The generation in numpy and bottleneck: columns of shape (symbols, slots), windows by bottleneck's moving functions
or cumulative sums, weights of all rows at once, and a loop over rebalances for what hangs on the equity before.
"""

import warnings

import bottleneck as bn
import numpy as np
import ranking_market as market_of
from ranking_market import CAPITAL, FEE, FIRST, LISTED, ROUNDING, SLOTS_A_DAY

OPERATORS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "min": np.minimum, "max": np.maximum}


def finite(x):
    x[~np.isfinite(x)] = np.nan
    return x


def before(x, n):
    """Values n candles before."""
    out = np.full_like(x, np.nan)
    out[:, n:] = x[:, :-n]
    return out


def varies(x, n):
    """Whether values of a window differ; a deviation of equal ones is 0, whatever rounding leaves."""
    moves = np.zeros(x.shape, np.int32)
    np.cumsum(x[:, 1:] != x[:, :-1], axis=1, dtype=np.int32, out=moves[:, 1:])
    out = np.ones(x.shape, bool)
    out[:, n - 1 :] = moves[:, n - 1 :] > moves[:, : x.shape[1] - n + 1]
    return out


def decayed(x, n):
    """Weights n, n - 1, ... 1 from the newest: the sums of the last 1, 2 ... n, added up by cumulative sums."""
    defined = ~np.isnan(x)
    first = int(np.argmax(defined.any(axis=0)))
    off = np.nanmean(x, axis=1, keepdims=True)
    filled = np.where(defined, x - off, 0.0)[:, first:]
    steps = np.arange(1.0, filled.shape[1] + 1.0)
    sums, products = np.cumsum(filled, axis=1), np.cumsum(filled * steps, axis=1)
    weighted = products.copy()
    weighted[:, n:] -= products[:, :-n] + (steps[n:] - n) * (sums[:, n:] - sums[:, :-n])
    out = np.full_like(x, np.nan)
    out[:, first:] = weighted / (0.5 * n * (n + 1)) + off
    holes = np.cumsum(~defined, axis=1)
    holes[:, n:] -= holes[:, :-n].copy()
    out[holes > 0] = np.nan
    out[:, : n - 1] = np.nan
    return out


def smoothed(x, n, alpha):
    """An average that begins with the plain mean of the first n defined values; symbols side by side, slot by slot."""
    first = int(np.argmax(~np.isnan(x[0])))
    out, wide = np.full(x.T.shape, np.nan), np.ascontiguousarray(x.T)
    average = wide[first : first + n].mean(axis=0)
    out[first + n - 1] = average
    for t in range(first + n, len(wide)):
        average = average + alpha * (wide[t] - average)
        out[t] = average
    return np.ascontiguousarray(out.T)


class Ops:
    def __init__(self, market):
        self.fields = market.fields

    def series(self, name, *n):
        f = self.fields
        if name in f:
            return f[name]
        close, n = f["close"], n[0]
        if name == "ema":
            return smoothed(close, n, 2.0 / (n + 1))
        if name == "amihud":
            return bn.move_mean(np.abs(self.changes(close, True)) / f["quote_volume"], n, axis=1)
        if name == "rsi":
            change = self.rolling("delta", close, 1)
            up, down = smoothed(np.maximum(change, 0.0), n, 1 / n), smoothed(np.maximum(-change, 0.0), n, 1 / n)
            both = up + down
            return np.where(both == 0.0, 50.0, np.minimum(100.0 * up / both, 100.0))
        last = before(close, 1)
        ranges = np.maximum(f["high"], last) - np.minimum(f["low"], last)
        return 100.0 * smoothed(ranges, n, 1 / n) / close

    def volatility(self, n):
        close = self.fields["close"]
        return np.sqrt(bn.move_mean(np.log(close / before(close, 1)) ** 2, n, axis=1))

    def unary(self, kind, x):
        if kind == "log":
            return finite(np.log(x))
        return {"negate": np.negative, "abs": np.abs, "sign": np.sign}[kind](x)

    def binary(self, kind, x, y):
        return finite(OPERATORS[kind](x, y))

    unary_rows, binary_rows = unary, binary

    def rolling(self, kind, x, n):
        if kind == "delay":
            return before(x, n)
        if kind == "delta":
            return finite(x - before(x, n))
        if kind == "decay":
            return decayed(x, n)
        if kind == "ts_rank":
            return 0.5 * bn.move_rank(x, n, axis=1) + 0.5
        if kind == "deviation":
            out = bn.move_std(x, n, axis=1)
            out[~varies(x, n) & ~np.isnan(out)] = 0.0
            return out
        names = {"mean": bn.move_mean, "sum": bn.move_sum, "highest": bn.move_max, "lowest": bn.move_min}
        return names[kind](x, n, axis=1)

    def moments(self, x, y, n):
        """Covariance and both variances, from moving means of values less their own mean."""
        hole = np.isnan(x) | np.isnan(y)
        x, y = (np.where(hole, np.nan, a - np.nanmean(a, axis=1, keepdims=True)) for a in (x, y))
        mean = lambda a: bn.move_mean(a, n, axis=1)
        mx, my = mean(x), mean(y)
        return mean(x * y) - mx * my, np.where(varies(x, n), mean(x * x) - mx * mx, 0.0), (mean(y * y) - my * my, y)

    def correlation(self, x, y, n):
        xy, xx, (yy, y) = self.moments(x, y, n)
        good = (xx > 0.0) & (yy > 0.0) & varies(y, n)
        return np.where(good, np.clip(xy / np.sqrt(np.where(good, xx * yy, 1.0)), -1.0, 1.0), np.nan)

    def slope(self, x, y, n):
        xy, xx, _ = self.moments(x, y, n)
        return finite(xy / np.where(xx > 0.0, xx, np.nan))

    def changes(self, x, relative):
        last = before(x, 1)
        return finite(x / last - 1.0 if relative else x - last)

    def mean_change(self, change, value, relative, seen):
        first = 1 if value is None else LISTED
        c = change if seen is None else np.where(seen > 0.0, change, np.nan)
        mean = np.nanmean(c, axis=0)
        greatest = np.nanmax(np.abs(c) + (1.0 if relative else np.abs(value)), axis=0)
        mean[np.abs(mean) <= ROUNDING * greatest] = 0.0
        mean[:first] = np.nan
        return np.broadcast_to(mean, change.shape).copy()

    def across(self, kind, x, seen):
        masked = x.copy() if seen is None else np.where(seen > 0.0, x, np.nan)
        masked[:, :LISTED] = np.nan
        return np.ascontiguousarray(self.across_rows(kind, masked.T).T)

    def across_rows(self, kind, x):
        count = (~np.isnan(x)).sum(axis=1, keepdims=True)
        count = np.where(count < 2, np.nan, count)
        if kind == "cs_rank":
            return (bn.nanrankdata(x, axis=1) - 1.0) / (count - 1.0)
        mean = np.nansum(x, axis=1, keepdims=True) / count
        if kind == "relative":
            return finite(x / mean)
        off = x - mean
        # Equal values have no deviation, whatever rounding leaves.
        off[np.abs(off) <= 1e-15 * np.abs(mean)] = 0.0
        if kind == "cs_demean":
            return off
        return finite(off / np.sqrt(np.nansum(off * off, axis=1, keepdims=True) / count))

    def rows(self, column, rows):
        return np.ascontiguousarray(column[:, rows].T)

    def left(self, parts, volatility):
        left = np.logical_and.reduce([~np.isnan(part) for part in parts])
        return left if volatility is None else left & (volatility > 0.0)

    def masked(self, x, left):
        return np.where(left, x, np.nan)


def scaled(x, leg, long_only):
    up = np.maximum(x, 0.0)
    up *= leg / np.maximum(up.sum(axis=1, keepdims=True), 1e-300)
    if long_only:
        return up
    down = np.minimum(x, 0.0)
    down *= leg / np.maximum(-down.sum(axis=1, keepdims=True), 1e-300)
    return up + down


def limited(x, sign, cap):
    capped = np.zeros(x.shape, bool)
    while True:
        over = sign * x > cap
        excess = np.where(over, sign * x - cap, 0.0).sum(axis=1, keepdims=True)
        capped |= over
        x = np.where(over, sign * cap, x)
        free = (sign * x > 0.0) & ~capped
        rest = np.where(free, sign * x, 0.0).sum(axis=1, keepdims=True)
        if not ((excess > 0.0) & (rest > 0.0)).any():
            return x
        x = np.where(free, x * (1.0 + excess / np.where(rest > 0.0, rest, 1.0)), x)


def weights(strategy, scores, volatility, betas, market, rows):
    """Targets of all rows before they are smoothed."""
    defined = ~np.isnan(scores)
    count = defined.sum(axis=1, keepdims=True)
    if strategy.ends is None:
        x = (bn.nanrankdata(scores, axis=1) - 1.0) / np.maximum(count - 1.0, 1.0) - 0.5
    else:
        order = np.argsort(np.where(defined, -scores, np.inf), axis=1, kind="stable")
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(scores.shape[1])[None, :], axis=1)
        top, bottom = strategy.ends
        x = (place < np.maximum(np.floor(top * count / 100), 1)).astype(float)
        if bottom:
            x[(place >= count - np.maximum(np.floor(bottom * count / 100), 1)) & defined] = -1.0
    if volatility is not None:
        x = x / volatility
    x = np.where(defined, x, 0.0)
    leg = strategy.gross if strategy.long_only else strategy.gross / 2.0
    if strategy.ends is None and not strategy.long_only:
        off = x - x.sum(axis=1, keepdims=True) / np.maximum(count, 1)
        small = np.abs(off) <= ROUNDING * np.abs(x).max(axis=1, keepdims=True)
        x = np.where(small | ~defined, 0.0, off)
    x = scaled(x, leg, strategy.long_only)
    if strategy.cap:
        x = limited(limited(x, 1.0, strategy.cap), -1.0, strategy.cap)
    if betas is not None:
        x = neutral(x, defined, betas, strategy.beta_neutral, market, rows)
        x = scaled(x, leg, strategy.long_only)
    x[count[:, 0] < 2] = 0.0
    return x


def neutral(x, defined, betas, n, market, rows):
    betas = betas.copy()
    closes = market.fields["close"]
    for row in np.flatnonzero((~defined).any(axis=1) & defined.any(axis=1)):
        window = closes[:, rows[row] - n : rows[row] + 1]
        returns = window[:, 1:] / window[:, :-1] - 1.0
        mean = returns[defined[row]].mean(axis=0)
        mean -= mean.mean()
        betas[row] = returns @ mean / (mean @ mean)
    held = (x != 0.0) & ~np.isnan(betas)
    b = np.where(held, betas, 0.0)
    square = (b * b).sum(axis=1, keepdims=True)
    return x - b * (x * b).sum(axis=1, keepdims=True) / np.where(square > 0.0, square, 1.0)


def smooth(x, n):
    sums = np.cumsum(x, axis=0)
    sums[n:] -= sums[:-n].copy()
    sums /= np.minimum(np.arange(1, len(x) + 1), n)[:, None]
    sums[np.abs(sums) <= ROUNDING * np.abs(sums).max(axis=1, keepdims=True)] = 0.0
    return sums


def equity_by_day(targets, rows, strategy, market):
    """Units change at the opens after the rows alone: a loop over these, then the equity of all days at once."""
    opens, closes = market.wide
    units, cash = np.zeros((len(rows) + 1, targets.shape[1])), np.full(len(rows) + 1, CAPITAL)
    held, money = units[0], CAPITAL
    for at, row in enumerate(rows):
        price, target = closes[row], targets[at]
        equity = money + held @ price
        wanted = target * equity / price
        if strategy.band:
            near = (target != 0.0) & (np.abs(target - held * price / equity) < strategy.band)
            wanted = np.where(near, held, wanted)
        change = (wanted - held) * opens[row + 1]
        money = money - change.sum() - np.abs(change).sum() * FEE
        held = wanted
        units[at + 1], cash[at + 1] = held, money
    ends = FIRST - 1 + SLOTS_A_DAY * np.arange(1, market.days + 1)
    period = np.searchsorted(rows, ends)  # Rows before this close; their orders have filled.
    return cash[period] + (units[period] * closes[ends]).sum(axis=1)


def hedge(net, benchmark):
    beta = np.zeros(net.size)
    for day in range(45, 90):
        off = benchmark[:day] - benchmark[:day].mean()
        beta[day] = off @ net[:day] / (off @ off)
    x, y = (np.lib.stride_tricks.sliding_window_view(a, 90)[:-1] for a in (benchmark, net))
    off = x - x.mean(axis=1, keepdims=True)
    beta[90:] = (off * y).sum(axis=1) / (off * off).sum(axis=1)
    return net - beta * benchmark


def generation(market, strategies, ops=None):
    """Hedged daily returns of each strategy."""
    benchmark = market.benchmark()
    evaluator = market_of.Evaluator(ops or Ops(market), strategies)
    out = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Of slots at which nothing is defined.
        for strategy in strategies:
            rows = market.clocks[strategy.rebalance]
            scores, volatility, betas = evaluator.scores(strategy, rows)
            targets = smooth(weights(strategy, scores, volatility, betas, market, rows), strategy.smooth)
            equity = np.concatenate(([CAPITAL], equity_by_day(targets, rows, strategy, market)))
            out.append(hedge(equity[1:] / equity[:-1] - 1.0, benchmark))
    return np.array(out)
