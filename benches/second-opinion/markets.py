"""Candles for the second opinion: random ones, and ones made to hurt.

Prices and volumes are whole numbers of 1e-8, so that a sum, a difference or a tie is that of the decimals. What a
program is given is the nearest binary number, which dividing by 1e8 gives.
"""

TICK = 10**8
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
# 2024-03-01T00:00:00Z
START_MS = 1_709_251_200_000

# On no exchange is a tick less than about a ten-millionth of the price, and here it is not either.
HOSTILE = [
    "ties", "constant", "low-priced", "no volume", "gaps", "one candle", "few candles", "huge", "jumps", "partial days",
]


class Candles:
    """Open times in ms, and whole ticks: open, high, low, close, volume."""

    def __init__(self, step_ms, rows):
        self.step_ms = step_ms
        self.times = [row[0] for row in rows]
        self.opens, self.highs, self.lows, self.closes, self.volumes = (
            [row[i] for row in rows] for i in range(1, 6)
        )

    def __len__(self):
        return len(self.times)

    def rows(self):
        return list(zip(self.times, self.opens, self.highs, self.lows, self.closes, self.volumes))

    def close_ms(self, i):
        return self.times[i] + self.step_ms - 1

    def resampled(self, step_ms):
        """Closed candles of a longer interval, made of what there is of these; none begins before these do."""
        buckets = {}
        for row in self.rows():
            buckets.setdefault(row[0] // step_ms * step_ms, []).append(row)
        rows = []
        for begin, inside in buckets.items():
            begins_inside = begin == self.times[0] // step_ms * step_ms and self.times[0] != begin
            ended = self.times[-1] + self.step_ms >= begin + step_ms
            if ended and not begins_inside:
                opens, closes = inside[0][1], inside[-1][4]
                high, low = max(r[2] for r in inside), min(r[3] for r in inside)
                rows.append((begin, opens, high, low, closes, sum(r[5] for r in inside)))
        return Candles(step_ms, rows)


def decimal(ticks):
    """As the exchange writes it: all eight places."""
    return f"{ticks // TICK}.{ticks % TICK:08d}"


def walk(rng, count, step_ms=15 * MINUTE_MS, start_ms=START_MS, price=None, tick=None, swing=0.004):
    """A random walk on a grid of `tick`."""
    price = price or int(10 ** rng.uniform(4, 12.7))
    tick = tick or max(1, 10 ** (len(str(price)) - 6))
    price = max(tick, price // tick * tick)
    rows, now = [], price
    for i in range(count):
        opens = max(tick, now + round(rng.gauss(0, swing * price * 0.1) / tick) * tick)
        path = [opens]
        for _ in range(4):
            path.append(max(tick, path[-1] + round(rng.gauss(0, swing * now * 0.5) / tick) * tick))
        volume = int(10 ** rng.uniform(8, 13))
        rows.append((start_ms + i * step_ms, opens, max(path), min(path), path[-1], volume))
        now = path[-1]
    return Candles(step_ms, rows)


def hostile(rng, kind, count, step_ms=15 * MINUTE_MS, start_ms=START_MS):
    """Candles of a kind of [`HOSTILE`]."""
    if kind == "ties":
        # Three prices, so that highs, lows and closes are equal again and again.
        price, tick = rng.choice([(1203, 1), (30_001, 1), (6_000_012_000_000, 10**6)])
        return walk(rng, count, step_ms, start_ms, price, tick, swing=rng.choice([2, 0.5]) * tick / price)
    if kind == "constant":
        price = rng.choice([1, 1003, 10_000_000, 3_333_333_333_333])
        rows = [(start_ms + i * step_ms, price, price, price, price, rng.choice([0, TICK])) for i in range(count)]
        at = rng.randrange(count)
        if rng.random() < 0.5:
            rows[at] = (rows[at][0], price, price + max(1, price // 10**7), price, price, TICK)
        return Candles(step_ms, rows)
    if kind == "low-priced":
        return walk(rng, count, step_ms, start_ms, price=rng.randrange(600, 1500), tick=1, swing=0.004)
    if kind == "huge":
        return walk(rng, count, step_ms, start_ms, price=rng.choice([10**15, 2 * 10**15]), tick=TICK, swing=0.01)
    if kind == "jumps":
        first = walk(rng, count, step_ms, start_ms, price=5 * 10**9, tick=10**4)
        rows = [(t, *(p * (100 if i >= count // 2 else 1) for p in prices), v)
                for i, (t, *prices, v) in enumerate(first.rows())]
        return Candles(step_ms, rows)
    if kind == "one candle":
        return walk(rng, 1, step_ms, start_ms)
    if kind == "few candles":
        return walk(rng, rng.randrange(2, 30), step_ms, start_ms)
    if kind == "partial days":
        return walk(rng, count, step_ms, start_ms + rng.randrange(1, DAY_MS // step_ms) * step_ms)
    whole = walk(rng, count, step_ms, start_ms)
    if kind == "no volume":
        return Candles(step_ms, [(*row[:5], row[5] if rng.random() < 0.1 else 0) for row in whole.rows()])
    # Gaps: single candles, and a stretch.
    begin = rng.randrange(count)
    end = begin + rng.randrange(1, count // 3)
    kept = [row for i, row in enumerate(whole.rows()) if not begin <= i < end and rng.random() > 0.03]
    return Candles(step_ms, kept or whole.rows()[:1])
