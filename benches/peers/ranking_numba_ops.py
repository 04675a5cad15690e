"""Operators in numba: columns of shape (slots, symbols), so that inner loops run over symbols and vectorise; sums and
moments are kept up to date as the window slides; each operator is one loop.
"""

import numba
import numpy as np
from ranking_market import ROUNDING

fast = numba.njit(nogil=True, error_model="numpy")
inline = numba.njit(nogil=True, error_model="numpy", inline="always")


@inline
def finite(x):
    return x if abs(x) < np.inf else np.nan


def elementwise(function):
    """Loops over two columns, and over a column and a number on either side."""

    @fast
    def both(x, y, out):
        for i in range(x.size):
            out[i] = finite(function(x[i], y[i]))

    @fast
    def right(x, y, out):
        for i in range(x.size):
            out[i] = finite(function(x[i], y))

    @fast
    def left(x, y, out):
        for i in range(y.size):
            out[i] = finite(function(x, y[i]))

    return both, right, left


def unary(function):
    @fast
    def loop(x, out):
        for i in range(x.size):
            out[i] = finite(function(x[i]))

    return loop


BINARY = {
    "+": elementwise(inline(lambda x, y: x + y)),
    "-": elementwise(inline(lambda x, y: x - y)),
    "*": elementwise(inline(lambda x, y: x * y)),
    "/": elementwise(inline(lambda x, y: x / y)),
    "min": elementwise(inline(lambda x, y: x if x < y or np.isnan(x) else y)),
    "max": elementwise(inline(lambda x, y: x if x > y or np.isnan(x) else y)),
}
UNARY = {
    "negate": unary(inline(lambda x: -x)),
    "abs": unary(inline(lambda x: abs(x))),
    "log": unary(inline(lambda x: np.log(x))),
    "sign": unary(inline(lambda x: x if np.isnan(x) else (1.0 if x > 0 else (-1.0 if x < 0 else 0.0)))),
}


@fast
def delay(x, n, out):
    out[:n] = np.nan
    out[n:] = x[: len(x) - n]


@fast
def delta(x, n, out):
    out[:n] = np.nan
    for t in range(n, x.shape[0]):
        for s in range(x.shape[1]):
            out[t, s] = finite(x[t, s] - x[t - n, s])


@fast
def total(x, n, divisor, out):
    sums = np.zeros(x.shape[1])
    for t in range(x.shape[0]):
        if t < n - 1:
            for s in range(x.shape[1]):
                sums[s] += x[t, s]
                out[t, s] = np.nan
        elif t == n - 1:
            for s in range(x.shape[1]):
                sums[s] += x[t, s]
                out[t, s] = finite(sums[s] / divisor)
        else:
            for s in range(x.shape[1]):
                sums[s] += x[t, s] - x[t - n, s]
                out[t, s] = finite(sums[s] / divisor)


@fast
def deviation(x, n, out):
    slots, symbols = x.shape
    mean, squares, same = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
    for t in range(slots):
        if t < n:
            for s in range(symbols):
                off = x[t, s] - mean[s]
                mean[s] += off / (t + 1)
                squares[s] += off * (x[t, s] - mean[s])
        else:
            for s in range(symbols):
                change, before = x[t, s] - x[t - n, s], mean[s]
                mean[s] += change / n
                squares[s] += change * (x[t, s] - mean[s] + x[t - n, s] - before)
        # A window of equal values has none, whatever rounding left.
        for s in range(symbols):
            same[s] = same[s] + 1.0 if t > 0 and x[t, s] == x[t - 1, s] else 1.0
            squares[s] = 0.0 if same[s] >= n or squares[s] < 0.0 else squares[s]
            out[t, s] = np.sqrt(squares[s] / n) if t >= n - 1 else np.nan


