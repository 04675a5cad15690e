// The search: fitness and diversity over generations, niches, islands, sessions.

import {
  card,
  cell,
  day,
  h,
  isNumber,
  number,
  percent,
  ratio,
  read,
  short,
  since,
  state,
  table,
  time,
} from "./base.js";
import { lines } from "./charts.js";
import { searches } from "./overview.js";

/** One line an island over running generations. */
function byIsland(rows, of) {
  const names = [...new Set(rows.map((g) => g.island))].sort();
  const colors = ["live", "holdout", "shadow", "backtest", "accent", "loss"];
  return names.map((name, i) => ({
    name,
    color: colors[i % colors.length],
    data: rows.map((g) => (g.island === name ? of(g) : null)),
  }));
}

function charts(generations) {
  const rows = [...generations].reverse();
  const xs = rows.map((_, i) => i + 1);
  const many = new Set(rows.map((g) => g.island)).size > 1;
  const per = { overTime: false, xname: "generation", height: 230 };
  const fitness = many
    ? byIsland(rows, (g) => g.best_fitness)
    : [
        { name: "best", color: "live", data: rows.map((g) => g.best_fitness) },
        { name: "mean", color: "shadow", data: rows.map((g) => g.mean_fitness) },
        { name: "median", color: "holdout", data: rows.map((g) => g.median_fitness) },
      ];
  const seconds = (g) => (g.duration_ms > 0 ? (1000 * g.evaluations) / g.duration_ms : null);
  return [
    card("w6", "Fitness, 0 to 100", lines(xs, fitness, { ...per, form: (v) => number(v, 0) })),
    card(
      "w6",
      "Diversity: niches in the population",
      lines(
        xs,
        [
          { name: "niches", color: "holdout", data: rows.map((g) => g.detail.niches ?? null) },
          { name: "in the archive", color: "shadow", data: rows.map((g) => g.archive_size) },
        ],
        { ...per, form: (v) => number(v, 0) },
      ),
    ),
    card(
      "w6",
      "Backtests a second",
      lines(xs, [{ name: "backtests a second", color: "live", data: rows.map(seconds) }], { ...per, form: short }),
    ),
    card(
      "w6",
      "Share of evaluations that were new",
      lines(
        xs,
        [{ name: "new", color: "holdout", data: rows.map((g) => (g.evaluations ? g.distinct / g.evaluations : null)) }],
        { ...per, form: (v) => percent(v, 0) },
      ),
    ),
  ];
}

function niches(found) {
  const families = new Map();
  for (const s of found) {
    const key = `${s.family ?? "unknown"}|${s.timeframe}`;
    const row = families.get(key) ?? {
      family: s.family ?? "unknown",
      timeframe: s.timeframe,
      all: 0,
      live: 0,
      shadow: 0,
      best: null,
    };
    row.all += 1;
    if (row[s.state] !== undefined) row[s.state] += 1;
    if (s.sharpe_ratio !== null && s.state !== "disabled") row.best = Math.max(row.best ?? -Infinity, s.sharpe_ratio);
    families.set(key, row);
  }
  const rows = [...families.values()]
    .sort((a, b) => b.all - a.all)
    .map((r) =>
      h(
        "tr",
        {},
        h(
          "td",
          {},
          h("a", { href: `#/strategies?family=${encodeURIComponent(r.family)}&timeframe=${r.timeframe}` }, r.family),
        ),
        h("td", {}, r.timeframe),
        cell(number(r.all)),
        cell(number(r.shadow)),
        cell(number(r.live)),
        cell(ratio(r.best)),
      ),
    );
  return table(["family", "timeframe", "#strategies", "#shadow", "#live", "#best hold-out Sharpe, not disabled"], rows);
}

/** How many strategies of each kind of idea and timeframe the newest generations hold. */
function nicheMap(generations) {
  const newest = new Map();
  for (const g of generations) if (!newest.has(g.island) && g.detail.kinds) newest.set(g.island, g.detail.kinds);
  const counts = new Map();
  for (const kinds of newest.values())
    for (const [key, [now, kept]] of Object.entries(kinds)) {
      const c = counts.get(key) ?? [0, 0];
      counts.set(key, [c[0] + now, c[1] + kept]);
    }
  if (!counts.size) return h("p", { class: "soft" }, "No generation tells of its niches yet.");
  const minutes = (t) => parseInt(t, 10) * { m: 1, h: 60, d: 1440, w: 10080, M: 43200 }[t.slice(-1)];
  const families = [...new Set([...counts.keys()].map((k) => k.split("/")[0]))].sort();
  const frames = [...new Set([...counts.keys()].map((k) => k.split("/")[1]))].sort((a, b) => minutes(a) - minutes(b));
  const most = Math.max(...[...counts.values()].map(([now, kept]) => now + kept));
  const rows = families.map((family) =>
    h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h("a", { href: `#/strategies?family=${encodeURIComponent(family)}` }, family.replaceAll("_", " ")),
      ),
      frames.map((frame) => {
        const [now, kept] = counts.get(`${family}/${frame}`) ?? [0, 0];
        const title = `${family}, ${frame}: ${now} in the population, ${kept} in the archive`;
        if (!now && !kept) return h("td", { class: "none", title }, "–");
        return h(
          "td",
          {
            title,
            background: `color-mix(in srgb, var(--holdout) ${Math.round(12 + (34 * (now + kept)) / most)}%, transparent)`,
          },
          `${now} · ${kept}`,
        );
      }),
    ),
  );
  return [
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "heat" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("td", {}),
            frames.map((f) => h("th", { scope: "col" }, f)),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
    h(
      "p",
      { class: "small soft" },
      "Strategies in the population · in the archive, of the newest generation of each island.",
    ),
  ];
}

