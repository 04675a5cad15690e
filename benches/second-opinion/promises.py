"""What a book expects of strategies, what promises keep and how members are weighed (docs/BOOK.md), computed again.

    cargo build -p sg-ai-book --example promises
    python3 benches/second-opinion/promises.py

Needs nothing but Python. Expectations by logarithms and sums without rounding; mean-variance weights by looking at every set of
members that could hold a share, in exact fractions; hierarchical risk parity by the tree, recursively. Shares no code with the
program.
"""

import argparse
import itertools
import json
import math
import pathlib
import random
import subprocess
import sys
from fractions import Fraction

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRID = [-6 + 0.25 * k for k in range(49)]


def mean(xs):
    return math.fsum(xs) / len(xs)


def variance(xs):
    m = mean(xs)
    return math.fsum((x - m) ** 2 for x in xs) / (len(xs) - 1)


def weighted(logs):
    """Shares of e to the power of logarithms."""
    most = max(logs)
    parts = [math.exp(x - most) for x in logs]
    total = math.fsum(parts)
    return [part / total for part in parts]


def luck_of(nulls):
    means = [mean(ts) for ts in nulls]
    m = mean(means)
    between = (4 * 0.49 + math.fsum((x - m) ** 2 for x in means)) / (4 + len(means) - 1)
    return m, between, max(1.0, mean([variance(ts) for ts in nulls]))


def expectations(ts, nulls, asked):
    m, between, within = luck_of(nulls)
    centre = mean(ts)
    noise = between * (1 + 1 / len(nulls))
    common, left = (centre - m) / (1 + noise), noise / (1 + noise)
    logs = [[-((t - centre - g) ** 2) / (2 * within) for g in GRID] for t in ts]
    own = [1 / len(GRID)] * len(GRID)
    for _ in range(200):
        known = [math.log(p) if p > 0 else -math.inf for p in own]
        shares = [weighted([a + b for a, b in zip(row, known)]) for row in logs]
        own = [math.fsum(row[k] for row in shares) / len(ts) for k in range(len(GRID))]
    known = [math.log(p) if p > 0 else -math.inf for p in own]
    out = []
    for t in asked:
        shares = weighted([-((t - centre - g) ** 2) / (2 * within) + b for g, b in zip(GRID, known)])
        none = [0.5 * math.erfc((common + g) / math.sqrt(2 * left)) for g in GRID]
        out.append(
            (
                common + math.fsum(g * s for g, s in zip(GRID, shares)),
                math.fsum(n * s for n, s in zip(none, shares)),
            )
        )
    return out


def kept(blocks):
    products = squares = 0.0
    for days, pairs in blocks:
        if pairs:
            products += days * mean([p * c for p, c in pairs])
            squares += days * mean([p * p for p, _ in pairs])
    return min(1.0, max(0.0, (2 + products) / (2 + squares)))


def correlations(returns):
    """Exact moments; only the root is rounded. 0 where one does not vary."""
    n = len(returns)
    moved = [[x - sum(row) / len(row) for x in row] for row in [[Fraction(x) for x in row] for row in returns]]
    square = [sum(x * x for x in row) for row in moved]
    out = [[1.0] * n for _ in range(n)]
    for i, j in itertools.permutations(range(n), 2):
        product = sum(x * y for x, y in zip(moved[i], moved[j]))
        bottom = square[i] * square[j]
        out[i][j] = float(product) / math.sqrt(bottom) if bottom else 0.0
    deviations = [math.sqrt(s / (len(row) - 1)) for s, row in zip(square, moved)]
    return out, deviations


def solved(matrix, right):
    """Exact, by Gauss and Jordan."""
    n = len(right)
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        for i in range(n):
            if i != k and rows[i][k]:
                rows[i] = [x - rows[i][k] * y for x, y in zip(rows[i], rows[k])]
    return [row[n] for row in rows]


def mean_variance(found, expected):
    """The best w >= 0 of e'w - w'Cw / 2: of all sets of holders the one whose solution nobody can better."""
    n = len(expected)
    c = [[Fraction(1) if i == j else Fraction(found[i][j]) / 2 for j in range(n)] for i in range(n)]
    e = [Fraction(x) for x in expected]
    best = None
    for size in range(n + 1):
        for held in itertools.combinations(range(n), size):
            part = solved([[c[i][j] for j in held] for i in held], [e[i] for i in held])
            if any(w <= 0 for w in part):
                continue
            worth = sum(e[i] * w for i, w in zip(held, part)) / 2
            if best is None or worth > best[0]:
                best = (worth, dict(zip(held, part)))
    return [float(best[1].get(i, 0)) for i in range(n)]


