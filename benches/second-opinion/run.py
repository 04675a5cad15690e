"""A second opinion on what the program computes: statistics, indicators, imports and funding, by other means.

    python3 -m venv venv
    venv/bin/pip install -r benches/second-opinion/requirements.txt
    cargo build --release && cargo build -p sg-ai-engine --example columns
    venv/bin/python benches/second-opinion/run.py [--seed N] [--share F] [--only KIND ...] [--program FILE]
        [--columns FILE]

10,000 random cases and 1,000 hostile ones (`--share` of them), the same for the same seed. What is compared with
what stands at the head of each module beside this one. Prints a table, and each disagreement; ends with 1 where there
is one.
"""

import argparse
import math
import pathlib
import sys
import tempfile
import time

import imports
import indicators
import performance

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Cases of each kind: random, hostile.
KINDS = {"indicators": (6000, 600), "statistics": (2800, 220), "funding": (700, 80), "imports": (500, 100)}
SHOWN = 20


class Tally:
    """What agreed, by kind."""

    def __init__(self):
        self.kinds, self.wrong, self.more = {}, [], {}

    def add(self, kind, worst, limit, what):
        """A case: its worst difference, a share, and what it was."""
        row = self.kinds.setdefault(kind, [0, 0, 0.0])
        row[0] += 1
        self._judge(row, kind, worst, limit, what)

    def also(self, kind, worst, limit, what):
        """A further look at a case that counts already."""
        row = self.more.setdefault(kind, [0, 0, 0.0])
        row[0] += 1
        self._judge(row, kind, worst, limit, what)

    def _judge(self, row, kind, worst, limit, what):
        if worst <= limit:
            row[1] += 1
            row[2] = max(row[2], worst)
        else:
            self.wrong.append(f"{kind}: {what}: " + ("differs" if math.isinf(worst) else f"differs by {worst:.2e}"))

    def table(self):
        lines = [f"{'kind':<28}{'cases':>8}{'agreed':>8}  worst difference"]
        for rows, head in ((self.kinds, ""), (self.more, "of these also with ")):
            lines += [f"{head + kind:<28}{n:>8}{agreed:>8}  {worst:.1e}" for kind, (n, agreed, worst) in rows.items()]
        cases, agreed = (sum(row[i] for row in self.kinds.values()) for i in (0, 1))
        lines.append(f"{'all':<28}{cases:>8}{agreed:>8}")
        return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--program", default=str(ROOT / "target/release/sg-ai"))
    parser.add_argument("--columns", default=str(ROOT / "target/debug/examples/columns"))
    args = parser.parse_args()
    tally, began = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sg-ai-opinion-") as folder:
        for kind in args.only:
            counts = [max(1, round(n * args.share)) for n in KINDS[kind]]
            if kind == "indicators":
                indicators.run(tally, args.columns, args.seed, *counts)
            elif kind == "imports":
                imports.run(tally, args.program, pathlib.Path(folder), args.seed, *counts)
            else:
                performance.run(tally, args.program, pathlib.Path(folder), args.seed, kind, *counts)
    for what in tally.wrong[:SHOWN]:
        print(what)
    if len(tally.wrong) > SHOWN:
        print(f"and {len(tally.wrong) - SHOWN} more")
    print(tally.table())
    print(f"seed {args.seed}, {time.monotonic() - began:.0f} s")
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
