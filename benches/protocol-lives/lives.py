"""Whole daemon lives at the level of statistics: online procedures compared on the same simulated lives.

    python3 -m venv venv && venv/bin/pip install numpy
    venv/bin/python benches/protocol-lives/lives.py [--seed N] [--lives N] [--years N] [--only PART ...] [--json FILE]
        [--holdout DAYS] [--shadow DAYS] [--set NAME=VALUE ...]

What is assumed stands at the head of `model.py`, what each procedure does in `procedures.py`, the rules for shadow alone
in `shadow.py`. The same seed gives the same lives; all procedures see the same ones.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time

import numpy as np
import shadow
from model import NEVER, YEAR, Life, Model, bank
from procedures import MONTH, all_procedures

AGES = {"1h": 0, "1d": 1, "7d": 7, "30d": 30, "1y": 365, "3y": 1095}
SHARPES = (1, 2, 3, 5, 7)
ALWAYS = -10 * YEAR
PARTS = ("noise", "age", "year", "coming", "dying")
# Edges that come and go: how many are born a year, how long one lives in the mean.
BIRTHS, MEAN_LIFE = 0.7, 1.5
BANK = 8000


def stream(seed, *parts):
    return np.random.default_rng([seed, *(sum(map(ord, p)) if isinstance(p, str) else int(p) for p in parts)])


def rate(count, total):
    """A share and its standard error."""
    share = count / total
    return share, float(np.sqrt(max(share * (1 - share), 0) / total))


def noise(model, args, world, sharpe):
    """Daemons that never see an edge: promotions, tests, and the bars that a candidate would have met."""
    model = dataclasses.replace(model, luck_sharpe=sharpe)
    days, out = int(args.years * YEAR), {}
    procedures = all_procedures()
    bars = {p.name: {age: [] for age in AGES} for p in procedures}
    for p in procedures:
        out[p.name] = {"false": 0, "tests": 0, "lives with one": 0}
    for number in range(args.lives):
        life = Life(model, stream(args.seed, "noise", world, number), days)
        # Ages from a month on at all days of a month alike.
        ages = [day + number % MONTH if day >= MONTH else day for day in AGES.values()]
        for p in procedures:
            promoted, barred, tests = p.run(life, ages)
            inside = sum(day < days for day, *_ in promoted)
            row = out[p.name]
            row["false"] += inside
            row["tests"] += tests
            row["lives with one"] += inside > 0
            for age, bar in zip(AGES, barred):
                bars[p.name][age].append(bar)
    total = args.lives * args.years
    for row in out.values():
        row.update({"years": total, "false a year": row["false"] / total, "error": float(np.sqrt(row["false"]) / total),
                    "tests a year": row["tests"] / total})
    return out, bars


def by_age(model, args, bars):
    """The chance of the candidate of one session that beat its null searches, by the daemon's age."""
    out = {}
    for sharpe in SHARPES:
        reached = bank(model, stream(args.seed, "bank", sharpe), sharpe, BANK)
        for name, ages in bars.items():
            for age, met in ages.items():
                power = 1 - np.searchsorted(reached, met) / BANK
                error = np.sqrt(power.var() / len(power) + power.mean() * (1 - power.mean()) / BANK)
                out.setdefault(name, {}).setdefault(str(sharpe), {})[age] = (float(power.mean()), float(error))
    return out