@inline
def moments(x, y, n, result, out):
    slots, symbols = x.shape
    mx, my, xx, yy, xy = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
    same_x, same_y = np.zeros(symbols), np.zeros(symbols)
    for t in range(slots):
        if t < n:
            for s in range(symbols):
                a, b = x[t, s] - mx[s], y[t, s] - my[s]
                mx[s] += a / (t + 1)
                my[s] += b / (t + 1)
                xx[s] += a * (x[t, s] - mx[s])
                yy[s] += b * (y[t, s] - my[s])
                xy[s] += a * (y[t, s] - my[s])
        else:
            for s in range(symbols):
                u, v, a, b = x[t, s], y[t, s], x[t - n, s], y[t - n, s]
                old_x, old_y = mx[s], my[s]
                mx[s] += (u - a) / n
                my[s] += (v - b) / n
                xx[s] += (u - a) * (u - mx[s] + a - old_x)
                yy[s] += (v - b) * (v - my[s] + b - old_y)
                xy[s] += (u - mx[s]) * (v - old_y) - (a - mx[s]) * (b - old_y)
        for s in range(symbols):
            same_x[s] = same_x[s] + 1.0 if t > 0 and x[t, s] == x[t - 1, s] else 1.0
            same_y[s] = same_y[s] + 1.0 if t > 0 and y[t, s] == y[t - 1, s] else 1.0
            xx[s] = 0.0 if same_x[s] >= n else xx[s]
            yy[s] = 0.0 if same_y[s] >= n else yy[s]
            out[t, s] = result(xx[s], yy[s], xy[s]) if t >= n - 1 else np.nan


@inline
def pearson(xx, yy, xy):
    return min(max(xy / (np.sqrt(xx) * np.sqrt(yy)), -1.0), 1.0) if xx > 0.0 and yy > 0.0 else np.nan


@inline
def ratio(xx, yy, xy):
    return finite(xy / xx) if xx > 0.0 else np.nan


@fast
def correlation(x, y, n, out):
    moments(x, y, n, pearson, out)


@fast
def slope(x, y, n, out):
    moments(x, y, n, ratio, out)


@inline
def greater(a, b):
    if b > a:
        return b
    return a


@inline
def lesser(a, b):
    if b < a:
        return b
    return a


def extreme(better):
    """Greatest or least of a window: the end of one block and the beginning of the next (van Herk)."""

    @fast
    def loop(x, n, out):
        slots, symbols = x.shape
        ends, best = np.empty((n, symbols)), np.empty(symbols)
        for start in range(0, slots, n):
            end = min(start + n, slots)
            best[:] = x[start]
            for t in range(start, end):
                for s in range(symbols):
                    best[s] = better(best[s], x[t, s])
                if t - start == n - 1:
                    out[t] = best
                elif start > 0:
                    for s in range(symbols):
                        out[t, s] = better(best[s], ends[t - start + 1, s])
                else:
                    out[t] = np.nan
            if end - start == n:
                ends[n - 1] = x[end - 1]
                for k in range(n - 2, 0, -1):
                    for s in range(symbols):
                        ends[k, s] = better(ends[k + 1, s], x[start + k, s])

    return loop


@fast
def ts_rank(x, n, out):
    slots, symbols = x.shape
    counts = np.empty(symbols)
    out[: n - 1] = np.nan
    for t in range(n - 1, slots):
        counts[:] = 0.0
        for k in range(t - n + 1, t + 1):
            for s in range(symbols):
                counts[s] += (1.0 if x[k, s] < x[t, s] else 0.0) + (1.0 if x[k, s] <= x[t, s] else 0.0)
        for s in range(symbols):
            out[t, s] = 0.5 * (counts[s] - 1.0) / (n - 1)


@fast
def decay(x, n, out):
    slots, symbols = x.shape
    sums, weighted = np.zeros(symbols), np.zeros(symbols)
    divisor = 0.5 * n * (n + 1)
    for t in range(slots):
        if t < n:
            for s in range(symbols):
                weighted[s] += (t + 1) * x[t, s]
                sums[s] += x[t, s]
                out[t, s] = finite(weighted[s] / divisor) if t == n - 1 else np.nan
        else:
            for s in range(symbols):
                weighted[s] += n * x[t, s] - sums[s]
                sums[s] += x[t, s] - x[t - n, s]
                out[t, s] = finite(weighted[s] / divisor)


@fast
def smoothed(x, n, first, alpha, out):
    """An average that begins at `first` with the plain mean of n values."""
    average = np.zeros(x.shape[1])
    out[: first + n - 1] = np.nan
    for t in range(first, x.shape[0]):
        if t < first + n:
            average += x[t] / n
            if t == first + n - 1:
                out[t] = average
        else:
            for s in range(x.shape[1]):
                average[s] += alpha * (x[t, s] - average[s])
                out[t, s] = average[s]


@fast
def rsi_parts(close, up, down):
    up[0], down[0] = np.nan, np.nan
    for t in range(1, close.shape[0]):
        for s in range(close.shape[1]):
            change = close[t, s] - close[t - 1, s]
            up[t, s], down[t, s] = max(change, 0.0), max(-change, 0.0)