def parity(found, deviations):
    n = len(deviations)
    own = [[math.sqrt(max(0.0, (1 - found[i][j]) / 2)) for j in range(n)] for i in range(n)]
    far = [[math.fsum((own[i][k] - own[j][k]) ** 2 for k in range(n)) for j in range(n)] for i in range(n)]
    clusters = [[i] for i in range(n)]
    margin = math.inf
    while len(clusters) > 1:
        near = sorted(
            (min(far[i][j] for i in clusters[a] for j in clusters[b]), a, b)
            for a, b in itertools.combinations(range(len(clusters)), 2)
        )
        if len(near) > 1:
            margin = min(margin, near[1][0] - near[0][0])
        _, a, b = near[0]
        clusters[a] = clusters[a] + clusters.pop(b)
    shares = [1.0] * n

    def varies(part):
        raw = [1 / deviations[i] ** 2 if deviations[i] else 0.0 for i in part]
        total = sum(raw)
        if not total:
            return 0.0
        covariance = [[found[i][j] * deviations[i] * deviations[j] for j in part] for i in part]
        return max(0.0, math.fsum(a * b * covariance[x][y] for x, a in enumerate(raw) for y, b in enumerate(raw)) / total**2)

    def halve(part):
        if len(part) < 2:
            return
        left, right = part[: len(part) // 2], part[len(part) // 2 :]
        a, b = varies(left), varies(right)
        share = 1 - a / (a + b) if a + b > 0 else 0.5
        for i in left:
            shares[i] *= share
        for i in right:
            shares[i] *= 1 - share
        halve(left)
        halve(right)

    halve(clusters[0] if clusters else [])
    # Where two pairs of the tree are as near but for rounding, either order is right.
    return [s if d else 0.0 for s, d in zip(shares, deviations)], margin < 1e-12


def shares(raw):
    total = math.fsum(raw)
    return [r / total for r in raw] if total > 0 else [0.0] * len(raw)


def near(found, expected):
    return abs(found - expected) <= 1e-9 * max(1.0, abs(expected))


def a_case(rng, hostile):
    n, members, days = rng.randrange(2, 60), rng.randrange(0, 8), rng.randrange(2, 40)
    wide = rng.choice([0.2, 1.0, 1.3, 3.0])
    ts = [rng.gauss(rng.choice([0, 0, 1, 4]), wide) for _ in range(n)]
    nulls = [[rng.gauss(rng.gauss(0, 0.7), 1.2) for _ in range(rng.randrange(2, 30))] for _ in range(rng.randrange(1, 9))]
    market = [rng.gauss(0, 0.02) for _ in range(days)]
    returns = [[rng.uniform(-1, 1) * m + rng.gauss(0, 0.01) for m in market] for _ in range(members)]
    expected = [rng.uniform(-1, 3) for _ in range(members)]
    if hostile:
        ts[0] = rng.choice([0.0, 44.0, -60.0, 300.0])
        if rng.random() < 0.3:
            ts = [1.5] * n
        if members > 1:
            kind = rng.randrange(4)
            if kind == 0:
                returns[1] = list(returns[0])
            elif kind == 1:
                returns[1] = [-x for x in returns[0]]
            elif kind == 2:
                returns[0] = [0.0] * days
            else:
                returns = [[x if rng.random() < 0.1 else 0.0 for x in row] for row in returns]
        expected = [rng.choice([0.0, e, -abs(e)]) for e in expected]
    blocks = [
        (rng.randrange(1, 400), [(rng.gauss(0.05, 0.03), rng.gauss(0.02, 0.1)) for _ in range(rng.randrange(0, 9))])
        for _ in range(rng.randrange(0, 6))
    ]
    asked = ts[:6] + [rng.uniform(-10, 10) for _ in range(4)]
    return {"ts": ts, "nulls": nulls, "asked": asked, "kept": blocks, "returns": returns, "expected": expected}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/debug/examples/promises")
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    cases = [a_case(rng, hostile=number % 3 == 2) for number in range(args.cases)]
    text = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([args.program], input=text, text=True, capture_output=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [] if len(answers) == len(cases) else [f"{len(answers)} answers to {len(cases)} cases"]
    compared = undecided = 0
    for number, (case, answer) in enumerate(zip(cases, answers)):
        pairs = []
        m, between, within = luck_of(case["nulls"])
        pairs += [("luck", answer["luck"][k], v) for k, v in (("mean", m), ("between", between), ("within", within))]
        for told, (t, none) in zip(answer["expected"], expectations(case["ts"], case["nulls"], case["asked"])):
            pairs += [("expected t", told["t"], t), ("false discovery", told["false_discovery"], none)]
        pairs.append(("kept", answer["kept"], kept(case["kept"])))
        if case["returns"]:
            found, deviations = correlations(case["returns"])
            of = {
                "equal_risk": [1.0] * len(deviations),
                "mean_variance": mean_variance(found, case["expected"]),
            }
            risk = {name: shares([r / d if d else 0.0 for r, d in zip(raw, deviations)]) for name, raw in of.items()}
            tree, tied = parity(found, deviations)
            if not tied:
                risk["hierarchical_risk_parity"] = shares(tree)
            undecided += tied
            for name, weights in risk.items():
                pairs += [(name, a, b) for a, b in zip(answer["weights"][name], weights)]
        for what, told, own in pairs:
            compared += 1
            if told is None or not near(told, own):
                wrong.append(f"case {number}: {what} {told} instead of {own}")
    for line in wrong[:20]:
        print(line)
    print(f"{len(cases)} cases, {compared} numbers, {undecided} trees with ties left out, {len(wrong)} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
