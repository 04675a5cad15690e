"""Daemon lives at the level of statistics: what sessions find, and how it does afterwards; no candle, no search.

A life is a list of days with 25 sessions each (24 hourly ones and the daily batch). A session ends at day d, has
searched the 365 days before d - H, holds out the H days before d, and its candidates may stay in shadow to d + S.

- A search that finds luck has a best t-statistic of 3 + 0.5 x score. The score is 1 in variance, 70 % of it an OU
  process in market time with a time constant of 20 days (sessions that share their candles share their luck), 30 %
  the session's own seed. It beats its null searches (q, p <= 0.05) where the score is above 1.645, 5 % of the time.
- Three clusters of luck are there at any time, each for some 60 days; a session's ten candidates are clones from the
  clusters it finds, correlated 0.9 inside one, independent between them.
- An edge is one cluster. The Sharpe ratio is what it gives whoever knows it; each clone knows a share, U(0.65, 0.95).
  It is found while its t-statistic over the search window, luck included, is above 2, and beats the null searches
  above 3 + 0.5 x 1.645. Before its birth and after its death its clones earn what luck earns.
- Luck has a Sharpe ratio of 0 (break-even) or -2 (costs).
- Results are Gaussian by the day, of variance 1. Bets are 0.1, 0.25, 0.45, 0.7 and 1 times the growth-optimal fraction
  of the search window's Sharpe ratio, which is U(1.2, 1.8) times the true one, and U(2, 4) for luck.
"""

import dataclasses

import numpy as np

YEAR = 365.0
SHARES = np.array([0.1, 0.25, 0.45, 0.7, 1.0])
WEIGHTS = np.array([0.10, 0.20, 0.30, 0.25, 0.15])
SELECTED = 1.645
NEVER = 10**6


@dataclasses.dataclass(frozen=True)
class Model:
    """What is assumed. Days where nothing else is said."""

    holdout: int = 365
    shadow: int = 180
    search: int = 365
    sessions: int = 25
    luck_days: float = 20.0
    own_luck: float = 0.3
    lucky_clusters: int = 3
    lucky_life: float = 60.0
    lucky_longest: int = 180
    clones: int = 4
    likeness: float = 0.9
    null_t: float = 3.0
    null_spread: float = 0.5
    found_t: float = 2.0
    luck_sharpe: float = 0.0
    # Shadow alone.
    least: float = 5.0
    promise: float = 0.5
    days: int = 14


def log_mean(logs, weights=WEIGHTS):
    """ln of the weighted mean of exp(logs) over the last axis."""
    most = logs.max(axis=-1, keepdims=True)
    return most[..., 0] + np.log((weights * np.exp(logs - most)).sum(axis=-1))


def log_e(kelly, gain, days):
    """ln E of the mixture after `days` days that earned `gain`, in daily standard deviations."""
    f = SHARES * np.asarray(kelly)[..., None]
    return log_mean(f * np.asarray(gain)[..., None] - f * f / 2 * np.asarray(days)[..., None])


def asked_of(model, first):
    """ln E that shadow alone has to show after a hold-out of ln E = `first`."""
    return np.maximum(np.log(model.least), model.promise * first * model.shadow / model.holdout)


def judge(model, kelly, held, later):
    """ln E of the hold-out that earned `held`, and ln E of hold-out and shadow by the day of shadow, where shadow alone
    shows what is asked of it, -inf elsewhere. `later` is what shadow has earned by each day, along the last axis."""
    first = log_e(kelly, held, np.full(np.shape(held), model.holdout))
    after = np.arange(1, model.shadow + 1)
    kelly, held = np.asarray(kelly)[..., None], np.asarray(held)[..., None]
    total = log_e(np.broadcast_to(kelly, later.shape), held + later, np.broadcast_to(model.holdout + after, later.shape))
    asked = asked_of(model, first)[..., None]
    passed = (total - first[..., None] >= asked) & (after >= model.days) & (first >= 0)[..., None]
    return first, np.where(passed, total, -np.inf)