@fast
def strength(up, down, out):
    for i in range(up.size):
        both = up[i] + down[i]
        out[i] = min(100.0 * up[i] / both, 100.0) if both > 0.0 else (50.0 if both == 0.0 else np.nan)


@fast
def true_range(high, low, close, out):
    out[0] = np.nan
    for t in range(1, close.shape[0]):
        for s in range(close.shape[1]):
            out[t, s] = max(high[t, s], close[t - 1, s]) - min(low[t, s], close[t - 1, s])


@fast
def price_impact(close, traded, out):
    out[0] = np.nan
    for t in range(1, close.shape[0]):
        for s in range(close.shape[1]):
            out[t, s] = abs(close[t, s] / close[t - 1, s] - 1.0) / traded[t, s]


@fast
def squared_returns(close, out):
    out[0] = np.nan
    for t in range(1, close.shape[0]):
        for s in range(close.shape[1]):
            out[t, s] = np.log(close[t, s] / close[t - 1, s]) ** 2


@fast
def roots(x):
    for i in range(x.size):
        x[i] = np.sqrt(x[i])


@fast
def changes(x, relative, out):
    out[0] = np.nan
    for t in range(1, x.shape[0]):
        for s in range(x.shape[1]):
            now, before = x[t, s], x[t - 1, s]
            out[t, s] = finite(now / before - 1.0 if relative else now - before)


@fast
def mean_change(change, value, relative, seen, first, out):
    for t in range(change.shape[0]):
        total, count, most = 0.0, 0.0, 0.0
        for s in range(change.shape[1]):
            c = change[t, s] if seen[t, s] > 0.0 else np.nan
            if not np.isnan(c):
                total += c
                count += 1.0
                most = max(most, abs(c) + (1.0 if relative else abs(value[t, s])))
        mean = total / count if count > 0.0 and t >= first else np.nan
        out[t] = 0.0 if abs(mean) <= ROUNDING * most else mean


@fast
def cs_rank(x, out):
    symbols = x.shape[1]
    for t in range(x.shape[0]):
        count = 0.0
        for s in range(symbols):
            count += 1.0 if x[t, s] == x[t, s] else 0.0
        for s in range(symbols):
            own, sums = x[t, s], 0
            for k in range(symbols):
                sums += (1 if x[t, k] < own else 0) + (1 if x[t, k] <= own else 0)
            out[t, s] = 0.5 * (sums - 1) / (count - 1.0) if count >= 2.0 and not np.isnan(own) else np.nan


@fast
def cs_moments(x, kind, out):
    """0: off the mean; 1: in deviations; 2: over the mean."""
    symbols = x.shape[1]
    for t in range(x.shape[0]):
        count, total, first = 0.0, 0.0, np.nan
        for s in range(symbols):
            if x[t, s] == x[t, s]:
                first = x[t, s] if count == 0.0 else first
                count += 1.0
                total += x[t, s] - first
        mean = first + total / count if count >= 2.0 else np.nan
        scale = mean if kind == 2 else 1.0
        if kind == 1:
            squares = 0.0
            for s in range(symbols):
                squares += (x[t, s] - mean) ** 2 if x[t, s] == x[t, s] else 0.0
            scale = np.sqrt(squares / count)
        for s in range(symbols):
            out[t, s] = finite((x[t, s] if kind == 2 else x[t, s] - mean) / scale)


@fast
def only_seen(x, seen, first, out):
    for t in range(x.shape[0]):
        for s in range(x.shape[1]):
            out[t, s] = x[t, s] if t >= first and seen[t, s] > 0.0 else np.nan


@fast
def whole_from(x):
    """The row from which on all is defined and before which nothing is; -1 where there is none."""
    first = 0
    while first < x.shape[0] and not (x[first] == x[first]).any():
        first += 1
    holes = 0
    for t in range(first, x.shape[0]):
        for s in range(x.shape[1]):
            holes += 0 if x[t, s] == x[t, s] else 1
    return first if holes == 0 else -1


@fast
def mask(parts, volatility, out):
    for i in range(out.size):
        out[i] = np.nan if np.isnan(parts[i]) or not volatility[i] > 0.0 else out[i]


ROLLING = {"delay": delay, "delta": delta, "deviation": deviation, "ts_rank": ts_rank, "decay": decay}
ROLLING["highest"] = extreme(greater)
ROLLING["lowest"] = extreme(lesser)
KINDS = {"cs_demean": 0, "cs_zscore": 1, "relative": 2}
