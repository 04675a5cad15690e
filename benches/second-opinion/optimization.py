"""A second opinion on what an optimisation says of its points: probability of overfitting, deflated Sharpe ratio, shrunken
expectation and walk-forward matrix, on random tables of daily returns, with NumPy and its own normal distribution.

    cargo build -p sg-ai-optimize --example analysis
    venv/bin/python benches/second-opinion/optimization.py [--seed N] [--cases N] [--program FILE] [--golden FILE]

Prints the worst difference, a share of the greater of 1 and the value, of each kind; ends with 1 where one is above 1e-9.
`--golden` writes a few small cases with its own answers, which the crate's tests hold against the program's.
"""

import argparse
import itertools
import json
import math
import pathlib
import statistics
import subprocess
import sys

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-9
YEAR = 365
NORMAL = statistics.NormalDist()


def sharpe(returns):
    """Mean over deviation (ddof 1); None without variance."""
    if len(returns) < 2:
        return None
    deviation = numpy.std(returns, ddof=1)
    return float(numpy.mean(returns) / deviation) if deviation > 0 else None


def pbo(table, blocks):
    """Bailey et al. 2015, split by split, on the days themselves."""
    length = table.shape[1] // blocks
    if length < 2 or len(table) < 2:
        return None
    days = table[:, table.shape[1] % blocks:].reshape(len(table), blocks, length)
    logits, inside, outside = [], [], []
    for half in itertools.combinations(range(blocks), blocks // 2):
        other = [b for b in range(blocks) if b not in half]

        def ratios(chosen):
            part = days[:, chosen, :].reshape(len(table), -1)
            deviation = part.std(axis=1, ddof=1)
            return numpy.where(deviation > 0, part.mean(axis=1) / numpy.where(deviation > 0, deviation, 1), 0.0)

        within, without = ratios(list(half)), ratios(other)
        pick = int(numpy.argmax(within))
        rank = (without < without[pick]).sum() + (1 + (without == without[pick]).sum()) / 2
        share = rank / (len(table) + 1)
        logits.append(math.log(share / (1 - share)))
        inside.append(within[pick])
        outside.append(without[pick])
    spread = numpy.var(inside)
    return {
        "splits": len(logits),
        "probability": float(numpy.mean(numpy.array(logits) <= 0)),
        "probability_of_loss": float(numpy.mean(numpy.array(outside) < 0)),
        "slope": float(numpy.cov(inside, outside, ddof=0)[0, 1] / spread) if spread > 0 else None,
        "mean_inside": float(numpy.mean(inside)) * math.sqrt(YEAR),
        "mean_outside": float(numpy.mean(outside)) * math.sqrt(YEAR),
    }


def moments(returns):
    """Ratio, squared standard error times (n - 1), n (Bailey and Lopez de Prado 2012)."""
    centred = returns - returns.mean()
    second = (centred**2).mean()
    skew, kurtosis = (centred**3).mean() / second**1.5, (centred**4).mean() / second**2
    ratio = sharpe(returns)
    return ratio, 1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2, len(returns)


def luck(trials):
    """Expected maximum of so many standard normals."""
    gamma = 0.5772156649015329
    upper = lambda tail: -NORMAL.inv_cdf(tail)
    return (1 - gamma) * upper(1 / trials) + gamma * upper(1 / (trials * math.e))


def deflated(table, best, trials, confidence):
    ratio, unit, n = moments(table[best])
    error = math.sqrt(unit / (n - 1))
    others = [s for s in map(sharpe, table) if s is not None]
    variance = float(numpy.var(others, ddof=1))
    year = math.sqrt(YEAR)
    z = NORMAL.inv_cdf(confidence)
    return {
        "sharpe": ratio * year,
        "standard_error": error * year,
        "probability": NORMAL.cdf(ratio / error),
        "expected_by_luck": luck(trials) / math.sqrt(n) * year,
        "deflated": NORMAL.cdf((ratio - luck(trials) / math.sqrt(n)) / error),
        "variance_between_points": variance,
        "deflated_by_points": NORMAL.cdf((ratio - luck(trials) * math.sqrt(variance)) / error),
        "minimum_days": 1 + unit * (z / ratio) ** 2 if ratio > 0 else None,
    }


def shrunken(table, best):
    """Efron and Morris' expectation with errors that correlate equally, by the whole matrix of correlations."""
    there = [row for row in table if sharpe(row) is not None]
    ratios = numpy.array([sharpe(row) for row in there])
    errors = numpy.array([unit / (n - 1) for _, unit, n in map(moments, there)])
    matrix = numpy.corrcoef(there)
    k = len(there)
    rho = min(max((matrix.sum() - k) / (k * (k - 1)), 0.0), 1.0)
    _, unit, n = moments(table[best])
    own, error = sharpe(table[best]), unit / (n - 1)
    between = max(0.0, ratios.var(ddof=1) - (1 - rho) * errors.mean())
    kept = between / (between + (1 - rho) * error)
    year = math.sqrt(YEAR)
    return {
        "shown": own * year,
        "expected": (ratios.mean() + kept * (own - ratios.mean())) * year,
        "standard_error": math.sqrt(kept * (1 - rho) * error + rho * error) * year,
        "kept": kept,
        "mean": ratios.mean() * year,
        "true_deviation": math.sqrt(between) * year,
        "correlation": rho,
    }


def cell(table, trades, case, inside, outside):
    folds, joined, average, empty = [], [], [], 0
    for split in range(inside, table.shape[1] - outside + 1, outside):
        before, after = slice(split - inside, split), slice(split, split + outside)
        eligible = [i for i in range(len(table)) if trades[i, before].sum() >= case["least_trades"]]
        worth = [table[i, before].sum() if case["by_return"] else sharpe(table[i, before]) for i in eligible]
        known = [w if w is not None else -math.inf for w in worth]
        if not known or max(known) == -math.inf:
            empty += 1
            continue
        best = eligible[known.index(max(known))]
        earned = numpy.array([table[i, after].sum() for i in eligible])
        own = earned[eligible.index(best)]
        others = len(eligible) - 1
        rank = ((earned < own).sum() + ((earned == own).sum() - 1) / 2) / others if others else None
        folds.append((best, table[best, before].sum(), own, rank))
        joined.extend(table[best, after])
        average.append(earned.mean())
    year = lambda total, days: float(total) / days * YEAR if days else None
    within, without = sum(f[1] for f in folds), sum(f[2] for f in folds)
    ranks = [f[3] for f in folds if f[3] is not None]
    ratio = sharpe(numpy.array(joined)) if joined else None
    kept = (without / outside) / (within / inside) if folds and within > 0 else None
    return {
        "in_sample_days": inside,
        "out_of_sample_days": outside,
        "folds": len(folds),
        "folds_without_choice": empty,
        "efficiency": kept,
        "out_of_sample_sharpe": ratio * math.sqrt(YEAR) if ratio is not None else None,
        "in_sample_annual_return": year(within, len(folds) * inside),
        "out_of_sample_annual_return": year(without, len(folds) * outside),
        "average_annual_return": year(sum(average), len(folds) * outside),
        "profitable_folds": sum(f[2] > 0 for f in folds) / len(folds) if folds else None,
        "mean_rank": float(numpy.mean(ranks)) if ranks else None,
        "points_chosen": len({f[0] for f in folds}),
        "points": [f[0] for f in folds],
    }


def answer(case):
    table, trades = numpy.array(case["returns"]), numpy.array(case["trades"])
    lengths = itertools.product(case["in_sample_days"], case["out_of_sample_days"])
    return {
        "overfitting": pbo(table, case["blocks"]),
        "deflation": deflated(table, case["best"], case["trials"], case["confidence"]),
        "shrunken": shrunken(table, case["best"]),
        "matrix": [cell(table, trades, case, *pair) for pair in lengths],
    }


def make(rng, small):
    """A table of points that share a market, some of them with an edge, some idle for long."""
    points, days = (int(rng.integers(4, 8)), int(rng.integers(24, 40))) if small else \
        (int(rng.integers(3, 120)), int(rng.integers(30, 500)))
    shared = rng.normal(0, 0.01, days) * rng.uniform(0, 1.5)
    edge = rng.normal(0, rng.choice([0.0, 0.001, 0.003]), (points, 1))
    table = edge + shared + rng.standard_t(5, (points, days)) * 0.01
    trades = rng.poisson(rng.uniform(0.1, 3), (points, days))
    idle = rng.random(points) < 0.1
    table[idle, : days // 2] = 0.0
    if small:
        table = table.round(4)
    ratios = [s if (s := sharpe(row)) is not None else -math.inf for row in table]
    return {
        "returns": table.tolist(),
        "trades": trades.tolist(),
        "best": int(numpy.argmax(ratios)),
        "blocks": int(rng.choice([4, 6] if small else [4, 6, 8, 10])),
        "trials": int(rng.integers(2, 50_000)),
        "confidence": float(rng.choice([0.9, 0.95, 0.99])),
        "in_sample_days": sorted({int(days * f) for f in (0.2, 0.4)}),
        "out_of_sample_days": sorted({max(1, int(days * f)) for f in (0.05, 0.15)}),
        "least_trades": int(rng.choice([0, 5, 20])),
        "by_return": bool(rng.random() < 0.5),
        "efficiency_threshold": 0.5,
    }


def difference(ours, theirs):
    """The worst difference of two answers: infinite where one has what the other lacks."""
    if isinstance(theirs, dict):
        return max((difference(ours.get(key) if ours else None, value) for key, value in theirs.items()), default=0.0)
    if isinstance(theirs, list):
        return max(map(difference, ours, theirs), default=0.0) if len(ours) == len(theirs) else math.inf
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else math.inf
    return abs(ours - theirs) / max(1.0, abs(theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--program", default=str(ROOT / "target/debug/examples/analysis"))
    parser.add_argument("--golden")
    args = parser.parse_args()
    rng = numpy.random.default_rng(args.seed)
    if args.golden:
        cases = [make(rng, True) for _ in range(4)]
        golden = [{"case": case, "answer": answer(case)} for case in cases]
        pathlib.Path(args.golden).write_text(json.dumps(golden) + "\n")
        return 0
    cases = [make(rng, False) for _ in range(args.cases)]
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([args.program], input=lines, text=True, capture_output=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    worst = {}
    for case, ours in zip(cases, answers, strict=True):
        for c in ours["matrix"]:
            c["points"] = [fold["point"] for fold in c["choices"] if fold["point"] is not None]
        for kind, theirs in answer(case).items():
            worst[kind] = max(worst.get(kind, 0.0), difference(ours[kind], theirs))
    for kind, value in worst.items():
        print(f"{kind:<14}{args.cases:>6} tables  worst difference {value:.1e}")
    return 1 if max(worst.values()) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
