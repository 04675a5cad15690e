// Everything at a glance: what is live beside the market, what is on its way, whether the search finds more than luck,
// what happened last, whether it is well.

import {
  card,
  cell,
  day,
  h,
  isNumber,
  number,
  percent,
  read,
  short,
  sign,
  since,
  span,
  state,
  table,
  time,
} from "./base.js";
import { lines } from "./charts.js";
import { meter } from "./evidence.js";

const tile = (name, value, href) =>
  h(href ? "a" : "div", { class: "tile", href }, h("b", {}, value), h("span", {}, name));

function tiles(stats) {
  const s = stats.strategies;
  const t = stats.transitions;
  return [
    ...["live", "shadow", "candidate", "disabled"].map((name) =>
      tile(name, short(s[name]), `#/strategies?state=${name}`),
    ),
    tile("entered shadow, ever", short(t.enter_shadow ?? 0)),
    tile("promoted to live, ever", short(t.go_live ?? 0)),
    tile("demoted, ever", short(t.demote ?? 0)),
    tile("backtests", short(stats.evaluations), "#/evolution"),
  ];
}

const healthRows = (checks) =>
  table(
    ["part", "status"],
    Object.entries(checks).map(([name, check]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("span", { class: `dot ${check.status}` }, h("span", {}, name))),
        h("td", {}, check.detail),
      ),
    ),
  );

const overall = (status) => h("span", { class: `dot health ${status}` }, h("span", { class: "small soft" }, status));

/** What one unit became, by day. */
function growth(days, key) {
  let level = 1;
  return days.map((d) => {
    if (d[key] === null) return null;
    level *= 1 + d[key];
    return level - 1;
  });
}

function liveEquity(days) {
  if (days.length < 2) return h("p", { class: "soft" }, "Live strategies have no two days yet that can be compared.");
  const of = (name, color, key, more = {}) => ({ name, color, points: false, data: growth(days, key), ...more });
  const chart = lines(
    days.map((d) => Date.parse(d.day) / 1000 + 86400),
    [
      of("live, by allocation", "live", "weighted_return", { width: 2.2 }),
      of("live, equal weight", "shadow", "equal_return"),
      of("buy and hold of their symbols", "backtest", "benchmark_return", { dash: [5, 4] }),
    ],
    { height: 240, form: (v) => percent(v) },
  );
  return h(
    "div",
    {},
    chart,
    h(
      "p",
      { class: "small soft" },
      "Paper returns of the strategies that were live on each day, net of costs; days of market time.",
    ),
  );
}

const liveRows = (live) =>
  table(
    ["strategy", "phase", "#allocation", "#return", "#max drawdown", "#trades", "#costs", "since"],
    live.map((s) =>
      h(
        "tr",
        {},
        h("td", {}, h("a", { href: `#/strategy/${s.number}` }, s.name)),
        h(
          "td",
          { class: s.status === "paused" ? "warn" : "", title: s.reason ?? "" },
          s.status === "paused" ? `paused: ${s.reason ?? "no reason is on record"}` : (s.phase ?? "–"),
        ),
        cell(s.allocation_pct === null ? "–" : `${number(s.allocation_pct, 1)} %`),
        cell(percent(s.total_return), sign(s.total_return)),
        cell(percent(s.max_drawdown)),
        cell(number(s.trades)),
        cell(number(s.costs, 0)),
        h("td", { class: "when" }, day(s.since_ms)),
      ),
    ),
    "Nothing is live.",
  );

const shadowRows = (shadow) =>
  table(
    ["strategy", "evidence", "live, expected", "#return", "#trades"],
    shadow.map((s) =>
      h(
        "tr",
        {},
        h("td", {}, h("a", { href: `#/strategy/${s.strategy_id}` }, s.name)),
        h("td", {}, meter(s.log_e, s.log_needed)),
        h("td", { class: "when" }, s.expected_ms === null ? "not foreseeable" : day(s.expected_ms)),
        cell(percent(s.total_return), sign(s.total_return)),
        cell(number(s.trades)),
      ),
    ),
    "Nothing is in shadow.",
  );

/** A bar of each kind of session: the share that got so far. */
function bars(p) {
  const steps = [
    ["beat their null searches", (x) => x.beat_null_searches],
    ["entered shadow", (x) => x.entered_shadow],
  ];
  const share = (x, of) => (x.sessions ? of(x) / x.sessions : 0);
  const bar = (name, kind, x, of) =>
    h(
      "div",
      { class: "bar-row" },
      h("span", { class: "small" }, name),
      h("meter", {
        min: 0,
        max: 1,
        value: share(x, of),
        class: kind,
        "aria-label": `${name}: ${percent(share(x, of), 0)}`,
      }),
      h(
        "span",
        { class: "small n" },
        x.sessions ? `${percent(share(x, of), 0)} (${number(of(x))} of ${number(x.sessions)})` : "no session yet",
      ),
    );
  return steps.map(([name, of]) =>
    h(
      "div",
      { class: "bars" },
      h("h3", {}, `Sessions that ${name}`),
      bar("real", "real", p.real, of),
      bar("placebo", "placebo", p.placebo, of),
    ),
  );
}

