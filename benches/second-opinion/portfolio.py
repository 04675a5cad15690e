"""A plain second implementation of strategies that rank the market, from the definitions alone.

Reads Binance's dump archives and an instrument table, and computes equity and targets with loops over dicts: no
library, no incremental sums, nothing shared with the program. Slow on purpose.

    python3 portfolio.py DUMPS TABLE --market spot --interval-hours 4 --from 2019-01-01 --to 2023-01-01 \
        --score near_high:540 --weights linear --vol 180 --smooth 5 --fee 0.001 --equity E.csv --targets W.csv

With `synthetic` in place of DUMPS it makes the market of the golden test in src/portfolio/tests/. Then `--compare-equity` and `--compare-weights` take the files that `sg-ai backtest --equity --weights` wrote and end
with exit code 1 where a value differs by more than 1e-9.
"""

import argparse
import csv
import io
import itertools
import math
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

DAY = 86_400_000


def ms(date):
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp() * 1000)


def read_csv(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def rows_of(folder):
    """Lines of all archives in a folder, headers left out, in order of time, the first line of a time counting."""
    seen = {}
    for archive in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(archive) as z:
            for line in io.TextIOWrapper(z.open(z.namelist()[0])):
                cells = line.strip().split(",")
                if cells[0].isdigit():
                    seen.setdefault(int(cells[0]), cells)
    return [seen[t] for t in sorted(seen)]


class Instrument:
    def __init__(self, name, excluded):
        self.name, self.excluded = name, excluded
        self.time, self.open, self.high, self.low, self.close, self.volume, self.quote = [], [], [], [], [], [], []
        self.at = {}  # close time -> index
        self.starts = {}  # open time -> index
        self.funding = []
        self.next_opens = None

    def add(self, cells, step):
        t = int(cells[0])
        o, h, low, c, v = (float(x) for x in cells[1:6])
        quote = float(cells[7])
        self.at[t + step] = self.starts[t] = len(self.time)
        self.time.append(t)
        self.open.append(o)
        self.high.append(h)
        self.low.append(low)
        self.close.append(c)
        self.volume.append(v)
        self.quote.append(quote if quote != 0 else v * c)


def read_market(dumps, table, market, hours, end):
    step = hours * 3_600_000
    cuts, excluded, stars = {}, {}, []
    for row in read_csv(table):
        ticker = row["ticker"]
        if row["kind"] == "cut":
            cuts.setdefault(ticker, []).append(ms(row["first_candle_of_the_new"]))
        elif ticker.startswith("*"):
            stars.append((ticker[1:], row["reason"]))
        else:
            excluded[ticker] = row["reason"]
    root = Path(dumps) / market
    folders = sorted((root / f"{hours}h").iterdir())
    listed = {f.name for f in folders}
    instruments = []
    for folder in folders:
        ticker = folder.name
        reason = excluded.get(ticker)
        for ending, why in stars:
            if ticker.endswith(ending) and len(ticker) > len(ending) and ticker[: -len(ending)] + "USDT" in listed:
                reason = reason or why
        rows = [r for r in rows_of(folder) if int(r[0]) + step <= end]
        if not rows:
            continue
        borders = [-math.inf, *sorted(cuts.get(ticker, [])), math.inf]
        parts = [
            (i + 1, [r for r in rows if borders[i] <= int(r[0]) < borders[i + 1]]) for i in range(len(borders) - 1)
        ]
        parts = [(number, part) for number, part in parts if part]
        funding_folder = root / "fundingRate" / ticker
        funding = [(int(r[0]), float(r[2])) for r in rows_of(funding_folder)] if funding_folder.is_dir() else []
        made = []
        for number, part in parts:
            instrument = Instrument(ticker if len(parts) == 1 else f"{ticker}#{number}", reason)
            for cells in part:
                instrument.add(cells, step)
            instrument.funding = funding
            made.append(instrument)
        for one, following in itertools.pairwise(made):
            one.next_opens = following.time[0]
        instruments += made
    instruments.sort(key=lambda i: i.name.encode())
    return instruments, step


def synthetic_market(hours, end):
    """A market of whole numbers of a linear congruential generator, which any language can make again: nine tickers from
    1970-01-01 on, holes, a late listing, a death, a cut of C3USDT at day 150, and C5USDT excluded."""
    step = hours * 3_600_000
    state = 42

    def uniform():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 11) / 2**53

    instruments = []
    for number in range(9):
        name = f"C{number}USDT"
        price = 10.0 * (number + 1)
        first, last = (400 if number == 7 else 0), (1200 if number == 8 else 1560)
        rows = []
        for slot in range(1560):
            o = price
            c = o * (1 + (uniform() - 0.5) * 0.06)
            h = max(o, c) * (1 + uniform() * 0.01)
            low = min(o, c) * (1 - uniform() * 0.01)
            v = 1000.0 * uniform() / c
            missing = uniform() < 0.01
            price = c
            if first <= slot < last and not missing and (slot + 1) * step <= end:
                rows.append([slot * step, o, h, low, c, v, 0, 0])
        border = 150 * DAY if number == 3 else math.inf
        parts = [[r for r in rows if r[0] < border], [r for r in rows if r[0] >= border]]
        parts = [p for p in parts if p]
        made = []
        for part, rows in enumerate(parts):
            instrument = Instrument(name if len(parts) == 1 else f"{name}#{part + 1}", "test" if number == 5 else None)
            for cells in rows:
                instrument.add(cells, step)
            made.append(instrument)
        for one, following in itertools.pairwise(made):
            one.next_opens = following.time[0]
        instruments += made
    instruments.sort(key=lambda i: i.name.encode())
    return instruments, step