export const part = ([name, p]) =>
  h(
    "span",
    { class: "part", title: `${name}: ${number(p.score, 0)} of 100, weight ${percent(p.weight, 0)}` },
    h("span", { class: "small soft" }, name.replaceAll("_", " ")),
    h("meter", { min: 0, max: 100, value: p.score }),
  );

function ranking(scores) {
  const rows = scores.map((s) =>
    h(
      "tr",
      {},
      h("td", { class: "tight" }, h("a", { href: `#/strategy/${s.number}` }, s.name)),
      h("td", {}, state(s.state)),
      h("td", {}, s.grade),
      cell(number(s.overall, 1)),
      cell(number(s.percentile, 0)),
      h("td", { class: "parts wide" }, Object.entries(s.components).map(part)),
      cell(day(s.calculated_at)),
    ),
  );
  return table(
    ["strategy", "state", "in-sample grade", "#in-sample score", "#percentile", "parts", "#as of"],
    rows,
    "No strategy has a score yet.",
  );
}

/** Why candidates of a session got no test: how many, and each with its reason when opened. */
function untested(choices) {
  const without = choices.filter((c) => c.why);
  if (!without.length) return cell("–");
  const lines = without.map((c) =>
    h("li", {}, h("code", { title: c.genome_hash }, c.genome_hash.slice(0, 8)), ` ${c.why}`),
  );
  return h(
    "td",
    { class: "num" },
    h("details", { class: "why" }, h("summary", {}, number(without.length)), h("ul", {}, lines)),
  );
}

function ended(rows) {
  const line = (s) =>
    h(
      "tr",
      {},
      h(
        "td",
        { class: "tight" },
        h("span", { class: `dot ${s.placebo ? "backtest" : "live"}` }, h("span", {}, s.placebo ? "placebo" : "real")),
      ),
      h("td", {}, s.island),
      cell(number(s.session_number)),
      cell(day(s.at_market_ms)),
      cell(number(s.p_value, 3)),
      cell(`${number(s.as_good)} of ${number(s.null_searches)}`),
      cell(number(s.candidates)),
      cell(number(s.tests)),
      untested(s.choices),
      cell(number(s.entered), s.placebo && s.entered ? "warn" : ""),
      cell(number(s.promoted), s.placebo && s.promoted ? "down" : ""),
    );
  const sorted = [...rows].sort((a, b) => b.at_market_ms - a.at_market_ms);
  return h(
    "div",
    { class: "tall" },
    table(
      [
        "market",
        "island",
        "#session",
        "#until",
        "#p-value",
        "#nulls as good",
        "#candidates",
        "#tested",
        "#not tested, why",
        "#to shadow",
        "#to live",
      ],
      sorted.map(line),
      "No session has ended yet.",
    ),
  );
}

/**
 * How sessions fared against their null searches: the share of them whose p-value is at most so much. Where there is nothing to
 * find, the curve follows the diagonal; above it, searches find more than luck does.
 */
function againstNulls(rows) {
  const of = (placebo) => rows.filter((s) => s.placebo === placebo && typeof s.p_value === "number");
  const [real, placebo] = [of(false), of(true)];
  if (real.length + placebo.length < 2) return h("p", { class: "soft" }, "Fewer than two sessions have ended.");
  const xs = Array.from({ length: 21 }, (_, i) => 5 * i);
  const share = (all) =>
    xs.map((x) => (all.length ? all.filter((s) => 100 * s.p_value <= x + 1e-9).length / all.length : null));
  const form = (v) => percent(v, 0);
  const series = [
    { name: `real (${real.length})`, color: "live", points: false, width: 2, data: share(real) },
    { name: `placebo (${placebo.length})`, color: "backtest", points: false, data: share(placebo) },
    { name: "nothing to find", color: "soft", dash: [5, 4], points: false, data: xs.map((x) => x / 100) },
  ];
  return [
    lines(xs, series, { overTime: false, xname: "p-value at most, %", height: 230, form, range: [0, 1.02] }),
    h(
      "p",
      { class: "small soft" },
      "Share of sessions whose best beat its null searches at this p-value, of the newest 40 of each kind.",
    ),
  ];
}

