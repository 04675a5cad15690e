"""What each series of the language is worth, computed from its definition in decimals of 60 digits, window by window:
slow, plain, and sharing nothing with the program. TA-Lib's own figures stand beside them where it has the series.

Prices come in whole ticks of 1e-8 and leave in price units. `None` is undefined.
"""

import itertools
from decimal import Decimal, getcontext

import numpy
import talib
from markets import DAY_MS, TICK

getcontext().prec = 60
# What comes out of a division is equal where it differs by less than this share.
HAIR = Decimal("1e-40")


def above(a, b):
    return a - b > HAIR * abs(b)


def dec(values):
    return [Decimal(v) for v in values]


def windows(values, n, function):
    """Of each n values in a row; undefined before, and where one of them is."""
    out = [None] * len(values)
    for i in range(n - 1, len(values)):
        window = values[i + 1 - n:i + 1]
        if all(v is not None for v in window):
            out[i] = function(window)
    return out


def mean(window):
    return sum(window) / Decimal(len(window))


def sma(values, n):
    return windows(values, n, mean)


def wma(values, n):
    return windows(values, n, lambda w: sum((k + 1) * v for k, v in enumerate(w)) / Decimal(n * (n + 1) // 2))


def smoothed(values, n, weight):
    """Seeded with the mean of the first n defined values; then each new one counts with `weight`."""
    out, first = [None] * len(values), next((i for i, v in enumerate(values) if v is not None), len(values))
    if first + n > len(values):
        return out
    now = mean(values[first:first + n])
    out[first + n - 1] = now
    for i in range(first + n, len(values)):
        now += weight * (values[i] - now)
        out[i] = now
    return out


def ema(values, n):
    return smoothed(values, n, Decimal(2) / (n + 1))


def wilder(values, n):
    return smoothed(values, n, Decimal(1) / n)


def minus(a, b, factor=1):
    return [None if x is None or y is None else x - factor * y for x, y in zip(a, b)]


def deviation(window):
    middle = mean(window)
    return (sum((v - middle) ** 2 for v in window) / Decimal(len(window))).sqrt()


def true_ranges(c):
    pairs = zip(c.highs[1:], c.lows[1:], c.closes)
    return [None] + [Decimal(max(high, before) - min(low, before)) for high, low, before in pairs]


def middles(c, n):
    return [None if h is None else (h + low) / 2
            for h, low in zip(windows(dec(c.highs), n, max), windows(dec(c.lows), n, min))]


def delayed(values, by):
    return ([None] * by + values)[:len(values)]


def macd(closes, fast, slow):
    # Both begin at the slow one's first value.
    quick = smoothed([None] * (slow - fast) + closes[slow - fast:], fast, Decimal(2) / (fast + 1))
    return minus(quick, ema(closes, slow))


def macd_signal(closes, fast, slow, signal):
    return ema(macd(closes, fast, slow), signal)


def rsi(closes, n):
    changes = [None] + [b - a for a, b in itertools.pairwise(closes)]
    gains = wilder([None if x is None else max(x, Decimal(0)) for x in changes], n)
    losses = wilder([None if x is None else max(-x, Decimal(0)) for x in changes], n)
    return [None if g is None else 100 * g / (g + lost) if g + lost > 0 else Decimal(50)
            for g, lost in zip(gains, losses)]


def directional(c, n):
    """+DI, -DI and DX; DX is `None` where there is no movement."""
    plus, low, dx = [None] * len(c), [None] * len(c), [None] * len(c)
    if len(c) <= n:
        return plus, low, dx
    sums = [Decimal(0)] * 3
    ranges = true_ranges(c)
    for i in range(1, len(c)):
        up, down = c.highs[i] - c.highs[i - 1], c.lows[i - 1] - c.lows[i]
        one = (max(up, 0) if up > down else 0, max(down, 0) if down > up else 0, ranges[i])
        sums = [s + x - (s / n if i >= n else 0) for s, x in zip(sums, one)]
        if i >= n:
            still = sums[2] <= Decimal(c.closes[i]) * Decimal("1e-12")
            plus[i], low[i] = (Decimal(0) if still else 100 * s / sums[2] for s in sums[:2])
            if not still and sums[0] + sums[1] > 0:
                dx[i] = 100 * abs(sums[0] - sums[1]) / (sums[0] + sums[1])
    return plus, low, dx


def adx(c, n):
    out = [None] * len(c)
    if len(c) < 2 * n:
        return out
    dx = directional(c, n)[2]
    now = sum(x or Decimal(0) for x in dx[n:2 * n]) / n
    out[2 * n - 1] = now
    for i in range(2 * n, len(c)):
        if dx[i] is not None:
            now = (now * (n - 1) + dx[i]) / n
        out[i] = now
    return out


def fast_k(c, n):
    highs, lows = windows(dec(c.highs), n, max), windows(dec(c.lows), n, min)
    return [None if h is None else 100 * (close - low) / (h - low) if h > low else Decimal(50)
            for h, low, close in zip(highs, lows, c.closes)]


def typical(c):
    return [Decimal(h + low + close) / 3 for h, low, close in zip(c.highs, c.lows, c.closes)]


def cci(c, n):
    def of(window):
        # Times three: whole numbers, so that equal ones are equal.
        middle = mean(window)
        spread = sum(abs(v - middle) for v in window) / n
        return Decimal(0) if max(window) == min(window) else (window[-1] - middle) / (Decimal("0.015") * spread)
    return windows(dec(h + low + close for h, low, close in zip(c.highs, c.lows, c.closes)), n, of)


def mfi(c, n):
    sums = [h + low + close for h, low, close in zip(c.highs, c.lows, c.closes)]
    flows = [None] + [((now > before) - (now < before)) * now * volume
                      for before, now, volume in zip(sums, sums[1:], c.volumes[1:])]

    def of(window):
        up, down = sum(f for f in window if f > 0), -sum(f for f in window if f < 0)
        return Decimal(100 * up) / (up + down) if up + down else Decimal(50)
    return windows(flows, n, of)


def obv(c):
    out = [c.volumes[0]]
    for i in range(1, len(c)):
        side = (c.closes[i] > c.closes[i - 1]) - (c.closes[i] < c.closes[i - 1])
        out.append(out[-1] + side * c.volumes[i])
    return dec(out)


def vwap(prices, volumes):
    weight = sum(volumes)
    return sum(p * v for p, v in zip(prices, volumes)) / weight if weight else None


def session_vwap(c):
    out, prices, begin = [], typical(c), 0
    for i, time_ms in enumerate(c.times):
        if time_ms // DAY_MS != c.times[begin] // DAY_MS:
            begin = i
        out.append(vwap(prices[begin:i + 1], c.volumes[begin:i + 1]))
    return out


def supertrend(c, n, multiple):
    """Line and direction."""
    lines, turns, before = [None] * len(c), [None] * len(c), None
    for i, width in enumerate(wilder(true_ranges(c), n)):
        if width is None:
            continue
        middle, close = Decimal(c.highs[i] + c.lows[i]) / 2, Decimal(c.closes[i])
        upper, lower = middle + multiple * width, middle - multiple * width
        if before is None:
            up = close >= middle
        else:
            last_upper, last_lower, was_up, last_close = before
            upper = last_upper if not above(last_upper, upper) and not above(last_close, last_upper) else upper
            lower = last_lower if not above(lower, last_lower) and not above(last_lower, last_close) else lower
            up = not above(lower, close) if was_up else above(close, upper)
        before = (upper, lower, up, close)
        lines[i], turns[i] = (lower if up else upper), Decimal(1 if up else -1)
    return lines, turns


def swing(values, strength, sign):
    out, level = [None] * len(values), None
    for i in range(2 * strength, len(values)):
        at = i - strength
        around = values[at - strength:at] + values[at + 1:i + 1]
        if all(sign * values[at] > sign * v for v in around):
            level = Decimal(values[at])
        out[i] = level
    return out


def order_block(c, n, multiple, bullish, top):
    widths, level, out = wilder(true_ranges(c), n), None, [None] * len(c)
    sign = 1 if bullish else -1
    for i in range(1, len(c)):
        body = sign * (c.closes[i] - c.opens[i])
        beyond = c.closes[i] > c.highs[i - 1] if bullish else c.closes[i] < c.lows[i - 1]
        if widths[i - 1] is not None and body > 0 and beyond and not above(multiple * widths[i - 1], Decimal(body)):
            against = [k for k in range(max(0, i - n), i) if sign * (c.closes[k] - c.opens[k]) < 0]
            if against:
                level = Decimal((c.highs if top else c.lows)[against[-1]])
        out[i] = level
    return out


def wyckoff(c, n, spring):
    out = [None] * len(c)
    for i in range(n, len(c)):
        loud = c.volumes[i] * n > sum(c.volumes[i - n:i])
        if spring:
            floor = min(c.lows[i - n:i])
            out[i] = Decimal(int(loud and c.lows[i] < floor < c.closes[i]))
        else:
            ceiling = max(c.highs[i - n:i])
            out[i] = Decimal(int(loud and c.highs[i] > ceiling > c.closes[i]))
    return out


def parabolic_sar(c, step, most):
    out = [None] * len(c)
    if len(c) < 2:
        return out
    step = min(step, most)
    rise, fall = c.highs[1] - c.highs[0], c.lows[0] - c.lows[1]
    up = not (fall > 0 and fall > rise)
    stop, best = (Decimal(c.lows[0]), Decimal(c.highs[1])) if up else (Decimal(c.highs[0]), Decimal(c.lows[1]))
    factor = step
    for i in range(1, len(c)):
        high, low = Decimal(c.highs[i]), Decimal(c.lows[i])
        floor, ceiling = min(low, c.lows[max(i - 1, 1)]), max(high, c.highs[max(i - 1, 1)])
        turned = not above(low, stop) if up else not above(stop, high)
        if turned:
            up = not up
            stop = min(best, floor) if up else max(best, ceiling)
            best, factor = (high if up else low), step
        out[i] = stop
        if not turned and (high > best if up else low < best):
            best, factor = (high if up else low), min(factor + step, most)
        moved = stop + factor * (best - stop)
        stop = min(moved, floor) if up else max(moved, ceiling)
    return out


def volatilities(c, n):
    logs = [None] + [(Decimal(b) / a).ln() ** 2 for a, b in zip(c.closes, c.closes[1:])]
    return windows(logs, n, lambda w: mean(w).sqrt())


def percentile(window):
    now = window[-1]
    below = sum(above(now, v) for v in window)
    equal = sum(not above(now, v) and not above(v, now) for v in window)
    return (below + Decimal(equal) / 2) / len(window)


def choppiness(c, n):
    ranges = true_ranges(c)
    out = [None] * len(c)
    for i in range(n, len(c)):
        reached = max(c.highs[i + 1 - n:i + 1]) - min(c.lows[i + 1 - n:i + 1])
        if reached:
            walked = sum(ranges[i + 1 - n:i + 1])
            out[i] = min(max(100 * (walked / reached).log10() / Decimal(n).log10(), Decimal(0)), Decimal(100))
    return out


def regime(c, n):
    chop = choppiness(c, n)
    return [None if a is None else Decimal(1 if a >= 25 else -1 if x is not None and x >= Decimal("61.8") else 0)
            for a, x in zip(adx(c, n), chop)]


def bands(closes, n, multiple):
    middle, half = sma(closes, n), [None if s is None else multiple * s for s in windows(closes, n, deviation)]
    return middle, half


def both(function, *columns):
    return [None if None in row else function(*row) for row in zip(*columns)]


def score(volumes, n):
    def of(window):
        spread = deviation(window)
        return Decimal(0) if max(window) == min(window) else (window[-1] - mean(window)) / spread
    return windows(volumes, n, of)


def slope(closes, n):
    middle = Decimal(n + 1) / 2
    return windows(closes, n, lambda w: sum((k + 1 - middle) * v for k, v in enumerate(w)) * 12 / (n * (n * n - 1)))


def hour(c, of):
    return [Decimal(of((t + c.step_ms - 1) // 3_600_000)) for t in c.times]


def hull(closes, n):
    return wma(minus([None if v is None else 2 * v for v in wma(closes, n // 2)], wma(closes, n)), int(n ** 0.5))


# Name: parameters as (least, most, step), unit of the values, and what it is worth. The unit: `price` comes in ticks,
# `volume` in 1e-8, the others are as they are.
P, M = (2, 40, 1), (0.1, 5, 0.1)
PRICE, VOLUME, PERCENT, ONE = "price", "volume", "percent", "one"


def tall(c):
    return dec(c.closes)


SERIES = {
    "sma": ([P], PRICE, lambda c, n: sma(tall(c), n)),
    "ema": ([P], PRICE, lambda c, n: ema(tall(c), n)),
    "wma": ([P], PRICE, lambda c, n: wma(tall(c), n)),
    "hma": ([(4, 40, 1)], PRICE, lambda c, n: hull(tall(c), n)),
    "vwap": ([P], PRICE, lambda c, n: windows(
        list(zip(typical(c), c.volumes)), n, lambda w: vwap(*zip(*w)))),
    "session_vwap": ([], PRICE, session_vwap),
    "rsi": ([P], PERCENT, lambda c, n: rsi(tall(c), n)),
    "macd": ([(2, 15, 1), (16, 40, 1)], PRICE, lambda c, a, b: macd(tall(c), a, b)),
    "macd_signal": ([(2, 15, 1), (16, 40, 1), (2, 12, 1)], PRICE, lambda c, *p: macd_signal(tall(c), *p)),
    "macd_histogram": ([(2, 15, 1), (16, 40, 1), (2, 12, 1)], PRICE, lambda c, a, b, s: minus(
        macd(tall(c), a, b), macd_signal(tall(c), a, b, s))),
    "bollinger_upper": ([P, M], PRICE, lambda c, n, k: both(lambda m, h: m + h, *bands(tall(c), n, k))),
    "bollinger_middle": ([P, M], PRICE, lambda c, n, k: sma(tall(c), n)),
    "bollinger_lower": ([P, M], PRICE, lambda c, n, k: both(lambda m, h: m - h, *bands(tall(c), n, k))),
    "bollinger_width": ([P, M], ONE, lambda c, n, k: both(lambda m, h: 2 * h / m, *bands(tall(c), n, k))),
    "bollinger_percent_b": ([P, M], ONE, lambda c, n, k: both(
        lambda v, m, h: (v - m + h) / (2 * h) if h else Decimal("0.5"), tall(c), *bands(tall(c), n, k))),
    "atr": ([P], PRICE, lambda c, n: wilder(true_ranges(c), n)),
    "natr": ([P], PERCENT, lambda c, n: both(lambda a, v: 100 * a / v, wilder(true_ranges(c), n), tall(c))),
    "adx": ([P], PERCENT, adx),
    "plus_di": ([P], PERCENT, lambda c, n: directional(c, n)[0]),
    "minus_di": ([P], PERCENT, lambda c, n: directional(c, n)[1]),
    "stochastic_k": ([P, (1, 9, 1)], PERCENT, lambda c, n, s: sma(fast_k(c, n), s)),
    "stochastic_d": ([P, (1, 9, 1), (1, 9, 1)], PERCENT, lambda c, n, s, d: sma(sma(fast_k(c, n), s), d)),
    "cci": ([P], PERCENT, cci),
    "mfi": ([P], PERCENT, mfi),
    "obv": ([], VOLUME, obv),
    "williams_r": ([P], PERCENT, lambda c, n: [None if k is None else k - 100 for k in fast_k(c, n)]),
    "roc": ([(1, 40, 1)], PERCENT, lambda c, n: [None] * min(n, len(c)) + [
        100 * (now / then - 1) for then, now in zip(tall(c), tall(c)[n:])]),
    "donchian_upper": ([P], PRICE, lambda c, n: delayed(windows(dec(c.highs), n, max), 1)),
    "donchian_middle": ([P], PRICE, lambda c, n: delayed(middles(c, n), 1)),
    "donchian_lower": ([P], PRICE, lambda c, n: delayed(windows(dec(c.lows), n, min), 1)),
    "keltner_upper": ([P, P, M], PRICE, lambda c, n, a, k: minus(ema(tall(c), n), wilder(true_ranges(c), a), -k)),
    "keltner_middle": ([P, P, M], PRICE, lambda c, n, a, k: ema(tall(c), n)),
    "keltner_lower": ([P, P, M], PRICE, lambda c, n, a, k: minus(ema(tall(c), n), wilder(true_ranges(c), a), k)),
    "supertrend": ([P, M], PRICE, lambda c, n, k: supertrend(c, n, k)[0]),
    "supertrend_direction": ([P, M], ONE, lambda c, n, k: supertrend(c, n, k)[1]),
    "ichimoku_conversion": ([P], PRICE, middles),
    "ichimoku_base": ([P], PRICE, middles),
    "ichimoku_span_a": ([P, P, (1, 30, 1)], PRICE, lambda c, a, b, d: delayed(
        both(lambda x, y: (x + y) / 2, middles(c, a), middles(c, b)), d)),
    "ichimoku_span_b": ([P, (1, 30, 1)], PRICE, lambda c, n, d: delayed(middles(c, n), d)),
    "ichimoku_lagging": ([(1, 30, 1)], PRICE, lambda c, d: delayed(tall(c), d)),
    "swing_resistance": ([(1, 8, 1)], PRICE, lambda c, s: swing(c.highs, s, 1)),
    "swing_support": ([(1, 8, 1)], PRICE, lambda c, s: swing(c.lows, s, -1)),
    "bullish_order_block_high": ([(3, 30, 1), M], PRICE, lambda c, n, k: order_block(c, n, k, True, True)),
    "bullish_order_block_low": ([(3, 30, 1), M], PRICE, lambda c, n, k: order_block(c, n, k, True, False)),
    "bearish_order_block_high": ([(3, 30, 1), M], PRICE, lambda c, n, k: order_block(c, n, k, False, True)),
    "bearish_order_block_low": ([(3, 30, 1), M], PRICE, lambda c, n, k: order_block(c, n, k, False, False)),
    "wyckoff_spring": ([(5, 30, 1)], ONE, lambda c, n: wyckoff(c, n, True)),
    "wyckoff_upthrust": ([(5, 30, 1)], ONE, lambda c, n: wyckoff(c, n, False)),
    "parabolic_sar": ([(0.005, 0.1, 0.005), (0.05, 0.5, 0.05)], PRICE, parabolic_sar),
    "linreg_slope": ([P], PRICE, lambda c, n: slope(tall(c), n)),
    "standard_deviation": ([P], PRICE, lambda c, n: windows(tall(c), n, deviation)),
    "realized_volatility": ([P], ONE, volatilities),
    "volatility_percentile": ([P, (20, 60, 1)], ONE, lambda c, n, k: windows(volatilities(c, n), k, percentile)),
    "volume_zscore": ([(3, 40, 1)], ONE, lambda c, n: score(dec(c.volumes), n)),
    "volume_sma": ([P], VOLUME, lambda c, n: sma(dec(c.volumes), n)),
    "choppiness": ([P], PERCENT, choppiness),
    "regime": ([P], ONE, regime),
    "hour_of_day": ([], ONE, lambda c: hour(c, lambda h: h % 24)),
    "day_of_week": ([], ONE, lambda c: hour(c, lambda h: (h // 24 + 3) % 7)),
}


def later(values):
    return numpy.concatenate([[numpy.nan], values[:-1]])


# TA-Lib's name for it. Prices are given to it in ticks, in which sums are exact.
TA_LIB = {
    "sma": lambda o, n: talib.SMA(o["c"], n),
    "ema": lambda o, n: talib.EMA(o["c"], n),
    "wma": lambda o, n: talib.WMA(o["c"], n),
    "rsi": lambda o, n: talib.RSI(o["c"], n),
    "macd_histogram": lambda o, a, b, s: talib.MACD(o["c"], a, b, s)[2],
    "macd_signal": lambda o, a, b, s: talib.MACD(o["c"], a, b, s)[1],
    "bollinger_upper": lambda o, n, k: talib.BBANDS(o["c"], n, k, k)[0],
    "bollinger_lower": lambda o, n, k: talib.BBANDS(o["c"], n, k, k)[2],
    "standard_deviation": lambda o, n: talib.STDDEV(o["c"], n),
    "atr": lambda o, n: talib.ATR(o["h"], o["l"], o["c"], n),
    "natr": lambda o, n: talib.NATR(o["h"], o["l"], o["c"], n),
    "adx": lambda o, n: talib.ADX(o["h"], o["l"], o["c"], n),
    "plus_di": lambda o, n: talib.PLUS_DI(o["h"], o["l"], o["c"], n),
    "minus_di": lambda o, n: talib.MINUS_DI(o["h"], o["l"], o["c"], n),
    "stochastic_d": lambda o, n, s, d: talib.STOCH(o["h"], o["l"], o["c"], n, s, 0, d, 0)[1],
    "cci": lambda o, n: talib.CCI(o["h"], o["l"], o["c"], n),
    "mfi": lambda o, n: talib.MFI(o["h"], o["l"], o["c"], o["v"], n),
    "obv": lambda o: talib.OBV(o["c"], o["v"]),
    "williams_r": lambda o, n: talib.WILLR(o["h"], o["l"], o["c"], n),
    "roc": lambda o, n: talib.ROC(o["c"], n),
    "donchian_upper": lambda o, n: later(talib.MAX(o["h"], n)),
    "donchian_lower": lambda o, n: later(talib.MIN(o["l"], n)),
    "linreg_slope": lambda o, n: talib.LINEARREG_SLOPE(o["c"], n),
    "parabolic_sar": lambda o, a, m: talib.SAR(o["h"], o["l"], a, m),
}


def scale(unit):
    return TICK if unit in (PRICE, VOLUME) else 1


def plain(name, candles, params):
    """By the definition, in the units of the program."""
    _, unit, function = SERIES[name]
    given = [Decimal(str(p)) if isinstance(p, float) else p for p in params]
    return [None if v is None else v / scale(unit) for v in function(candles, *given)]


def of_ta_lib(name, candles, params):
    """TA-Lib's, undefined where it says nothing; or `None` where it lacks the series."""
    if name not in TA_LIB or 1 in params[:1]:
        return None
    names = zip("hlcv", [candles.highs, candles.lows, candles.closes, candles.volumes])
    out = TA_LIB[name]({key: numpy.array(v, dtype=float) for key, v in names}, *params)
    return [None if numpy.isnan(v) else float(v) / scale(SERIES[name][1]) for v in out]
