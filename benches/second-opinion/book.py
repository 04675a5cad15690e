"""Hedged returns, steps and ln E of a book (definitions, section 8), computed again from net and benchmark alone.

    cargo build -p sg-ai-book --example book
    python3 benches/second-opinion/book.py                      # random and hostile days through the program's own code
    python3 benches/second-opinion/book.py --returns R.csv      # what `sg-ai rehearse --book --returns R.csv` wrote

Needs nothing but Python. Exact fractions decide where floating point could not: variances that are 0, wealth that is lost.
Shares no code and no order of operations with the program. What it does not look at: net and benchmark themselves.
"""

import argparse
import csv
import math
import pathlib
import random
import subprocess
import sys
from fractions import Fraction

ROOT = pathlib.Path(__file__).resolve().parents[2]
BETA_DAYS, LEAST_BETA_DAYS, IDLE_DAYS = 90, 45, 60
FRACTIONS = [Fraction(f, 100) for f in (2, 4, 6, 8, 12, 16)]
LIMIT = 1e-9


def moments(pairs):
    """Sums for a variance and a covariance, without a mean taken off first."""
    n = len(pairs)
    sx, sy = sum(x for x, _ in pairs), sum(y for _, y in pairs)
    return n, sum(x * x for x, _ in pairs) - sx * sx / n, sum(x * y for x, y in pairs) - sx * sy / n


def hedged_of(days):
    """Exact: net less beta x benchmark, beta of the 90 days of both before."""
    both, out = [], []
    for net, benchmark in days:
        beta = Fraction(0)
        if len(both) >= LEAST_BETA_DAYS:
            _, square, product = moments(both[-BETA_DAYS:])
            beta = product / square if square else Fraction(0)
        out.append(net - beta * (benchmark or 0))
        if benchmark is not None:
            both.append((benchmark, net))
    return out


def bets_of(hedged):
    """Steps and ln E; `None` once all is lost. The sums of what was before are exact, and roots are taken last."""
    total, squares, wealth, out = Fraction(0), Fraction(0), [0.0] * len(FRACTIONS), []
    for day, value in enumerate(hedged):
        step = 0.0
        if day >= IDLE_DAYS:
            variance = (squares - total * total / day) / (day - 1)
            if variance:
                step = float(value) / math.sqrt(variance)
        for k, fraction in enumerate(FRACTIONS):
            factor = 1 + float(fraction) * step
            # Logarithms, where the program multiplies.
            wealth[k] = wealth[k] + math.log1p(float(fraction) * step) if factor > 0 else -math.inf
        most = max(wealth)
        sum_ = math.fsum(math.exp(w - most) for w in wealth) if most > -math.inf else 0.0
        out.append((step, most + math.log(sum_ / len(wealth)) if sum_ else None))
        total, squares = total + value, squares + value * value
    return out


def near(found, expected, scale):
    return abs(found - expected) <= LIMIT * max(1.0, abs(expected), scale)


def compare(rows, what):
    """Rows of a file against what net and benchmark say. Gives what disagrees."""
    days = [(Fraction(r["net"]), Fraction(r["benchmark"]) if r["benchmark"] else None) for r in rows]
    # Numbers are written so that they read back to the same bits.
    days = [(Fraction(float(n)), None if b is None else Fraction(float(b))) for n, b in days]
    told = [float(r["hedged"]) for r in rows]
    wrong = []
    for row, expected, found in zip(rows, hedged_of(days), told):
        if not near(found, float(expected), 0):
            wrong.append(f"{what} {row['date']}: hedged {found} instead of {float(expected)}")
    # The bets are on the returns as told, so that what differs in the last digit does not add up.
    for row, (step, log_e) in zip(rows, bets_of([Fraction(h) for h in told])):
        if not near(float(row["step"]), step, 0):
            wrong.append(f"{what} {row['date']}: step {row['step']} instead of {step}")
        found = float(row["log_e"]) if row["log_e"] else None
        if (found is None) != (log_e is None) or (found is not None and not near(found, log_e, 1e3 * LIMIT)):
            wrong.append(f"{what} {row['date']}: log_e {row['log_e']} instead of {log_e}")
    return wrong


def a_case(rng, hostile):
    """Days as lines, for the program."""
    n = rng.choice([0, 1, 2, 44, 45, 46, 59, 60, 61, 62, 90, 135, 136, rng.randrange(400)])
    market = [rng.gauss(0, 0.03) for _ in range(n)]
    beta, drift = rng.uniform(-1, 1), rng.uniform(-0.001, 0.002)
    days = [(beta * m + drift + rng.gauss(0, 0.01), m) for m in market]
    if hostile:
        kind = rng.randrange(8)
        flat = rng.choice([0.0, 0.1, -0.25, 1e-9])
        for k in range(n):
            net, m = days[k]
            days[k] = [
                (flat, m), (net, flat), (net, None), (net, m if rng.random() < 0.5 else None),
                (net * rng.choice([1, 1, 1, 40]), m), (-1.0 if k == n - 1 else net, m), (flat, flat),
                (net * 1e-12, m * 1e-12),
            ][kind]
    return [f"{net!r},{'' if m is None else repr(m)}" for net, m in days]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--returns", type=pathlib.Path, help="a file that rehearse wrote")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/debug/examples/book")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    wrong, looked_at = [], 0
    if args.returns:
        with args.returns.open() as file:
            rows = list(csv.DictReader(file))
        wrong += compare(rows, args.returns.name)
        last = rows[-1]["log_e"] if rows else "nothing"
        print(f"{args.returns.name}: {len(rows)} days, log_e {last}")
        looked_at = 1
    else:
        rng = random.Random(args.seed)
        for number in range(args.cases):
            lines = a_case(rng, hostile=number % 3 == 2)
            text = "".join(line + "\n" for line in lines)
            done = subprocess.run([args.program], input=text, text=True, capture_output=True, check=True)
            rows = list(csv.DictReader(done.stdout.splitlines()))
            if len(rows) != len(lines):
                wrong.append(f"case {number}: {len(rows)} days instead of {len(lines)}")
            wrong += compare(rows, f"case {number}")
            looked_at += 1
    for line in wrong[:20]:
        print(line)
    print(f"{looked_at} looked at, {len(wrong)} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
