"""Online procedures on one simulated life: what each tests, what it asks, what it promotes when.

Each takes a life and gives promotions, [(day, cluster, clone)], the bar as ln E that a new candidate of a session that
beat its null searches meets on each day of `ages` (infinite where it would not be tested), and tests begun.
"""

import heapq

import numpy as np
from model import NEVER, YEAR

MONTH = 30
NORM = 2.109743
RETEST = 180
A_SESSION = 3
CANDIDATES = 10


def gamma(n):
    """Sums to 1 over 1, 2, 3..."""
    m = np.asarray(n, dtype=float) + 1
    return 1 / (NORM * m * np.log(m) ** 2)


def harmonic(n):
    return (1 / np.arange(1, n + 1)).sum()


def e_lond_level(alpha, session, selected, rank):
    """That of `src/protocol/online.rs` with nothing promoted yet, for a session with p <= 0.05."""
    weight = 1 / ((rank + 1) * harmonic(CANDIDATES))
    return alpha * weight * ((0.4 * 20 + 0.5) * gamma(session) + 0.1 * gamma(selected))


def month_level(alpha, session, selected, rank, model):
    """The same error numbered by month, shared inside the month over its sessions as 1, 1/2, 1/3..."""
    length = MONTH * model.sessions
    month, inside = (session - 1) // length + 1, (session - 1) % length + 1
    weight = 1 / ((rank + 1) * harmonic(CANDIDATES))
    share = gamma(month) / harmonic(length)
    return alpha * weight * share * ((0.4 * 20 + 0.5) / inside + 0.1 / np.minimum(selected, inside))


class Sessions:
    """e-LOND over sessions, all candidates of those that beat their null searches (P0, P1)."""

    def __init__(self, name, alpha, monthly):
        self.name, self.alpha, self.monthly = name, alpha, monthly

    def level(self, life, session, selected, rank):
        if not self.monthly:
            return e_lond_level(self.alpha, session, selected, rank)
        first = (session - 1) // (MONTH * life.model.sessions) * MONTH
        before = np.concatenate([[0], np.cumsum(life.selected)])
        inside = selected - before[np.minimum(first, life.days)]
        return month_level(self.alpha, session, np.maximum(inside, 1), rank, life.model)

    def run(self, life, ages):
        before = np.concatenate([[0], np.cumsum(life.selected)])
        if not hasattr(life, "events"):
            life.events = self._events(life, before)
        events = life.events
        promoted = self._promote(life, events)
        bars = []
        for day in ages:
            r = sum(when < day for when, *_ in promoted)
            bars.append(-np.log(self.level(life, day * life.model.sessions + 1, before[min(day, life.days)] + 1, 0) * (r + 1)))
        return sorted(promoted), bars, len(events)

    @staticmethod
    def _events(life, before):
        m, events = life.model, []
        for day in np.flatnonzero(life.selected):
            which = np.flatnonzero(life.q[day])
            found = life.found[day]
            for rank, cluster in enumerate(found):
                for k in range(m.clones):
                    # Each clone at the first session of the day that has it on top; else lower in the last one.
                    at, low = (k, 0) if k < len(which) else (len(which) - 1, k - len(which) + 1)
                    if rank + low * len(found) < CANDIDATES:
                        place = (int(day) * m.sessions + int(which[at]) + 1, before[day] + at + 1)
                        clone = (life.clone[day] + k) % m.clones
                        events.append((int(day), cluster, int(clone), *place, rank + low * len(found)))
        return events

    def _promote(self, life, events):
        if not events:
            return []
        table = np.array(events)
        bars = -np.log(self.level(life, table[:, 3], table[:, 4], table[:, 5]))
        when = {}
        if not hasattr(life, "tops"):
            life.tops = np.full(len(table), -np.inf)
            for number, cluster in enumerate(life.clusters):
                mine = np.flatnonzero(table[:, 1] == number)
                if len(mine):
                    days, at = np.unique(table[mine, 0], return_inverse=True)
                    life.tops[mine] = cluster.best(days)[table[mine, 2], at]
        # No life has more clones than this to promote, so that nothing else can pass.
        most = np.log(1 + len(life.clusters) * life.model.clones)
        for i in np.flatnonzero(life.tops >= bars - most):
            (day, cluster, clone, *_), bar, top = events[i], bars[i], life.tops[i]
            if top < bar - np.log(1 + len(when)) or when.get((cluster, clone), np.inf) <= day:
                continue
            bar -= np.log(1 + sum(d < day for d in when.values()))
            passed = np.flatnonzero(life.clusters[cluster].path(clone, day)[1] >= bar)
            if len(passed):
                live = day + 1 + int(passed[0])
                when[cluster, clone] = min(live, when.get((cluster, clone), live))
        return [(d, *who) for who, d in when.items()]