def members_at(instruments, t, top, days, listed):
    """Members of `top N by quote_volume(days), listed`."""
    able = []
    for i in instruments:
        if i.excluded or t not in i.at or i.time[0] > t - listed * DAY:
            continue
        last = i.at[t]
        total, k = [], last
        step = t - i.time[last]
        while k >= 0 and i.time[k] + step > t - days * DAY:
            total.append(i.quote[k])
            k -= 1
        able.append((-math.fsum(total), i.name.encode(), i))
    able.sort(key=lambda a: a[:2])
    return sorted((a[2] for a in able[:top]), key=lambda i: i.name.encode())


def volatility(i, k, n):
    if k < n:
        return None
    return math.sqrt(math.fsum(math.log(i.close[j] / i.close[j - 1]) ** 2 for j in range(k - n + 1, k + 1)) / n)


def score_of(kind, n, i, k):
    if kind == "near_high":
        return i.close[k] / max(i.high[k - n + 1 : k + 1]) if k + 1 >= n else None
    if kind == "momentum":  # close / delay(close, n) - 1
        return i.close[k] / i.close[k - n] - 1 if k >= n else None
    if kind == "low_vol":  # -realized_volatility(n)
        v = volatility(i, k, n)
        return None if v is None else -v
    if kind == "reversal_z":  # (mean(close, n) - close) / deviation(close, n)
        if k + 1 < n:
            return None
        x = i.close[k - n + 1 : k + 1]
        mean = math.fsum(x) / n
        deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in x) / n)
        return (mean - i.close[k]) / deviation if deviation > 0 else None
    raise SystemExit(f"no score {kind}")


def ranks(values):
    order = sorted(values)
    out = []
    for v in values:
        first = order.index(v)
        last = len(order) - 1 - order[::-1].index(v)
        out.append((first + last) / 2 / (len(values) - 1))
    return out


def scale(x, leg):
    up, down = math.fsum(v for v in x if v > 0), -math.fsum(v for v in x if v < 0)
    return [v / up * leg if v > 0 else (v / down * leg if v < 0 else 0.0) for v in x]


def cap(x, c):
    x = list(x)
    for sign in (1, -1):
        fixed = set()
        while True:
            over = [k for k, v in enumerate(x) if sign * v > c]
            if not over:
                break
            excess = sum(sign * x[k] - c for k in over)
            fixed |= set(over)
            for k in over:
                x[k] = sign * c
            rest = [k for k, v in enumerate(x) if sign * v > 0 and k not in fixed]
            total = sum(sign * x[k] for k in rest)
            if not rest:
                break
            for k in rest:
                x[k] += x[k] / total * excess
    return x