def a_year(model, args):
    """An edge that was always there, and that searches can find from the daemon's start, or from its first or third
    birthday: the chance that something of it is live within a year."""
    out, lives = {}, max(args.lives // 3, 1)
    for sharpe in SHARPES:
        for age in ("0", "1y", "3y"):
            first = AGES.get(age, 0)
            found = {p.name: [] for p in all_procedures()}
            for number in range(lives):
                edge = [(ALWAYS, NEVER, sharpe, first)]
                life = Life(model, stream(args.seed, "year", age, number), first + int(YEAR), edge)
                for p in all_procedures():
                    promoted = p.run(life, [])[0]
                    days = [d - first for d, who, _ in promoted if life.alive(who, d) and d < first + YEAR]
                    found[p.name].append(min(days, default=np.inf))
            for name, days in found.items():
                days = np.array(days)
                median = float(np.median(days[days < np.inf])) if (days < np.inf).any() else None
                share = (*rate(int((days < np.inf).sum()), lives), median)
                out.setdefault(name, {}).setdefault(str(sharpe), {})[age] = share
    return out


def coming(model, args):
    """Edges that are born and die; break-even for luck and after death."""
    days = int(args.years * YEAR)
    keys = ("false", "dead", "true", "edges", "edges found", "clones")
    out = {p.name: dict.fromkeys(keys, 0) for p in all_procedures()}
    for number in range(args.lives):
        rng = stream(args.seed, "coming", number)
        edges, day = [], -6 * YEAR
        while True:
            day += rng.exponential(YEAR / BIRTHS)
            death = day + rng.exponential(MEAN_LIFE * YEAR)
            sharpe = rng.uniform(2, 8)
            if day >= days:
                break
            if death > -model.holdout:
                edges.append((day, death, sharpe, 0))
        life = Life(model, rng, days, edges)
        # Those that live long enough, in the daemon's time, for a hold-out to show them.
        able = {i for i, (born, dead, *_) in enumerate(edges) if min(dead, days) - max(born, -model.holdout) > YEAR}
        for p in all_procedures():
            row, of = out[p.name], []
            for day, who, _ in p.run(life, [])[0]:
                if day >= days:
                    continue
                edge = life.clusters[who].edge
                if edge is None:
                    row["false"] += 1
                elif not life.alive(who, day):
                    row["dead"] += 1
                else:
                    row["true"] += 1
                    of.append(edge)
            row["edges"] += len(able)
            row["edges found"] += len(able & set(of))
            row["clones"] += len(of) - len(set(of))
    for row in out.values():
        all_of = row["false"] + row["dead"] + row["true"]
        total = args.lives * args.years
        row.update({"years": total, "false a year": row["false"] / total, "error": float(np.sqrt(row["false"]) / total),
                    "false share": row["false"] / max(all_of, 1), "not living share": (all_of - row["true"]) / max(all_of, 1),
                    "found share": rate(row["edges found"], max(row["edges"], 1)),
                    "live an edge": row["true"] / max(row["true"] - row["clones"], 1)})
    return out


def percent(pair):
    return f"{100 * pair[0]:.1f} ({100 * pair[1]:.1f})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def show(result):
    """All tables, as Markdown."""
    parts = []
    for key, title in (("noise break-even", "Noise, break-even"), ("noise costs", "Noise with costs (Sharpe -2)")):
        if key in result:
            rows = [(name, r["false"], f"{r['false a year']:.4f} ({r['error']:.4f})", r["lives with one"],
                     f"{r['tests a year']:.1f}") for name, r in result[key].items()]
            parts += [f"\n{title}: {next(iter(result[key].values()))['years']:.0f} daemon-years\n",
                      table(("procedure", "false", "a year (s.e.)", "lives with one", "tests a year"), rows)]
    if "age" in result:
        for sharpe in map(str, SHARPES):
            rows = [(name, *(percent(r[sharpe][age]) for age in AGES)) for name, r in result["age"].items()]
            parts += [f"\nSharpe {sharpe}: one session's candidate goes live, by age after a life on noise, % (s.e.)\n",
                      table(("procedure", *AGES), rows)]
        rows = [(name, *(r[age] for age in AGES)) for name, r in result["bars"].items()]
        parts += ["\nMedian bar that it meets, and the share of daemons that would not test it, %\n",
                  table(("procedure", *AGES), rows)]
    if "year" in result:
        for age in ("0", "1y", "3y"):
            def cell(r):
                return percent(r) + ("" if r[2] is None else f", {r[2]:.0f} d")
            rows = [(name, *(cell(r[str(s)][age]) for s in SHARPES)) for name, r in result["year"].items()]
            parts += [f"\nAn edge that can be found from age {age} on: live within a year, % (s.e.), median day\n",
                      table(("procedure", *(f"Sharpe {s}" for s in SHARPES)), rows)]
    if "coming" in result:
        rows = [(name, r["false"], f"{r['false a year']:.4f} ({r['error']:.4f})", r["dead"], r["true"],
                 f"{100 * r['false share']:.1f}", f"{100 * r['not living share']:.1f}", percent(r["found share"]),
                 f"{r['live an edge']:.2f}") for name, r in result["coming"].items()]
        parts += [f"\nEdges that come and go: {next(iter(result['coming'].values()))['years']:.0f} daemon-years\n",
                  table(("procedure", "false", "a year (s.e.)", "edge dead by then", "true", "false share, %",
                         "not living, %", "edges found, % (s.e.)", "live an edge"), rows)]
    if "dying" in result:
        parts += [shadow.text(result["dying"])]
    return "\n".join(parts)


def summary_of_bars(bars):
    out = {}
    for name, ages in bars.items():
        for age, met in ages.items():
            met = np.array(met)
            closed = 100 * np.isinf(met).mean()
            some = f"{np.exp(np.median(met[met < np.inf])):.3g}" if closed < 100 else "-"
            out.setdefault(name, {})[age] = some + (f" ({closed:.0f})" if closed else "")
    return out


def run(args):
    model = Model(holdout=args.holdout, shadow=args.shadow)
    for setting in args.set:
        name, _, value = setting.partition("=")
        kinds = {f.name: type(f.default) for f in dataclasses.fields(Model)}
        if name not in kinds:
            sys.exit(f"--set {setting}: there is no {name}; there are {', '.join(kinds)}")
        try:
            model = dataclasses.replace(model, **{name: kinds[name](value)})
        except ValueError:
            sys.exit(f"--set {setting}: {value!r} is not a number of the kind that {name} takes")
    result = {"seed": args.seed, "lives": args.lives, "years": args.years, "model": dataclasses.asdict(model)}
    if {"noise", "age"} & set(args.only):
        result["noise break-even"], bars = noise(model, args, 0, 0.0)
        if "noise" in args.only:
            result["noise costs"] = noise(model, args, 0, -2.0)[0]
        if "age" in args.only:
            result["age"], result["bars"] = by_age(model, args, bars), summary_of_bars(bars)
    if "year" in args.only:
        result["year"] = a_year(model, args)
    if "coming" in args.only:
        result["coming"] = coming(model, args)
    if "dying" in args.only:
        result["dying"] = shadow.table(args.seed, args.sessions, windows=((model.holdout, model.shadow),))
    return result


def parse(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lives", type=int, default=334, help="daemons of each kind; a third of them for `year`")
    parser.add_argument("--years", type=float, default=3, help="how long each lives; at most 10")
    parser.add_argument("--sessions", type=int, default=4000, help="sessions of each kind, for `dying`")
    parser.add_argument("--holdout", type=int, default=365, help="days")
    parser.add_argument("--shadow", type=int, default=180, help="days at most")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="another assumption of the model")
    parser.add_argument("--json", metavar="FILE", help="also everything as JSON")
    args = parser.parse_args(given)
    whole = [("seed", 0), ("lives", 1), ("sessions", 1), ("holdout", 30), ("shadow", 15)]
    for name, least in whole:
        if getattr(args, name) < least:
            parser.error(f"--{name} is at least {least}")
    if not 0.1 <= args.years <= 10:
        parser.error("--years lies between 0.1 and 10")
    return args


def main():
    args, began = parse(), time.monotonic()
    result = run(args)
    print(show(result))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1))
    print(f"\nseed {args.seed}, hold-out {args.holdout}, shadow {args.shadow}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