class Clusters:
    """Tests of the best clone of each new cluster. Which tests begin, and what was paid for them, rests on search
    windows alone: a cluster that has gone live is tested no more, and pays as if it were."""

    # Sessions that did not beat their null searches may test as others do.
    all_alike = False

    def __init__(self, name, retest=RETEST):
        self.name, self.retest = name, retest

    def run(self, life, ages):
        self.begin(life)
        last, self.live, self.promoted, bars, tests = {}, set(), [], {}, 0
        wanted = set(ages)
        for day in range(max(life.days, max(ages, default=0) + 1)):
            self.turn(day)
            if day in wanted:
                bars[day] = self.bar(day, True)
            if day >= life.days:
                continue
            n = int(life.selected[day])
            selected = bool(life.q[day, 0]) if self.all_alike else n > 0
            # A session that did not beat its null searches tests one at most.
            left = A_SESSION * n if n else A_SESSION if self.all_alike else 1
            for cluster in life.found[day]:
                if left and day - last.get(cluster, -NEVER) >= self.retest and self.bar(day, selected) < np.inf:
                    last[cluster], left, tests = day, left - 1, tests + 1
                    self.test(life, day, cluster, int(life.clone[day]), selected)
        for day in range(life.days, life.days + life.model.shadow + 1):
            self.turn(day)
        return sorted(self.promoted), [bars[day] for day in ages], tests

    def promote(self, day, cluster, clone):
        if cluster not in self.live:
            self.live.add(cluster)
            self.promoted.append((day, cluster, clone))


class Account(Clusters):
    """A budget that renews: `b` expected false promotions a year, a quarter of it saved at most.

    A test costs b / n (P2), or a share of what is there (P6). Refunds of price x min(1, E) where it closes without a
    promotion come at once or after a hold-out's time (P3). With a memory, promotions of the last years lower the bar,
    `most` times at most (P5)."""

    def __init__(self, name, n=None, b=0.05, refunds=None, most=1.0, share=None, **more):
        super().__init__(name, **more)
        self.n, self.b, self.refunds, self.most, self.share = n, b, refunds, most, share

    def begin(self, life):
        self.balance = self.cap = self.b / 4
        self.coming, self.life = [], life

    def turn(self, day):
        if day:
            self.pay_in(0.75 * self.b / YEAR)
        while self.coming and self.coming[0][0] <= day:
            _, kind, *what = heapq.heappop(self.coming)
            if kind == 0:
                self.promote(day, *what)
            else:
                self.pay_in(what[0])

    def pay_in(self, amount):
        self.balance = min(self.cap, self.balance + amount)

    def price(self):
        return self.b / self.n if self.n else self.share * self.balance

    def reward(self, day, selected):
        """Of promotions in the last years, discounted by exp(-1) a year and by a whole shadow period."""
        if self.most == 1:
            return 1.0
        decayed = sum(np.exp(-(day - when + self.life.model.shadow) / YEAR) for when, *_ in self.promoted)
        return min(self.most, max(1.0, decayed))

    def bar(self, day, selected):
        allowed = selected or self.all_alike or self.balance >= self.cap * (1 - 1e-9)
        if not allowed or self.balance < self.price() * (1 - 1e-9):
            return np.inf
        return -np.log(self.price() * self.reward(day, selected))

    def test(self, life, day, cluster, clone, selected):
        bar, price = self.bar(day, selected), self.price()
        self.balance -= price
        if cluster in self.live:
            return
        first, path = life.clusters[cluster].path(clone, day)
        passed = np.flatnonzero(path >= bar)
        if len(passed):
            heapq.heappush(self.coming, (day + 1 + int(passed[0]), 0, cluster, clone))
        elif self.refunds:
            closed, log_e = day, first
            if first >= 0:
                closed, log_e = day + life.model.shadow, life.clusters[cluster].end(clone, day)
            later = life.model.holdout if self.refunds == "late" else 0
            heapq.heappush(self.coming, (closed + later, 1, price * float(np.exp(min(0.0, log_e)))))