def slope_on_market(members, t, n):
    """Slope of each member's last n returns on the members' mean return in the same slots."""
    by_time = {}
    for i in members:
        for k in range(1, i.at[t] + 1):
            by_time.setdefault(i.time[k], []).append(i.close[k] / i.close[k - 1] - 1)
    out = []
    for i in members:
        k = i.at[t]
        if k < n:
            out.append(None)
            continue
        y = [i.close[j] / i.close[j - 1] - 1 for j in range(k - n + 1, k + 1)]
        x = [math.fsum(by_time[i.time[j]]) / len(by_time[i.time[j]]) for j in range(k - n + 1, k + 1)]
        mx, my = math.fsum(x) / n, math.fsum(y) / n
        square = math.fsum((a - mx) ** 2 for a in x)
        out.append(math.fsum((a - mx) * (b - my) for a, b in zip(x, y)) / square if square > 0 else None)
    return out


def weights_at(args, members, t):
    kind, n = args.score.split(":")
    ranked = []
    for i in members:
        k = i.at[t]
        s = score_of(kind, int(n), i, k)
        v = volatility(i, k, args.vol) if args.vol else 1.0
        if s is not None and v:
            ranked.append((i, s, v))
    if len(ranked) < 2:
        return {i.name: 0.0 for i, _, _ in ranked}
    scores = [s for _, s, _ in ranked]
    if args.weights == "linear":
        x = [r - 0.5 for r in ranks(scores)]
    else:
        top, bottom = (None if p == "-" else float(p) for p in args.weights.split(","))
        order = sorted(range(len(ranked)), key=lambda k: (-scores[k], ranked[k][0].name.encode()))
        x = [0.0] * len(ranked)
        for k in order[: max(1, int(top * len(ranked) / 100))]:
            x[k] = 1.0
        if bottom is not None:
            for k in order[len(order) - max(1, int(bottom * len(ranked) / 100)) :]:
                x[k] = -1.0
    x = [v / vol for v, (_, _, vol) in zip(x, ranked)]
    if args.weights == "linear" and not args.long_only:
        mean = math.fsum(x) / len(x)
        x = [v - mean for v in x]

    def scaled(x):
        if args.long_only:
            return scale([max(v, 0.0) for v in x], args.gross)
        return scale(x, args.gross / 2)

    x = scaled(x)
    if args.cap:
        x = cap(x, args.cap)
    if args.beta:
        b = slope_on_market([i for i, _, _ in ranked], t, args.beta)
        held = [k for k, v in enumerate(x) if v != 0 and b[k] is not None]
        wb, bb = math.fsum(x[k] * b[k] for k in held), math.fsum(b[k] ** 2 for k in held)
        if bb > 0:
            for k in held:
                x[k] -= b[k] * wb / bb
        x = scaled(x)
    return {i.name: v for (i, _, _), v in zip(ranked, x)}


