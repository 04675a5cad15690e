"""Trades of one strategy worked out row by row, as one would in a spreadsheet; shares no code with the engine.

    15m, fee 0.0004 a side, slippage 5 basis points, 10,000 of capital, 90 % of it in each trade
    long   in: ema(12) crosses above ema(26) and close > ema(20)@1h      out: rsi(14) > 70
    short  in: ema(12) crosses below ema(26) and close < ema(20)@1h      out: rsi(14) < 30
    stop 1.2 %, target 3 x atr(14) at the signal, break-even after 1 %, out after 48 candles

usage: python3 cross_with_trend.py small | quarter
  small    writes small_candles.csv (a seeded random walk) and small_trades.csv
  quarter  walks 91 days at the price of Bitcoin, with calm and hectic candles, writes quarter_trades.csv
"""
import csv
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
QUARTER, HOUR = 900_000, 3_600_000


def random_walk(n, seed=7, price=100.0, step=0.003, wild=False):
    """open time, open, high, low, close on cents; a wild walk has calm and hectic candles, and opens that leap"""
    state, rows = seed, []

    def uniform():
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 11) / 2**53

    for k in range(n):
        swing, path = step, [price]
        if wild:
            u = uniform()
            swing = step * (0.3 + 3 * u * u * u)
            if uniform() < 0.2:
                path = [price * (1 + 4 * swing * (uniform() - 0.5))]
        for _ in range(8):
            path.append(path[-1] * (1 + swing * (uniform() + uniform() + uniform() - 1.5)))
        path = [round(p, 2) for p in path]
        rows.append((1_711_929_600_000 + k * QUARTER, path[0], max(path), min(path), path[-1]))
        price = path[-1]
    return rows


def ema(x, n):
    out = [None] * len(x)
    for i in range(n - 1, len(x)):
        out[i] = sum(x[:n]) / n if i == n - 1 else out[i - 1] + (x[i] - out[i - 1]) * 2 / (n + 1)
    return out


def wilder(x, n, start):
    """mean of n values from `start`, then (n - 1) parts old and one part new"""
    out = [None] * len(x)
    for i in range(start + n - 1, len(x)):
        out[i] = sum(x[start:start + n]) / n if i == start + n - 1 else (out[i - 1] * (n - 1) + x[i]) / n
    return out


def main(which):
    rows = random_walk(1200) if which == "small" else random_walk(8736, 16, 65_000.0, 0.002, True)
    t, o, h, l, c = (list(col) for col in zip(*rows))
    n = len(t)
    fast, slow = ema(c, 12), ema(c, 26)
    up = wilder([0] + [max(c[i] - c[i - 1], 0) for i in range(1, n)], 14, 1)
    down = wilder([0] + [max(c[i - 1] - c[i], 0) for i in range(1, n)], 14, 1)
    rsi = [None if u is None else 100 * u / (u + d) for u, d in zip(up, down)]
    tr = [0] + [max(h[i], c[i - 1]) - min(l[i], c[i - 1]) for i in range(1, n)]
    atr = wilder(tr, 14, 1)
    # Hours: the last close of each whole hour, and at each quarter the value of the last hour closed by then.
    hour_close = {}
    for i in range(n):
        hour_close[t[i] // HOUR] = c[i]
    hours = sorted(hour_close)
    hourly = dict(zip(hours, ema([hour_close[k] for k in hours], 20)))
    trend = [hourly.get((t[i] + QUARTER) // HOUR - 1) for i in range(n)]

    cash, trades, pos = 10_000.0, [], None
    fee, slip = 0.0004, 0.0005

    def leave(time, price, reason, moved=True):
        nonlocal cash, pos
        side, units, entry, entry_time = pos["side"], pos["units"], pos["entry"], pos["time"]
        fill = price * (1 - slip * side) if moved else price
        profit = side * units * (fill - entry) - fee * units * entry - fee * units * fill
        cash += profit
        trades.append([("short", "", "long")[side + 1], entry_time, entry, time, fill, units, profit, reason])
        pos = None

    for i in range(1, n):
        s = i - 1
        known = None not in (fast[s - 1], slow[s - 1], trend[s], rsi[s], atr[s]) if s >= 1 else False
        left = 0
        if pos:
            side = pos["side"]
            out = known and (rsi[s] > 70 if side == 1 else rsi[s] < 30)
            if out:
                leave(t[i], o[i], "rule")
            elif i - pos["index"] >= 48:
                leave(t[i], o[i], "time_exit")
            elif (o[i] - pos["stop"]) * side <= 0:
                leave(t[i], o[i], pos["why"])
            elif (o[i] - pos["target"]) * side >= 0:
                leave(t[i], o[i], "take_profit", moved=False)
            if not pos:
                left = side
        if not pos and known:
            cross_up = fast[s] > slow[s] and fast[s - 1] <= slow[s - 1]
            cross_down = fast[s] < slow[s] and fast[s - 1] >= slow[s - 1]
            side = 1 if cross_up and c[s] > trend[s] else -1 if cross_down and c[s] < trend[s] else 0
            if side and side != left:
                entry = o[i] * (1 + slip * side)
                pos = {
                    "side": side, "entry": entry, "time": t[i], "index": i, "units": 0.9 * cash / (entry * (1 + fee)),
                    "stop": entry * (1 - 0.012 * side), "why": "stop_loss", "target": entry + side * 3 * atr[s],
                }
        if pos:
            side = pos["side"]
            worst, best = (l[i], h[i]) if side == 1 else (h[i], l[i])
            if (worst - pos["stop"]) * side <= 0:
                leave(t[i] + QUARTER - 1, pos["stop"], pos["why"])
            elif (best - pos["target"]) * side >= 0:
                leave(t[i] + QUARTER - 1, pos["target"], "take_profit", moved=False)
            elif (c[i] - pos["entry"] * (1 + 0.01 * side)) * side >= 0:
                pos["stop"], pos["why"] = pos["entry"], "break_even"
    if pos:
        leave(t[-1] + QUARTER - 1, c[-1], "end_of_window")

    def save(name, header, lines):
        with open(os.path.join(HERE, name), "w", newline="") as f:
            w = csv.writer(f, lineterminator="\n")
            w.writerow(header)
            w.writerows(lines)

    if which == "small":
        save("small_candles.csv", ["open_time_ms", "open", "high", "low", "close"], rows)
    save(f"{which}_trades.csv", ["side", "entry_time_ms", "entry_price", "exit_time_ms", "exit_price", "quantity", "profit",
                                 "exit_reason"], trades)
    print(len(trades), "trades,", cash)


if __name__ == "__main__":
    main(sys.argv[1])
