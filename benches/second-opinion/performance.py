"""Statistics of a backtest and funding, from what `sg-ai backtest --json --trades` prints and the candles that it was
given: equity is put together again from trades and closes, in floating point for random cases, in exact fractions for
hostile ones; each statistic follows from section 3 of the definitions. Which trades there are is not questioned here.
"""

import bisect
import csv
import itertools
import json
import math
import os
import random
import subprocess
from decimal import Decimal
from fractions import Fraction

import archives
import markets
import numpy
import pyarrow
import pyarrow.parquet
from markets import DAY_MS, START_MS, TICK

HOUR_MS = 3_600_000
CAPITAL = 10_000
TOGETHER = 9
# Keys compared as they are; the rest of the report are sums and counts.
STATISTICS = [
    "total_return", "total_return_pct", "cagr", "sharpe_ratio", "sortino_ratio", "max_drawdown", "calmar_ratio",
    "profit_factor", "win_rate", "total_trades", "end_of_window_trades", "avg_trade_duration_hours", "expectancy",
    "sqn", "exposure", "t_statistic", "days", "fees", "slippage", "funding",
]


def call(program, folder, *args, fails=False):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SG") and k != "DATABASE_URL"}
    env |= {"SG__ENGINE__INITIAL_CAPITAL": str(CAPITAL), "HOME": str(folder)}
    done = subprocess.run([program, *args, "--data-dir", str(folder / "data")], env=env, cwd=folder, text=True,
                          capture_output=True, check=False)
    if done.returncode and not fails:
        raise SystemExit(f"{' '.join(map(str, args))}: {done.stderr}")
    return done.stdout


def rule(rng):
    n = rng.randrange(3, 40)
    return rng.choice([
        f"close > sma({n})", f"close < sma({n})", f"rsi({n}) < {rng.randrange(30, 60)}",
        f"rsi({n}) > {rng.randrange(40, 70)}", f"close crosses above ema({n})", f"close crosses below ema({n})",
        f"hour_of_day < {rng.randrange(1, 23)}", f"close > donchian_upper({n})", f"roc({n}) > 0",
    ])


def strategy(rng):
    """A strategy of any kind but those that take profit in parts, whose trades do not tell when."""
    sides = rng.choice([["long"], ["short"], ["long", "short"]])
    risk = {"size_fraction": round(rng.uniform(0.1, rng.choice([1.0, 3.0])), 2)}
    if risk["size_fraction"] > 1:
        risk["leverage"] = 3
    for key, most in (("stop_loss", 6), ("take_profit", 8), ("trailing_stop", 5)):
        if rng.random() < 0.4:
            risk[key] = f"{round(rng.uniform(0.3, most), 2)}%"
    if rng.random() < 0.3:
        risk["time_exit_bars"] = rng.randrange(1, 60)
    written = {"timeframe": rng.choice(["1h", "1h", "4h"]), "risk": risk}
    for side in sides:
        written[side] = {"entry": rule(rng)} | ({"exit": rule(rng)} if rng.random() < 0.7 else {})
    return written


