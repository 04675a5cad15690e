"""A second opinion on what the learner believes: what a lesson earned, how many lessons count for one, and the beliefs, with
NumPy, on random and on hostile lessons.

    cargo build -p sg-ai-learner --example lessons
    venv/bin/python benches/second-opinion/learner.py [--seed N] [--cases N] [--program FILE]

The program solves the normal equations of a ridge regression by Cholesky's decomposition, a building block a column. Here the
beliefs are what is left of a joint normal distribution of all building blocks and all lessons once the lessons are known (the
covariance of lessons is inverted, not the precision of blocks), and sums of many days are exact (`math.fsum`). Names of
building blocks are the program's. Prints the worst difference, a share of the greater of 1 and the value; ends with 1 where
one is above 1e-9.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-9
YEAR, HALF_LIFE, LEAST_DAYS = 365, 90, 10
BASE_SD, BLOCK_SD, COMBINATION_SD = 3.0, 1.0, 0.5


def earned(returns):
    """Sharpe ratio, its variance, effective days and standardised returns, newest first; None where nothing is taught."""
    newest = list(reversed(returns))
    weights = [2.0 ** (-age / HALF_LIFE) for age in range(len(newest))]
    total = math.fsum(weights)
    if not newest:
        return None
    days = total**2 / math.fsum(w * w for w in weights)
    mean = math.fsum(w * r for w, r in zip(weights, newest)) / total
    spread = math.fsum(w * (r - mean) ** 2 for w, r in zip(weights, newest)) / total
    # Of returns that are all the same rounding leaves some deviation, here or there.
    if days < LEAST_DAYS or not (1e-12 * mean) ** 2 < spread < math.inf:
        return None
    daily = mean / math.sqrt(spread)
    standard = [math.sqrt(w / spread) * (r - mean) for w, r in zip(weights, newest)]
    return daily * math.sqrt(YEAR), (1 + daily**2 / 2) * YEAR / days, days, standard


def design_effect(all_standard):
    """Variance of the sum over the sum of variances, by the matrix of all of them."""
    longest = max(map(len, all_standard))
    matrix = numpy.zeros((len(all_standard), longest))
    for row, values in zip(matrix, all_standard):
        row[: len(values)] = values
    gram = matrix @ matrix.T
    of_each = math.fsum(numpy.diag(gram))
    return max(1.0, math.fsum(gram.ravel()) / of_each) if of_each > 0 else 1.0


def answer(case, blocks):
    taught = [(names, e) for names, r in zip(blocks, case["returns"]) if (e := earned(r)) is not None]
    if not taught:
        return None
    names = sorted({name for block, _ in taught for name in block})
    ratios = numpy.array([e[0] for _, e in taught])
    effect = design_effect([e[3] for _, e in taught])
    design = numpy.array([[1.0] + [float(name in block) for name in names] for block, _ in taught])
    prior = numpy.array([BASE_SD**2] + [(COMBINATION_SD if ", " in name else BLOCK_SD) ** 2 for name in names])
    shared = design * prior
    covariance = shared @ design.T + numpy.diag([e[1] * effect for _, e in taught])
    gain = numpy.linalg.solve(covariance, shared).T
    mean = gain @ ratios
    variance = prior - numpy.einsum("ij,ji->i", gain, shared)
    counts = [len(taught)] + [sum(name in block for block, _ in taught) for name in names]
    beliefs = {
        name: {"mean": float(m), "sd": math.sqrt(v), "strategies": n}
        for name, m, v, n in zip([None, *names], mean, variance, counts)
    }
    return {
        "learnt": {
            "form": "ranking" if case["ranking"] else "rules",
            "base": beliefs.pop(None),
            "beliefs": beliefs,
            "independent": len(taught) / effect,
            "days": math.fsum(e[2] for _, e in taught) / len(taught),
        },
        "expects": [float(mean[0]) + math.fsum(beliefs[n]["mean"] for n in block if n in beliefs) for block in blocks],
    }


def lesson(rng, days, shared):
    edge = rng.normal(0, rng.choice([0.0, 0.001]))
    return edge + shared[-days:] * rng.uniform(0, 1.5) + rng.standard_t(4, days) * 0.01


def make(rng):
    """Strategies that share a market, found at different times, some of them idle for long."""
    count, longest = int(rng.integers(1, 250)), int(rng.integers(5, 400))
    shared = rng.normal(0, 0.01, longest)
    returns = []
    for _ in range(count):
        days = int(rng.integers(0, longest + 1))
        values = lesson(rng, days, shared) if days else numpy.zeros(0)
        values[rng.random(days) < rng.choice([0.0, 0.8])] = 0.0
        returns.append(values.tolist())
    return {"seed": int(rng.integers(2**32)), "strategies": rng.integers(0, 2 * count, count).tolist(), "returns": returns}


def hostile(rng):
    """One of each kind that should break something."""
    days = numpy.arange(120)
    noise = lambda scale=0.01: (rng.normal(0, scale, 120)).tolist()
    one = noise()
    kinds = {
        "no lesson": [],
        "one lesson": [noise()],
        "copies of one": [one] * 80,
        "one and its opposite": [one, [-r for r in one]] * 20,
        "idle": [[0.0] * 120] * 5,
        "always the same gain": [[0.01] * 120] * 5,
        "always the same gain but for one day": [[0.01] * 119 + [0.011]] * 5,
        "too few days": [noise()[:10], noise()[:9], noise()[:11]],
        "just enough days": [noise()[:n] for n in range(10, 15)],
        "tiny": [noise(1e-9) for _ in range(20)],
        "huge": [noise(1e6) for _ in range(20)],
        "scales apart": [noise(10.0**k) for k in range(-8, 9)],
        "a single day that counts": [[0.0] * d + [1.0] + [0.0] * (119 - d) for d in range(0, 120, 7)],
        "a sure thing": [(0.01 + 1e-6 * numpy.sin(days + k)).tolist() for k in range(10)],
        "years": [rng.normal(0, 0.01, 4000).tolist() for _ in range(6)],
        "ruin": [[-1.0] + noise()[:100] for _ in range(6)],
    }
    return {
        name: {"seed": 7, "strategies": [k % 40 for k in range(len(r))], "returns": r} for name, r in kinds.items()
    }


def difference(ours, theirs):
    """The worst difference of two answers: infinite where one has what the other lacks."""
    if isinstance(theirs, dict):
        same = isinstance(ours, dict) and set(ours) == set(theirs)
        return max((difference(ours[key], value) for key, value in theirs.items()), default=0.0) if same else math.inf
    if isinstance(theirs, list):
        same = isinstance(ours, list) and len(ours) == len(theirs)
        return max(map(difference, ours, theirs), default=0.0) if same else math.inf
    if isinstance(theirs, str):
        return 0.0 if ours == theirs else math.inf
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else math.inf
    return abs(ours - theirs) / max(1.0, abs(theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--program", default=str(ROOT / "target/debug/examples/lessons"))
    args = parser.parse_args()
    rng = numpy.random.default_rng(args.seed)
    # In turn of rules and of rankings; what is hostile is tried on both.
    cases = {f"random {k}": make(rng) | {"ranking": k % 2 == 1} for k in range(args.cases)}
    for name, case in hostile(rng).items():
        cases |= {f"{name}, {form}": case | {"ranking": form == "rankings"} for form in ("rules", "rankings")}
    lines = "".join(json.dumps(case) + "\n" for case in cases.values())
    done = subprocess.run([args.program], input=lines, text=True, capture_output=True, check=True)
    worst, untaught = {}, 0
    for (name, case), line in zip(cases.items(), done.stdout.splitlines(), strict=True):
        ours = json.loads(line)
        theirs = answer(case, ours["blocks"])
        untaught += theirs is None
        found = difference({k: ours[k] for k in ("learnt", "expects")}, theirs or {"learnt": None, "expects": None})
        kind = "random" if name.startswith("random") else "hostile"
        worst[kind] = max(worst.get(kind, (0.0, "")), (found, name))
        if found > LIMIT:
            print(f"{name}: differs by {found:.1e}")
    for kind, (value, name) in worst.items():
        count = args.cases if kind == "random" else len(cases) - args.cases
        print(f"{kind:<8}{count:>6} cases  worst difference {value:.1e} ({name})")
    print(f"{untaught} of them teach nothing, by both")
    return 1 if max(value for value, _ in worst.values()) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