/** The best of a search under way beside the best of each of its null searches: points below the line were beaten. */
function bestAgainstNulls(s) {
  const nulls = s.null_statistics ?? [];
  if (!isNumber(s.statistic) || !nulls.length) return null;
  const series = [
    { name: "best of a null search", color: "shadow", width: 0, points: true, size: 8, data: nulls },
    { name: "this search", color: "live", points: false, width: 2, data: nulls.map(() => s.statistic) },
  ];
  const xs = nulls.map((_, i) => i + 1);
  return lines(xs, series, { overTime: false, xname: "number", height: 170 });
}

/** The building blocks that are most surely worth something, and those that most surely cost. */
function learnt(newest) {
  if (!newest?.learnt) return [h("p", { class: "soft" }, "Nothing has been learnt from earlier strategies yet.")];
  const { base, beliefs, independent, days } = newest.learnt;
  const sure = Object.entries(beliefs)
    .map(([name, b]) => ({ name, ...b }))
    .sort((a, b) => b.mean / b.sd - a.mean / a.sd);
  const line = (b) =>
    h(
      "tr",
      {},
      h("td", {}, b.name),
      cell(number(b.mean, 2), b.mean > 0 ? "up" : "down"),
      cell(`± ${number(b.sd, 2)}`),
      cell(number(b.strategies)),
    );
  const head = ["building block", "#Sharpe on top", "#± deviation", "#strategies"];
  const worth = sure.filter((b) => b.mean > 0).slice(0, 8);
  const costs = sure
    .filter((b) => b.mean < 0)
    .slice(-8)
    .reverse();
  return [
    h(
      "p",
      { class: "soft" },
      `Session ${newest.session}: ${number(base.strategies)} of ${number(newest.strategies)} earlier strategies, on days that nothing ` +
        `which shaped them had seen, ${number(days)} each on average; they count for ${number(independent)} on days of their ` +
        `own. One like most of them earned a Sharpe ratio of ${number(base.mean, 2)} ± ${number(base.sd, 2)}.`,
    ),
    table(head, [...worth, ...costs].map(line)),
  ];
}

export async function page({ signal }) {
  const [listed, sessions, all, found, scores, protocol, taught] = await Promise.all([
    read("/api/generations", { limit: 400 }, signal),
    read("/api/sessions", { limit: 40 }, signal),
    read("/api/overview", {}, signal),
    read("/api/strategies", { limit: 500, source: "holdout" }, signal),
    read("/api/scores", { limit: 12 }, signal),
    read("/api/protocol", { limit: 40 }, signal),
    read("/api/learner", {}, signal),
  ]);
  const grid = h("div", { class: "grid" });
  const islands = all.stats.islands.map((i) =>
    h(
      "tr",
      {},
      h("td", {}, i.island),
      cell(number(i.session)),
      cell(number(i.generation + 1)),
      cell(number(i.best_fitness, 1)),
      h("td", { class: "when" }, since(i.stored_at)),
    ),
  );
  const rows = sessions.items.map((s) =>
    h(
      "tr",
      {},
      h("td", {}, s.island),
      cell(number(s.number)),
      h("td", {}, s.status),
      h("td", { class: "when" }, `${day(s.window_from_ms)} – ${day(s.window_to_ms)}`),
      h("td", { class: "when" }, day(s.holdout_from_ms)),
      cell(number(s.evaluations)),
      cell(s.report ? number(s.report.stored) : "–"),
      cell(s.report ? number(s.report.to_shadow) : "–"),
      h("td", { class: "when" }, time(s.started_at)),
      h("td", {}, h("code", { title: s.data_version }, s.data_version.slice(0, 10))),
    ),
  );
  const draw = () =>
    grid.replaceChildren(
      card("", "Search under way", ...searches(all.searches, all.stats, bestAgainstNulls)),
      ...charts(listed.items),
      card("w6", "Best of each session against null searches", againstNulls(protocol.items)),
      card("w6", "Niches of the population", nicheMap(listed.items)),
      card("", "Niches of the newest 500 stored, by their hold-out", niches(found.items)),
      card("", "Best in-sample scores of strategies that are not disabled", ranking(scores.items)),
      card("", "Learner: what building blocks are worth", ...learnt(taught.newest)),
      card("", "Islands", table(["island", "#session", "#generation", "#best", "stored"], islands)),
      card("", "Sessions: real and placebo", ended(protocol.items)),
      card(
        "",
        "Sessions",
        table(
          [
            "island",
            "#no.",
            "status",
            "window",
            "hold-out from",
            "#backtests",
            "#stored",
            "#to shadow",
            "started",
            "data version",
          ],
          rows,
        ),
      ),
    );
  draw();
  return {
    title: "Evolution",
    content: [h("h1", {}, "Evolution"), grid],
  };
}