/** Real sessions beside sessions on markets in which there is nothing to find, through the same code and gates. */
function placebo(p) {
  const verdict = p.promotions_frozen
    ? h("p", { class: "down" }, "Promotions are frozen: placebo sessions enter shadow as often as real ones.")
    : h("p", { class: "small soft" }, placeboVerdict(p));
  return [
    ...bars(p),
    verdict,
    h(
      "p",
      { class: "small soft" },
      `Promoted to live: ${number(p.real.promoted)} real, ${number(p.placebo.promoted)} placebo. ${short(p.null_searches)} null searches, ${short(p.null_evaluations)} backtests.`,
    ),
  ];
}

function placeboVerdict(p) {
  if (p.p_value !== null)
    return `Fisher test that real sessions enter shadow more often: p = ${number(p.p_value, 3)} (one-sided).`;
  if (!p.placebo.sessions) return "No placebo session has ended yet: nothing to compare with.";
  if (!p.real.entered_shadow && !p.placebo.entered_shadow)
    return "Nothing has entered shadow in either: nothing to compare.";
  return "No placebo session has bought a test yet: nothing to compare with.";
}

export const newsLine = (t) =>
  h(
    "li",
    {},
    h("span", { class: "when" }, `${time(t.at_ms)} `),
    h("a", { href: `#/strategy/${t.strategy_uuid}` }, t.strategy),
    " ",
    state(t.from),
    " → ",
    state(t.to),
    h("div", { class: "small soft" }, t.summary),
  );

/** In order of market time, the newest first. */
const news = (all) =>
  all.length
    ? [...all].sort((a, b) => b.at_ms - a.at_ms || b.seq - a.seq).map(newsLine)
    : [h("li", { class: "soft" }, "Nothing has moved yet.")];

/** The best of a search under way beside its null searches, in words; nothing before there is anything to compare. */
function besideNulls(s) {
  const nulls = s.null_statistics ?? [];
  if (!isNumber(s.statistic) || !nulls.length) return null;
  const good = nulls.filter((v) => isNumber(v) && v >= s.statistic).length;
  return h(
    "p",
    { class: "small soft" },
    `Best statistic ${number(s.statistic, 1)}; ${number(good)} of ${number(nulls.length)} null searches as good.`,
  );
}

/** `draw(session)` adds what there is room for. */
export function searches(all, stats, draw = () => null) {
  if (!all.length) {
    const newest = stats.last_generation;
    return [h("p", { class: "soft" }, "No search is under way. Last generation: ", since(newest), ".")];
  }
  return all.map((s) => {
    const took = (Date.parse(s.stored_at) - Date.parse(s.started_at)) / 1000;
    const step = s.null_searches_done
      ? `null search ${number(s.null_searches_done)} of at most ${number(s.null_searches)}`
      : s.compared
        ? "null searches begin"
        : `generation ${number(s.generations_done)} of ${number(s.generations)}`;
    return h(
      "div",
      { class: "under-way" },
      h("p", {}, h("b", {}, `${s.island}, session ${number(s.number)}`), `: ${step}`),
      h("meter", { min: 0, max: 1, value: s.done_fraction, "aria-label": `${percent(s.done_fraction, 0)} done` }),
      h(
        "p",
        { class: "small soft" },
        `${percent(s.done_fraction, 0)} of the most there is to do; ${short(s.evaluations)} backtests, ` +
          `${took > 0 ? short(s.evaluations / took) : "–"} a second; at most ${span(s.left_s)} to go. Best fitness ${number(s.best_fitness, 1)}.`,
      ),
      besideNulls(s),
      draw(s),
    );
  });
}