def next_midnight(time_ms):
    return (time_ms // DAY_MS + 1) * DAY_MS


class Window:
    """What a backtest looks at: candles of the strategy's timeframe, and days."""

    def __init__(self, candles, rates, step_ms, start_ms, end_ms, warm_up_ms):
        loaded = [[r for r in c.rows() if start_ms - warm_up_ms <= r[0] and r[0] + c.step_ms <= end_ms]
                  for c in candles]
        whole = [markets.Candles(c.step_ms, rows) for c, rows in zip(candles, loaded)]
        based = [c if c.step_ms == step_ms else c.resampled(step_ms) for c in whole]
        self.symbols = [markets.Candles(step_ms, [r for r in c.rows() if r[0] >= start_ms]) for c in based]
        self.rates, self.step_ms = rates, step_ms
        times = sorted({t for c in self.symbols for t in c.times})
        # Time without candles at either end is not looked at.
        if times and times[0] > -(-start_ms // step_ms) * step_ms:
            start_ms = times[0]
        if times and times[-1] + 2 * step_ms <= end_ms:
            end_ms = times[-1] + step_ms
        self.marks = [start_ms]
        while self.marks[-1] < end_ms:
            self.marks.append(min(next_midnight(self.marks[-1]), end_ms))
        self.ends = [t + step_ms for t in times]


def funding_of(trade, candles, rates, number):
    """Rate x units x open of the candle that a payment falls into, of those due while the position was held."""
    paid = number(0)
    for time_ms, rate in rates:
        if trade["entry_time_ms"] < time_ms <= trade["exit_time_ms"]:
            paid += payment(trade, candles, time_ms, rate, number)
    return paid


def payment(trade, candles, time_ms, rate, number):
    at = bisect.bisect_right(candles.times, time_ms) - 1
    # In a gap: at the next open.
    at += at < 0 or candles.close_ms(at) < time_ms
    side = 1 if trade["side"] == "long" else -1
    return side * number(rate) * number(trade["quantity"]) * number(candles.opens[at]) / TICK


def equity_of(trades, candles, rates, capital, fee, number):
    """At each close, marked to market; at the last one everything is closed."""
    out, cash, at = [], number(capital), 0
    for i, opens_ms in enumerate(candles.times):
        close_ms = candles.close_ms(i)
        while at < len(trades) and trades[at]["exit_time_ms"] <= close_ms:
            cash += number(trades[at]["profit"])
            at += 1
        worth = cash
        if at < len(trades) and trades[at]["entry_time_ms"] <= opens_ms:
            trade = trades[at]
            side, units, entry = (1 if trade["side"] == "long" else -1), number(trade["quantity"]), number(
                trade["entry_price"])
            worth += side * units * (number(candles.closes[i]) / TICK - entry) - number(fee) * units * entry
            so_far = trade | {"exit_time_ms": close_ms}
            worth -= funding_of(so_far, candles, rates, number)
        # What is left of a ruined sleeve is the rounding of its trades' profits.
        out.append(worth if worth > number(capital) * number(1e-12) else number(0))
    return out


def root(value):
    return float(Decimal(value.numerator) / Decimal(value.denominator)) ** 0.5 if isinstance(value, Fraction) else (
        math.sqrt(value))


def moments(values):
    """Mean and deviation, ddof 1; `None` where there are too few, or no spread but that of rounding."""
    if not values:
        return None, None
    if isinstance(values[0], Fraction):
        # Sixty digits: the fractions themselves would grow without end.
        numbers = [Decimal(v.numerator) / Decimal(v.denominator) for v in values]
        average = sum(numbers) / len(numbers)
        spread = (sum((v - average) ** 2 for v in numbers) / (len(numbers) - 1)).sqrt() if len(numbers) > 1 else None
    else:
        average = numpy.mean(values)
        spread = numpy.std(values, ddof=1) if len(values) > 1 else None
    largest = max(abs(v) for v in values)
    still = spread is None or float(spread) <= 1e-12 * float(largest)
    return float(average), None if still else float(spread)


def statistics(trades, candles, window, curve, capital, number):
    """Section 3, from trades, equity at the ends of `window.ends`, and the candles of the symbols that are meant."""
    at = [bisect.bisect_right(window.ends, mark) for mark in window.marks]
    marked = [curve[k - 1] if k else number(capital) for k in at]
    pairs = [(a, b) for (a, b), (x, y) in zip(itertools.pairwise(marked), itertools.pairwise(window.marks))
             if x % DAY_MS == 0 and y % DAY_MS == 0]
    # Profits are rounded: what is less than a digit of equity is no return.
    returns = [b / a - 1 if a > 0 and abs(b - a) > a * number(2e-16) else number(0) for a, b in pairs]
    total = marked[-1] / marked[0] - 1
    days = (window.marks[-1] - window.marks[0]) / DAY_MS
    cagr = float(total + 1) ** (365 / days) - 1 if len(returns) > 1 else None
    peak, fall = number(capital), number(0)
    for worth in curve:
        peak = max(peak, worth)
        fall = min(fall, worth / peak - 1 if peak - worth > peak * number(2e-16) else number(0))
    profits = [number(t["profit"]) for t in trades]
    won, lost = sum(p for p in profits if p > 0), -sum(p for p in profits if p < 0)
    average, spread = moments(returns)
    below = root(sum(min(r, number(0)) ** 2 for r in returns) / len(returns)) if len(returns) > 1 else 0
    mean_profit, spread_profit = moments(profits)

    def mean(values):
        return float(sum(values) / len(values)) if values else None
    held = sum(sum(t["entry_time_ms"] <= x < t["exit_time_ms"] for x in c.times) for c, own in candles for t in own)
    monthly, begin = [], marked[0]
    for i, mark in enumerate(window.marks[:-1]):
        month = archives.utc(mark).strftime("%Y-%m")
        if not monthly or monthly[-1][0] != month:
            begin = marked[i]
            monthly.append((month, None))
        monthly[-1] = (month, float(marked[i + 1] / begin - 1) if begin > 0 else None)
    return {
        "total_return": float(total), "total_return_pct": 100 * float(total), "cagr": cagr,
        "sharpe_ratio": average / spread * 365 ** 0.5 if spread else None,
        "sortino_ratio": average / below * 365 ** 0.5 if below else None,
        "max_drawdown": float(fall), "calmar_ratio": cagr / abs(float(fall)) if fall and cagr is not None else None,
        "profit_factor": float(won / lost) if lost else None,
        "win_rate": sum(p > 0 for p in profits) / len(profits) if profits else None,
        "total_trades": len(trades), "end_of_window_trades": sum(t["exit_reason"] == "end_of_window" for t in trades),
        "avg_trade_duration_hours": mean([Fraction(t["exit_time_ms"] - t["entry_time_ms"], HOUR_MS) for t in trades]),
        "expectancy": mean([number(t["profit"]) / (number(t["quantity"]) * number(t["entry_price"])) for t in trades]),
        "sqn": len(profits) ** 0.5 * mean_profit / spread_profit if spread_profit else None,
        "exposure": held / sum(len(c) for c, _ in candles),
        "t_statistic": average / spread * len(returns) ** 0.5 if spread else None, "days": len(returns),
        "fees": float(sum(number(t["fees"]) for t in trades)),
        "slippage": float(sum(number(t["slippage"]) for t in trades)),
        "funding": float(sum(number(t["funding"]) for t in trades)),
        "monthly_returns": monthly,
    }


def compare(found, expected):
    """The worst difference, and of what."""
    worst, key = 0.0, ""
    theirs = [(name, found[name], expected[name]) for name in STATISTICS]
    months = [(m["month"], m["return"]) for m in found["monthly_returns"]]
    if [m for m, _ in months] != [m for m, r in expected["monthly_returns"] if r is not None]:
        return math.inf, f"months are {months}, expected {expected['monthly_returns']}"
    theirs += [(a[0], a[1], b[1]) for a, b in zip(months, expected["monthly_returns"])]
    for name, a, b in theirs:
        if (a is None) != (b is None):
            return math.inf, f"{name} is {a}, expected {b}"
        if a is not None and abs(a - b) / max(abs(b), 1) > worst:
            worst, key = abs(a - b) / max(abs(b), 1), f"{name} is {a}, expected {b}"
    return worst, key


def trade_difference(trade, candles, rates, fee, before):
    """A trade against itself, in exact fractions: its fees, its funding, and its profit from its prices. A sleeve loses
    what it had `before` and no more."""
    price = {k: Fraction(trade[k]) for k in ("entry_price", "exit_price", "quantity", "profit", "fees", "funding")}
    side = 1 if trade["side"] == "long" else -1
    notional = price["quantity"] * price["entry_price"]
    fees = Fraction(fee) * price["quantity"] * (price["entry_price"] + price["exit_price"])
    funding = funding_of(trade, candles, rates, Fraction)
    profit = side * price["quantity"] * (price["exit_price"] - price["entry_price"]) - fees - funding
    wrong = [fees - price["fees"], funding - price["funding"], max(profit, -before) - price["profit"]]
    return float(max(map(abs, wrong)) / notional)


def read_trades(path):
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("entry_price", "exit_price", "quantity", "profit", "fees", "slippage", "funding")
    return [row | {k: float(row[k]) for k in numbers} | {k: int(row[k]) for k in ("entry_time_ms", "exit_time_ms")}
            for row in rows]


def rates_of(rng, start_ms, end_ms, hostile):
    """Funding payments: every 8 hours, or with the interval changing; hostile ones come late and leap."""
    out, now, every = [], start_ms, 8
    while now < end_ms:
        late = rng.randrange(15) if hostile or rng.random() < 0.3 else 0
        rate = rng.choice([0.0, 0.0001, -0.0075, 0.03]) if hostile else round(rng.gauss(1e-4, 3e-4), 8)
        out.append((now + late, rate))
        if rng.random() < (0.2 if hostile else 0.02):
            every = rng.choice([1, 2, 4, 8])
        now += every * HOUR_MS
    return out


def keep_rates(folder, symbol, rates):
    schema = pyarrow.schema([pyarrow.field("time_ms", pyarrow.int64(), False),
                             pyarrow.field("rate", pyarrow.float64(), False)])
    for month, rows in archives.months(rates).items():
        path = folder / f"data/candles/um/{symbol}/funding/{month}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pyarrow.table({"time_ms": [r[0] for r in rows], "rate": [r[1] for r in rows]}, schema=schema)
        pyarrow.parquet.write_table(table, path, compression="zstd")


def run(tally, program, folder, seed, kind, count, hostile_count):
    folder = folder / kind
    folder.mkdir()
    for hostile in (False, True):
        name = f"{kind}, {'hostile' if hostile else 'random'}"
        rng, market = random.Random(f"{seed} {name}"), "um" if kind == "funding" else "spot"
        prefix, candles, rates = ("H" if hostile else "R"), {}, {}
        for number in range(20 if hostile else 40):
            symbol, length = f"{prefix}{number}USDT", rng.randrange(300, 1500)
            flavour = markets.HOSTILE[number % len(markets.HOSTILE)]
            candles[symbol] = (markets.hostile(rng, flavour, length, HOUR_MS) if hostile
                               else markets.walk(rng, length, HOUR_MS, START_MS, swing=0.01))
            archives.store(folder / f"archives-{prefix}", market, symbol, "1h", candles[symbol])
            end_ms = candles[symbol].times[-1] + HOUR_MS
            rates[symbol] = rates_of(rng, START_MS, end_ms, hostile) if kind == "funding" else []
            keep_rates(folder, symbol, rates[symbol])
        call(program, folder, "data", "import", str(folder / f"archives-{prefix}"))
        done = 0
        while done < (hostile_count if hostile else count):
            done += backtest(tally, program, folder, rng, name, market, candles, rates)


def backtest(tally, program, folder, rng, kind, market, candles, rates):
    """One call; as many cases as it has symbols, and one for all together."""
    chosen = rng.sample(sorted(candles), TOGETHER)
    shortest = min(candles[s].times[-1] for s in chosen)
    start_ms = START_MS + (rng.randrange(0, 240) if rng.random() < 0.8 else 0) * HOUR_MS
    start_ms = max(min(start_ms, shortest - 5 * HOUR_MS), START_MS)
    end_ms = start_ms + rng.randrange(4, 1400) * HOUR_MS
    chosen = [s for s in chosen if any(start_ms <= t and t + 4 * HOUR_MS <= end_ms for t in candles[s].times)]
    exact, warm_up = "hostile" in kind, rng.randrange(0, 8)
    fee, slippage = rng.choice([0.0, 0.0004, 0.001]), rng.choice([0, 2, 10])
    written = strategy(rng)
    step_ms = HOUR_MS * int(written["timeframe"][0])
    window = Window([candles[s] for s in chosen], [rates[s] for s in chosen], step_ms, start_ms, end_ms,
                    warm_up * DAY_MS)
    if not chosen or not all(map(len, window.symbols)):
        return 0
    (folder / "strategy.json").write_text(json.dumps(written))
    report = json.loads(call(
        program, folder, "backtest", "--strategy", "strategy.json", "--symbols", ",".join(chosen), "--interval", "1h",
        "--from", archives.utc(start_ms).strftime("%Y-%m-%dT%H:%M:%SZ"), "--to",
        archives.utc(end_ms).strftime("%Y-%m-%dT%H:%M:%SZ"), "--market", market, "--warm-up-days", str(warm_up),
        "--fee", str(fee), "--slippage-bps", str(slippage), "--json", "--trades", "trades.csv"))
    trades, number = read_trades(folder / "trades.csv"), Fraction if exact else float
    what = f"{json.dumps(written)} {archives.utc(start_ms):%m-%dT%H} to {archives.utc(end_ms):%m-%dT%H}"
    capital, curves, parts, limit = number(CAPITAL) / len(chosen), [], [], 1e-9
    for i, symbol in enumerate(chosen):
        own = [t for t in trades if t["symbol"] == symbol]
        base, due = window.symbols[i], [r for r in window.rates[i] if r[0] < end_ms]
        equity = equity_of(own, base, due, capital, fee, number)
        steps = [bisect.bisect_right(base.times, end - step_ms) for end in window.ends]
        curve = [equity[k - 1] if k else capital for k in steps]
        curves.append(curve)
        parts.append((base, own))
        worst, key = compare(report["symbols"][i]["performance"],
                             statistics(own, [(base, own)], window, curve, capital, number))
        before = Fraction(CAPITAL) / len(chosen)
        for trade in own:
            apart = trade_difference(trade, base, due, fee, before)
            before += Fraction(trade["profit"])
            worst, key = (apart, "a trade's sums") if apart > worst else (worst, key)
        tally.add(kind, worst, limit, f"{symbol}: {key}: {what}")
    total = statistics(trades, parts, window, [sum(row) for row in zip(*curves)], capital * len(chosen), number)
    worst, key = compare(report["performance"], total)
    tally.add(kind, worst, limit, f"all: {key}: {what}")
    return len(chosen) + 1