class Conditional(Account):
    """Every new cluster pays, whether its session beat its null searches or not; half of the price is for its evidence
    alone, half for 20 x 1{p <= 0.05} x evidence (P7). Holds only where the null markets are like the real one."""

    all_alike = True

    def reward(self, day, selected):
        return 0.5 + (10.0 if selected else 0.0)


class Months(Clusters):
    """Clusters numbered inside months: e-LOND (P1), or online e-BH on current e-values of all open tests (P4)."""

    def __init__(self, name, alpha, current):
        super().__init__(name)
        self.alpha, self.current = alpha, current

    def begin(self, life):
        self.month, self.inside, self.open, self.life = 0, 0, [], life

    def turn(self, day):
        if day % MONTH == 0:
            self.month, self.inside = day // MONTH + 1, 0
        if not self.current:
            self.open, due = [t for t in self.open if t[0] > day], [t for t in self.open if t[0] <= day]
            for _, cluster, clone in due:
                self.promote(day, cluster, clone)
            return
        # The largest set, together with those promoted, whose members all reach 1 / (level x its size).
        self.open = [t for t in self.open if day - t[0] <= self.life.model.shadow and t[2] not in self.live]
        now = [(t[4] + t[1][day - t[0] - 1], t) for t in self.open if day > t[0] and t[1][day - t[0] - 1] > -np.inf]
        now.sort(key=lambda pair: -pair[0])
        for k in range(len(now), 0, -1):
            if now[k - 1][0] >= -np.log(len(self.promoted) + k):
                for _, test in now[:k]:
                    self.promote(day, test[2], test[3])
                break

    def log_level(self):
        return float(np.log(self.alpha * gamma(self.month) * gamma(self.inside + 1)))

    def bar(self, day, selected):
        return -self.log_level() - np.log(len(self.promoted) + 1) if selected else np.inf

    def test(self, life, day, cluster, clone, selected):
        bar, level = self.bar(day, selected), self.log_level()
        self.inside += 1
        if cluster in self.live:
            return
        path = life.clusters[cluster].path(clone, day)[1]
        if self.current:
            self.open.append((day, path, cluster, clone, level))
        else:
            passed = np.flatnonzero(path >= bar)
            if len(passed):
                self.open.append((day + 1 + int(passed[0]), cluster, clone))


def all_procedures():
    out = []
    for alpha in (0.15, 0.05):
        out += [Sessions(f"P0 e-LOND by session, {alpha}", alpha, False),
                Sessions(f"P1 by month, sessions, {alpha}", alpha, True),
                Months(f"P1 by month, clusters, {alpha}", alpha, False),
                Months(f"P4 online e-BH, {alpha}", alpha, True)]
    out += [Account(f"P2 account, N = {n}", n) for n in (12, 20, 30, 50)]
    out += [Account("P2 again after 60 days, N = 20", 20, retest=60),
            Account("P3 refunds at once, N = 20", 20, refunds="now")]
    out += [Account(f"P3 refunds late, N = {n}", n, refunds="late") for n in (12, 20, 30)]
    out += [Account("P5 memory of a year, N = 20", 20, most=4.0),
            Account("P6 a share of 0.1", share=0.1),
            Account("P6 a share of 0.2", share=0.2),
            Account("P6 a share of 0.2, again after 60 days", share=0.2, retest=60),
            Account("P6 a share of 0.2, late refunds, again after 60", share=0.2, refunds="late", retest=60),
            Account("P6 a share of 0.3, late refunds, again after 60", share=0.3, refunds="late", retest=60),
            Conditional("P7 with null markets, N = 50", 50, refunds="late", retest=60)]
    return out