function tests(t) {
  if (!t) return [h("p", { class: "soft" }, "No session has ended yet.")];
  const line = (name, value) => h("tr", {}, h("th", { scope: "row" }, name), cell(value));
  return [
    table(
      ["", ""],
      [
        line(
          "E at which a candidate tested now goes live",
          t.promotion_threshold === null
            ? `none is tested before ${day(new Date(t.sells).getTime())}`
            : number(t.promotion_threshold, 0),
        ),
        line("lowest threshold, with a full account", number(t.least_threshold, 0)),
        line("account is full again, without tests", t.full ? day(new Date(t.full).getTime()) : "now"),
        line("tests in the last market year", number(t.bought_last_year)),
        line(
          "expected false promotions, of those allowed a year",
          `${number(t.spent_last_year, 3)} of ${number(t.allowed_per_year, 3)}`,
        ),
      ],
    ),
    h("p", { class: "small soft" }, "The threshold rises with each test and falls with market time."),
  ];
}

/** What the operator wants beside what is. */
function targets(wanted, stats) {
  const known = stats.islands.map((i) => i.mean_fitness).filter(isNumber);
  const fitness = known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
  const failed = stats.evaluations ? stats.failed_backtests / stats.evaluations : null;
  const rows = [
    ["live strategies", stats.strategies.live, wanted.live_strategies, true, number],
    ["mean fitness, newest generation", fitness, wanted.mean_fitness, true, (v) => number(v, 1)],
    ["promotions in 30 market days", stats.promoted_lately, wanted.promotions_per_30_days, true, number],
    ["demotions in 30 market days", stats.demoted_lately, wanted.demotions_per_30_days, false, number],
    ["backtests that failed", failed, wanted.failed_backtests, false, (v) => percent(v, 2)],
  ];
  const line = ([name, is, goal, least, form]) => {
    const met = isNumber(is) && (least ? is >= goal : is <= goal);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      cell(form(is)),
      cell(`${least ? "≥" : "≤"} ${form(goal)}`),
      h("td", { class: isNumber(is) ? (met ? "ok" : "warn") : "soft" }, isNumber(is) ? (met ? "met" : "missed") : "–"),
    );
  };
  return [table(["", "#is", "#target", ""], rows.map(line))];
}

/** What is filled anew by each reading, by the name of its card. */
function contents(all) {
  return {
    search: searches(all.searches, all.stats),
    equity: [liveEquity(all.live_days), liveRows(all.live)],
    shadow: [shadowRows(all.shadow)],
    placebo: placebo(all.stats.protocol),
    news: [h("ul", { class: "feed" }, news(all.news))],
    tests: tests(all.stats.protocol.tests),
    health: [healthRows(all.health.checks)],
    targets: targets(all.targets, all.stats),
  };
}

export async function page({ signal }) {
  let all = await read("/api/overview", {}, signal);
  const top = h("div", { class: "tiles" }, tiles(all.stats));
  const status = h("span", {}, overall(all.health.status));
  const parts = Object.fromEntries(Object.keys(contents(all)).map((name) => [name, h("div", {})]));
  const told = {};
  const fill = () => {
    top.replaceChildren(...tiles(all.stats));
    status.replaceChildren(overall(all.health.status));
    const data = {
      search: [all.searches, all.stats.last_generation],
      equity: [all.live_days, all.live],
      shadow: all.shadow,
      placebo: all.stats.protocol,
      news: all.news,
      tests: all.stats.protocol.tests,
      health: all.health.checks,
      targets: [all.stats.islands, all.stats.evaluations, all.stats.promoted_lately, all.stats.demoted_lately],
    };
    const made = contents(all);
    for (const [name, value] of Object.entries(data)) {
      // What says the same as before stays, with what is scrolled and selected in it.
      const text = JSON.stringify(value);
      if (told[name] === text) continue;
      told[name] = text;
      parts[name].replaceChildren(...made[name]);
    }
  };
  fill();
  return {
    title: "Overview",
    content: [
      h("h1", {}, "Overview ", status),
      h(
        "div",
        { class: "grid" },
        top,
        h(
          "div",
          { class: "w8 stack" },
          card("", "Live on paper, beside buy and hold", parts.equity),
          card("", "In shadow, on the way to the threshold", parts.shadow),
          card("", "What happened last", parts.news),
        ),
        h(
          "div",
          { class: "w4 stack" },
          card("", "Placebo control", parts.placebo),
          card("", "Search under way", parts.search),
          card("", "Price of a test", parts.tests),
          card("", "Targets", parts.targets),
          card("", "Health", parts.health),
        ),
      ),
    ],
    live: {
      stats: (stats) => {
        all = { ...all, stats };
        fill();
      },
      transition: (t) => {
        all = { ...all, news: [t, ...all.news.filter((one) => one.seq !== t.seq)].slice(0, 60) };
        fill();
      },
      health: (health) => {
        all = { ...all, health };
        fill();
      },
      tick: async () => {
        try {
          all = await read("/api/overview", {}, signal);
          fill();
        } catch {
          /* it is told that nothing answers */
        }
      },
    },
  };
}