class Cluster:
    """Clones that are one hypothesis."""

    def __init__(self, model, rng, span, mean, kelly, edge=None):
        # The day of the first result, and means by the day: of the clones (clones, days).
        self.model, self.start, self.kelly, self.edge = model, span[0], kelly, edge
        n, shape = span[1] - span[0], (model.clones, span[1] - span[0])
        both = np.sqrt(model.likeness) * rng.standard_normal(n)
        x = both + np.sqrt(1 - model.likeness) * rng.standard_normal(shape) + mean
        self.sums = np.concatenate([np.zeros((model.clones, 1)), np.cumsum(x, axis=1)], axis=1)
        self.paths = {}

    def at(self, day):
        return self.sums[:, np.asarray(day) - self.start]

    def path(self, clone, day):
        """ln E of the hold-out, and of hold-out and shadow by the day, of the clone that a session found."""
        if (clone, day) not in self.paths:
            held = self.at(day)[clone] - self.at(day - self.model.holdout)[clone]
            later = self.at(np.arange(day + 1, day + self.model.shadow + 1))[clone] - self.at(day)[clone]
            self.paths[clone, day] = judge(self.model, self.kelly[clone], held, later)
        return self.paths[clone, day]

    def end(self, clone, day):
        """ln E of hold-out and shadow when shadow is over."""
        m = self.model
        gain = self.at(day + m.shadow)[clone] - self.at(day - m.holdout)[clone]
        return float(log_e(self.kelly[clone], gain, m.holdout + m.shadow))

    def best(self, days):
        """The largest ln E of hold-out and shadow that would count, (clones, days)."""
        h, s = self.model.holdout, self.model.shadow
        held, out = self.at(days) - self.at(days - h), np.full((self.model.clones, len(days)), -np.inf)
        entered = np.argwhere(log_e(self.kelly[:, None] + 0 * held, held, np.full(held.shape, h)) >= 0)
        after = np.arange(1, s + 1)
        for some in np.array_split(entered, len(entered) // 1000 + 1):
            k, d = some[:, 0], days[some[:, 1]]
            later = self.sums[k[:, None], d[:, None] - self.start + after] - self.sums[k, d - self.start][:, None]
            first, total = held[k, some[:, 1]], 0.0
            for share, weight in zip(SHARES, WEIGHTS):
                f = (share * self.kelly[k])[:, None]
                # In single precision, which is enough for a power and much faster.
                logs = f * (first[:, None] + later) - f * f / 2 * (h + after)
                total = total + weight * np.exp(np.minimum(logs, 80).astype(np.float32))
            first = log_e(self.kelly[k], first, np.full(len(k), h))
            asked = np.exp(np.minimum(first + asked_of(self.model, first), 80))[:, None]
            good = np.where((total >= asked) & (after >= self.model.days), total, 0).max(axis=1, initial=0)
            out[k, some[:, 1]] = np.log(np.maximum(good, 1e-30))
        return out


class Life:
    """What the sessions of a daemon find."""

    def __init__(self, model, rng, days, edges=()):
        """`edges` are (birth, death, Sharpe ratio, first day on which searches can find it)."""
        self.model, self.days, self.edges = model, days, edges
        score = self._luck(rng)
        self.clusters, found = [], [[] for _ in range(days)]
        for slot in range(model.lucky_clusters):
            # The first is there already.
            day = -int(rng.exponential(model.lucky_life))
            while day < days:
                last = day + 1 + min(int(rng.exponential(model.lucky_life)), model.lucky_longest)
                if last > 0:
                    span = (max(day, 0), min(last, days))
                    self._lucky(rng, span)
                    for d in range(*span):
                        found[d].append((model.null_t - 0.3 * slot, len(self.clusters) - 1))
                day = last
        strong = np.full(days, -np.inf)
        for number, edge in enumerate(edges):
            t = self._edge(rng, number, edge)
            strong = np.maximum(strong, t)
            for d in np.flatnonzero(t >= model.found_t):
                found[d].append((t[d], len(self.clusters) - 1))
        own = rng.standard_normal((days, model.sessions))
        bar = model.null_t + model.null_spread * SELECTED
        self.q = (score > SELECTED) | (strong[:, None] + 0.3 * own >= bar)
        self.selected = self.q.sum(axis=1)
        # Numbers of clusters by rank, and each one's best clone that day.
        self.found = [[number for _, number in sorted(day, reverse=True)] for day in found]
        self.clone = rng.integers(model.clones, size=days)

    def _luck(self, rng):
        m, keep = self.model, np.exp(-1 / self.model.luck_days)
        steps, shared = rng.standard_normal(self.days), np.empty(self.days)
        now = rng.standard_normal()
        for day, step in enumerate(steps):
            now = keep * now + np.sqrt(1 - keep * keep) * step
            shared[day] = now
        own = rng.standard_normal((self.days, m.sessions))
        return np.sqrt(1 - m.own_luck) * shared[:, None] + np.sqrt(m.own_luck) * own

    def _lucky(self, rng, span):
        m = self.model
        kelly = rng.uniform(2, 4, m.clones) / np.sqrt(YEAR)
        reach = (span[0] - m.holdout, span[1] + m.shadow)
        self.clusters.append(Cluster(m, rng, reach, m.luck_sharpe / np.sqrt(YEAR), kelly))

    def _edge(self, rng, number, edge):
        """Adds its cluster; its t-statistic by the day."""
        m, (birth, death, sharpe, seen) = self.model, edge
        span = (-m.search - m.holdout, self.days + m.shadow)
        share = rng.uniform(0.65, 0.95, m.clones)
        kelly = rng.uniform(1.2, 1.8, m.clones) * share * sharpe / np.sqrt(YEAR)
        day = np.arange(*span)
        alive = (day >= birth) & (day < death)
        mean = np.where(alive, share[:, None] * sharpe, m.luck_sharpe) / np.sqrt(YEAR)
        cluster = Cluster(m, rng, span, mean, kelly, number)
        self.clusters.append(cluster)
        days = np.arange(self.days)
        t = (cluster.at(days - m.holdout) - cluster.at(days - m.holdout - m.search)).max(axis=0) / np.sqrt(m.search)
        return np.where(days >= seen, t, -np.inf)

    def alive(self, cluster, day):
        """Whether what it trades on is there."""
        number = self.clusters[cluster].edge
        return number is not None and self.edges[number][0] <= day < self.edges[number][1]


def bank(model, rng, sharpe, n, known=(0.65, 0.95)):
    """The largest ln E that would count, sorted, of n candidates that enter shadow or not and
    whose edge lives throughout."""
    known = rng.uniform(*known, n) * sharpe / np.sqrt(YEAR)
    kelly = known * rng.uniform(1.2, 1.8, n)
    out = []
    for mean, bet in zip(np.array_split(known, 8), np.array_split(kelly, 8)):
        held = mean * model.holdout + np.sqrt(model.holdout) * rng.standard_normal(len(mean))
        later = np.cumsum(mean[:, None] + rng.standard_normal((len(mean), model.shadow)), axis=1)
        out.append(judge(model, bet, held, later)[1].max(axis=1))
    return np.sort(np.concatenate(out))
