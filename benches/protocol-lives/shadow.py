"""Edges that die when shadow begins, and edges that live: how many sessions get a candidate through, by the rule for
shadow alone. All rules ask for half of what the hold-out promised, too, for 14 days, and for E of hold-out and shadow
together of 400.

Ten candidates in c clusters, correlated 0.9 inside one and as said between them.
"""

import numpy as np
from model import YEAR, Model, log_e

CANDIDATES = 10
TOTAL = 400.0


def harmonic_weights(n):
    w = 1 / np.arange(1, n + 1)
    return w / w.sum()


def five_to_one(e, _):
    """Each at 5."""
    return e >= 5


def split(delta):
    """The candidate number k at k times the harmonic sum over delta (Bonferroni with weights)."""
    def rule(e, inside):
        order = np.cumsum(inside, axis=1)
        total = np.where(inside, 1 / np.maximum(order, 1), 0).sum(axis=1, keepdims=True)
        return e >= (order * total / delta)[..., None]
    return rule


def e_bh(delta):
    """The largest set of k that are all at n / (k delta), on current values."""
    def rule(e, inside):
        n = inside.sum(axis=1)[:, None, None]
        down = -np.sort(-e, axis=1)
        k = np.arange(1, e.shape[1] + 1)[None, :, None]
        size = np.where(down >= n / (k * delta), k, 0).max(axis=1, keepdims=True)
        return (size > 0) & (e >= n / (np.maximum(size, 1) * delta))
    return rule


def closed(delta):
    """Closed testing with plain means."""
    def rule(e, inside):
        short = np.where(inside[..., None], np.maximum(1 / delta - e, 0), 0)
        return e - 1 / delta >= short.sum(axis=1, keepdims=True) - short
    return rule


# Name, rule, whether only the best of each cluster enters.
RULES = [("a 5 to 1, all ten", five_to_one, False), ("a 5 to 1, one a cluster", five_to_one, True),
         ("b split 0.05, one a cluster", split(0.05), True), ("b split 0.1, one a cluster", split(0.1), True),
         ("b split 0.05, all ten", split(0.05), False),
         ("c e-BH 0.2, all ten", e_bh(0.2), False), ("c e-BH 0.05, all ten", e_bh(0.05), False),
         ("c e-BH 0.05, one a cluster", e_bh(0.05), True),
         ("d closed 0.05, all ten", closed(0.05), False), ("d closed 0.05, one a cluster", closed(0.05), True)]


def sessions(model, rng, sharpe, after, clusters, between, n):
    """E of shadow alone by the day, whether promise, days and total are met, who entered; (n, 10, days). `after` is the
    Sharpe ratio of shadow, `None` for that of the edge."""
    of = np.arange(CANDIDATES) % clusters

    def noise(days):
        common, own = rng.standard_normal((n, 1, days)), rng.standard_normal((n, clusters, days))
        each = rng.standard_normal((n, CANDIDATES, days))
        inside = np.sqrt(between) * common + np.sqrt(1 - between) * own[:, of]
        return np.sqrt(model.likeness) * inside + np.sqrt(1 - model.likeness) * each
    known = rng.uniform(0.65, 0.95, (n, CANDIDATES)) * sharpe / np.sqrt(YEAR)
    kelly = known * rng.uniform(1.2, 1.8, (n, CANDIDATES))
    # The sum of a hold-out's days has the law of one day, scaled.
    held = known * model.holdout + np.sqrt(model.holdout) * noise(1)[..., 0]
    drift = known[..., None] if after is None else after / np.sqrt(YEAR)
    later = np.cumsum(drift + noise(model.shadow), axis=2)
    days = np.arange(1, model.shadow + 1)
    first = log_e(kelly, held, np.full(held.shape, model.holdout))
    total = log_e(np.broadcast_to(kelly[..., None], later.shape), held[..., None] + later,
                  np.broadcast_to(model.holdout + days, later.shape))
    alone = total - first[..., None]
    promised = (model.promise * first * model.shadow / model.holdout)[..., None]
    entered = first >= 0
    met = (alone >= promised) & (total >= np.log(TOTAL)) & (days >= model.days) & entered[..., None]
    return np.where(entered[..., None], np.exp(np.minimum(alone, 300)), 0), met, entered


def table(seed, n, windows=((365, 180), (150, 60)), sharpes=(3, 4, 5, 7, 10), clusters=(1, 3, 10), between=0.0):
    rows = []
    for holdout, shadow in windows:
        model = Model(holdout=holdout, shadow=shadow)
        for sharpe in sharpes:
            for c in clusters:
                for world, after in (("dies to 0", 0.0), ("dies to -2", -2.0), ("lives", None)):
                    rng = np.random.default_rng([seed, holdout, int(sharpe * 10), c, len(world), int(between * 10)])
                    through = np.zeros(len(RULES))
                    done = 0
                    while done < n:
                        size = min(250, n - done)
                        e, met, entered = sessions(model, rng, sharpe, after, c, between, size)
                        for i, (_, rule, one) in enumerate(RULES):
                            few = slice(0, c) if one else slice(None)
                            through[i] += (rule(e[:, few], entered[:, few]) & met[:, few]).any(axis=(1, 2)).sum()
                        done += size
                    for (name, *_), count in zip(RULES, through):
                        rows.append({"holdout": holdout, "shadow": shadow, "sharpe": sharpe, "clusters": c,
                                     "between": between, "world": world, "rule": name, "sessions": n,
                                     "through": count / n, "error": float(np.sqrt(count / n * (1 - count / n) / n))})
    return rows


def text(rows):
    """Worst over clusters and Sharpe ratios, and by Sharpe ratio, %."""
    lines = []
    for window in sorted({(r["holdout"], r["shadow"]) for r in rows}, reverse=True):
        here = [r for r in rows if (r["holdout"], r["shadow"]) == window]
        sharpes = sorted({r["sharpe"] for r in here})
        for world in ("dies to 0", "dies to -2", "lives"):
            what = f"hold-out {window[0]}, shadow {window[1]}, the edge {world}: % of sessions with one through"
            lines += ["", f"{what}, 1 / 3 / 10 clusters", "", "| rule | " + " | ".join(f"Sharpe {s}" for s in sharpes) + " |",
                      "|---" * (len(sharpes) + 1) + "|"]
            for name, *_ in RULES:
                cells = []
                for s in sharpes:
                    some = [r for r in here if (r["world"], r["rule"], r["sharpe"]) == (world, name, s)]
                    cells.append(" / ".join(f"{100 * r['through']:.1f}" for r in some))
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
