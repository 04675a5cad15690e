"""Weights, trading, fees, equity by the day and the hedge of one strategy over the whole window: one numba function."""

import numba
import numpy as np
from ranking_market import CAPITAL, FEE, ROUNDING

fast = numba.njit(nogil=True, error_model="numpy")


@fast
def scale(x, leg, long_only):
    up, down = 0.0, 0.0
    for s in range(x.size):
        if long_only and x[s] < 0.0:
            x[s] = 0.0
        up += max(x[s], 0.0)
        down -= min(x[s], 0.0)
    for s in range(x.size):
        if x[s] > 0.0:
            x[s] = x[s] / up * leg
        elif x[s] < 0.0:
            x[s] = x[s] / down * leg


@fast
def limit(x, sign, cap, capped):
    capped[:] = False
    while True:
        excess, rest = 0.0, 0.0
        for s in range(x.size):
            if sign * x[s] > cap:
                excess += sign * x[s] - cap
                x[s], capped[s] = sign * cap, True
        for s in range(x.size):
            if sign * x[s] > 0.0 and not capped[s]:
                rest += sign * x[s]
        if excess == 0.0 or rest == 0.0:
            return
        for s in range(x.size):
            if sign * x[s] > 0.0 and not capped[s]:
                x[s] += x[s] / rest * excess


@fast
def ranked(score, count, linear, top, bottom, x):
    """By rank from the middle; or 1 for the best and -1 for the worst."""
    symbols = score.size
    tops = min(max(int(np.floor(top * count / 100.0)), 1), count)
    bottoms = min(max(int(np.floor(bottom * count / 100.0)), 1), count)
    for s in range(symbols):
        own, below, upto, before = score[s], 0, 0, 0
        if np.isnan(own):
            x[s] = 0.0
            continue
        for k in range(symbols):
            below += 1 if score[k] < own else 0
            upto += 1 if score[k] <= own else 0
        if linear:
            x[s] = 0.5 * (below + upto - 1) / (count - 1) - 0.5
            continue
        for k in range(s):
            before += 1 if score[k] == own else 0
        place = count - upto + before
        x[s] = 1.0 if place < tops else 0.0
        if bottom > 0.0 and place >= count - bottoms:
            x[s] = -1.0


@fast
def neutralise(x, score, beta, returns, t, k, count):
    """Takes off the exposure to the market of those that have a score: slopes are known where these are all."""
    symbols = x.size
    if count < symbols:
        market = np.zeros(k)
        for i in range(k):
            for s in range(symbols):
                market[i] += returns[t - k + 1 + i, s] / count if score[s] == score[s] else 0.0
        market -= market.mean()
        square = (market * market).sum()
        beta = np.full(symbols, np.nan)
        if square > 0.0:
            beta[:] = 0.0
            for i in range(k):
                for s in range(symbols):
                    beta[s] += market[i] * returns[t - k + 1 + i, s] / square
    exposure, square = 0.0, 0.0
    for s in range(symbols):
        if x[s] != 0.0 and beta[s] == beta[s]:
            exposure += x[s] * beta[s]
            square += beta[s] * beta[s]
    if square > 0.0:
        for s in range(symbols):
            if x[s] != 0.0 and beta[s] == beta[s]:
                x[s] -= beta[s] * exposure / square


@fast
def hedge(net, benchmark, out):
    for day in range(net.size):
        begin, beta = max(day - 90, 0), 0.0
        if day - begin >= 45:
            mean_x, mean_y = benchmark[begin:day].mean(), net[begin:day].mean()
            square, product = 0.0, 0.0
            for i in range(begin, day):
                square += (benchmark[i] - mean_x) ** 2
                product += (benchmark[i] - mean_x) * (net[i] - mean_y)
            beta = product / square if square > 0.0 else 0.0
        out[day] = net[day] - beta * benchmark[day]


@fast
def trade(scores, volatility, betas, returns, by_volatility, neutral, linear, top, bottom, long_only, cap, smooth, band,
          gross, opens, closes, first, a_day, rows, benchmark, hedged):
    symbols = closes.shape[1]
    x, capped, target = np.zeros(symbols), np.zeros(symbols, np.bool_), np.zeros(symbols)
    units, wanted = np.zeros(symbols), np.zeros(symbols)
    history = np.zeros((smooth, symbols))
    net = np.empty(hedged.size)
    cash, midnight = CAPITAL, CAPITAL
    leg = gross if long_only else gross / 2.0
    ordered, over, at, day = False, False, 0, 0
    for t in range(first, closes.shape[0]):
        if ordered:
            for s in range(symbols):
                change = wanted[s] - units[s]
                cash -= change * opens[t, s] + abs(change) * opens[t, s] * FEE
                units[s] = wanted[s]
            ordered = False
        equity, held = cash, False
        for s in range(symbols):
            equity += units[s] * closes[t, s]
            held |= units[s] != 0.0
        if held and equity <= 0.0:
            cash, equity, over = 0.0, 0.0, True
            units[:] = 0.0
        if (t - first + 1) % a_day == 0:
            net[day] = equity / midnight - 1.0 if midnight != 0.0 else 0.0
            midnight = equity
            day += 1
        if over or at == rows.size or rows[at] != t:
            continue
        score = scores[at]
        count = 0
        for s in range(symbols):
            count += 1 if score[s] == score[s] else 0
        if count < 2:
            x[:] = 0.0
        else:
            ranked(score, count, linear, top, bottom, x)
            if by_volatility:
                for s in range(symbols):
                    x[s] = x[s] / volatility[at, s] if score[s] == score[s] else 0.0
            if linear and not long_only:
                mean, most = 0.0, 0.0
                for s in range(symbols):
                    mean += x[s] / count
                    most = max(most, abs(x[s]))
                for s in range(symbols):
                    off = x[s] - mean
                    x[s] = 0.0 if score[s] != score[s] or abs(off) <= ROUNDING * most else off
            scale(x, leg, long_only)
            if cap > 0.0:
                limit(x, 1.0, cap, capped)
                limit(x, -1.0, cap, capped)
            if neutral > 0:
                neutralise(x, score, betas[at], returns, t, neutral, count)
                scale(x, leg, long_only)
        history[at % smooth] = x
        known, most = min(at + 1, smooth), 0.0
        target[:] = 0.0
        for row in range(known):
            for s in range(symbols):
                target[s] += history[row, s]
        for s in range(symbols):
            target[s] /= known
            most = max(most, abs(target[s]))
        for s in range(symbols):
            goal = target[s] if abs(target[s]) > ROUNDING * most else 0.0
            near = goal != 0.0 and abs(goal - units[s] * closes[t, s] / equity) < band
            wanted[s] = units[s] if near else goal * equity / closes[t, s]
        ordered = True
        at += 1
    hedge(net, benchmark, hedged)
