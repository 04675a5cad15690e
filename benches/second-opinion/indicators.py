"""Series of the language: the program's columns beside plain decimals and TA-Lib."""

import math
import random
import struct
import subprocess
from decimal import Decimal

import markets
import series


class Columns:
    """The example `columns` of the engine, asked over a pipe."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def give(self, candles):
        lines = [f"candles 15m {len(candles)}"]
        lines += [" ".join([str(t), *map(markets.decimal, numbers)]) for t, *numbers in candles.rows()]
        self.process.stdin.write("\n".join(lines) + "\n")

    def ask(self, text):
        self.process.stdin.write(f"series {text}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        return [None if v == "-" else struct.unpack(">d", bytes.fromhex(v))[0] for v in answer]

    def end(self):
        self.process.stdin.close()
        if self.process.wait():
            raise SystemExit("the example `columns` failed")


def parameters(rng, name):
    chosen = [rng.randrange(round((most - least) / step) + 1) * step + least for least, most, step in
              series.SERIES[name][0]]
    # On the grid, as people write it.
    return [round(v, 3) if isinstance(step, float) else v for v, (_, _, step) in zip(chosen, series.SERIES[name][0])]


def projected(values, higher, base):
    """A series of a longer interval: at each close the last value that was known by then."""
    out, known = [], 0
    for i in range(len(base)):
        while known < len(higher) and higher.close_ms(known) <= base.close_ms(i):
            known += 1
        out.append(values[known - 1] if known else None)
    return out


def unit(name, candles):
    """What differences are measured against, beside the value itself."""
    kind = series.SERIES[name][1]
    if kind == series.PRICE:
        return max(candles.highs) / markets.TICK
    if kind == series.VOLUME:
        return max(1, sum(candles.volumes)) / markets.TICK
    return 100.0 if kind == series.PERCENT else 1.0


def difference(ours, theirs, size):
    """The worst one, as a share; infinite where only one side is defined."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if (a is None) != (b is None):
            return math.inf
        if a is not None:
            worst = max(worst, float(abs(Decimal(a) - Decimal(b))) / max(abs(float(b)), size))
    return worst


def compare(tally, columns, rng, kind, hostile):
    """One case: one series over fresh candles."""
    name = rng.choice(list(series.SERIES))
    count = rng.randrange(60, 260)
    candles = markets.hostile(rng, hostile, count) if hostile else markets.walk(rng, count)
    params, higher = parameters(rng, name), rng.random() < 0.15
    text = name + (f"({', '.join(map(str, params))})" if params else "") + ("@1h" if higher else "")
    columns.give(candles)
    ours = columns.ask(text)
    looked_at = candles.resampled(4 * candles.step_ms) if higher else candles
    theirs = series.plain(name, looked_at, params) if len(looked_at) else []
    size = unit(name, candles)
    worst = difference(ours, projected(theirs, looked_at, candles) if higher else theirs, size)
    # What is divided by a deviation or a range keeps as many digits as that has of the price.
    limit = 1e-12 if series.SERIES[name][1] in (series.PRICE, series.VOLUME) else 1e-8
    tally.add(kind, worst, limit, f"{text} over {len(candles)} {hostile or 'random'} candles")
    if not hostile and not higher:
        reference = series.of_ta_lib(name, candles, params)
        if reference is not None:
            # TA-Lib tells some series later than they are known, and keeps sums of squares.
            known = [(a, b) for a, b in zip(ours, reference) if b is not None]
            if known:
                tally.also("TA-Lib", difference(*zip(*known), size), 1e-9, text)


def run(tally, program, seed, count, hostile_count):
    columns = Columns(program)
    for hostile in (False, True):
        kind = "indicators, hostile" if hostile else "indicators, random"
        for number in range(hostile_count if hostile else count):
            rng = random.Random(f"{seed} {kind} {number}")
            flavour = markets.HOSTILE[number % len(markets.HOSTILE)] if hostile else None
            compare(tally, columns, rng, kind, flavour)
    columns.end()