def run(args, instruments, step):
    by_name = {i.name: i for i in instruments}
    begin, end = ms(args.begin), ms(args.end)
    cache_end = max(i.time[-1] for i in instruments) + step
    cash, units, history, orders = 1.0, {}, [], {}
    last = {}  # name -> index of the last candle that closed
    for i in instruments:
        before = [k for k, t in enumerate(i.time) if t + step <= begin]
        if before:
            last[i.name] = before[-1]
    equity_rows, target_rows, turnover = [], [], 0.0
    t_open = -(-begin // step) * step
    while t_open < end:
        t = t_open + step
        for name, (want, equity_then) in orders.items():  # fills at the open
            i = by_name[name]
            if t_open not in i.starts:
                continue
            price = i.open[i.starts[t_open]]
            change = want - units.get(name, 0.0)
            value = abs(change) * price
            cash -= change * price + value * (args.fee + args.slippage_bps / 1e4)
            turnover += value / equity_then
            units[name] = want
            if want == 0:
                del units[name]
        orders = {}
        for i in instruments:
            if t in i.at:
                last[i.name] = i.at[t]
        for name in sorted(units, key=str.encode):  # funding
            i = by_name[name]
            for f, rate in i.funding:
                if t_open < f <= t:
                    k = max(k for k in range(max(0, last[name] - 1), last[name] + 1) if i.time[k] + step <= f)
                    cash -= units[name] * rate * i.close[k]
        for name in list(units):  # ends
            i = by_name[name]
            if t in i.at:
                continue
            followed = i.next_opens is not None and i.next_opens < t
            gone = t - (i.time[last[name]] + step) >= 7 * DAY and t <= cache_end
            if followed or gone:
                value = units.pop(name) * i.close[last[name]]
                cash += value - abs(value) * args.delisting
        equity = cash + math.fsum(u * by_name[n].close[last[n]] for n, u in units.items())
        equity_rows.append((t, equity))
        if t % DAY == 0 and begin < t < end:
            members = members_at(instruments, t, args.top, args.volume_days, args.listed)
            history.append(weights_at(args, members, t))
            history = history[-args.smooth :]
            names = {n for w in history for n in w}
            targets = {n: math.fsum(w.get(n, 0.0) for w in history) / len(history) for n in names}
            targets = {n: w for n, w in targets.items() if w != 0}
            target_rows += [(t, n, targets[n]) for n in sorted(targets, key=str.encode)]
            for n in set(targets) | set(units):
                price = by_name[n].close[last[n]]
                target = targets.get(n, 0.0)
                share = units.get(n, 0.0) * price / equity
                if args.band and target != 0 and abs(target - share) < args.band:
                    continue
                if target * equity / price != units.get(n, 0.0):
                    orders[n] = (target * equity / price, equity)
        t_open = t
    return equity_rows, target_rows, turnover / ((end - begin) / DAY)


def compare(name, mine, path, keys):
    theirs = {}
    for row in read_csv(path):
        values = list(row.values())
        theirs[tuple(values[:keys])] = float(values[keys])
    ours = {tuple(str(v) for v in row[:keys]): row[keys] for row in mine}
    worst = max((abs(ours[k] - theirs[k]) for k in ours.keys() & theirs.keys()), default=0.0)
    missing = len(ours.keys() ^ theirs.keys())
    print(f"{name}: {len(ours)} values, worst difference {worst:.2e}, {missing} on one side alone")
    return worst <= 1e-9 and missing == 0


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("dumps", help="folder of dump archives; or synthetic, for the market of the golden test")
    p.add_argument("table", help="instrument table; not looked at with synthetic")
    p.add_argument("--market", default="spot")
    p.add_argument("--interval-hours", type=int, default=4)
    p.add_argument("--from", dest="begin", required=True)
    p.add_argument("--to", dest="end", required=True)
    p.add_argument("--top", type=int, default=30)
    p.add_argument("--volume-days", type=int, default=30)
    p.add_argument("--listed", type=int, default=60)
    p.add_argument("--score", default="near_high:540")
    p.add_argument("--weights", default="linear", help="linear, or shares such as 20,20 (20,- without a bottom)")
    p.add_argument("--vol", type=int, default=0)
    p.add_argument("--long-only", action="store_true")
    p.add_argument("--cap", type=float, default=0)
    p.add_argument("--beta", type=int, default=0)
    p.add_argument("--smooth", type=int, default=1)
    p.add_argument("--band", type=float, default=0)
    p.add_argument("--gross", type=float, default=1)
    p.add_argument("--fee", type=float, default=0.001)
    p.add_argument("--slippage-bps", type=float, default=0)
    p.add_argument("--delisting", type=float, default=0.01)
    p.add_argument("--equity")
    p.add_argument("--targets")
    p.add_argument("--compare-equity")
    p.add_argument("--compare-weights")
    args = p.parse_args()
    if args.dumps == "synthetic":
        instruments, step = synthetic_market(args.interval_hours, ms(args.end))
    else:
        instruments, step = read_market(args.dumps, args.table, args.market, args.interval_hours, ms(args.end))
    equity, targets, turnover = run(args, instruments, step)
    print(f"equity {equity[-1][1]!r} after {len(equity)} slots, turnover {turnover:.6f} a day")
    if args.equity:
        Path(args.equity).write_text("time_ms,equity\n" + "".join(f"{t},{e!r}\n" for t, e in equity))
    if args.targets:
        Path(args.targets).write_text("time_ms,instrument,target\n" + "".join(f"{t},{n},{w!r}\n" for t, n, w in targets))
    ok = True
    if args.compare_equity:
        ok &= compare("equity", equity, args.compare_equity, 1)
    if args.compare_weights:
        ok &= compare("weights", targets, args.compare_weights, 2)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
