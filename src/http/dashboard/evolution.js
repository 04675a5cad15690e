// The search: fitness and diversity over generations, niches, islands, sessions.

import { h, card, read, number, short, percent, ratio, time, day, table, cell, ago } from "./base.js";
import { lines } from "./charts.js";

/** One line an island over running generations. */
function byIsland(rows, of) {
  const names = [...new Set(rows.map((g) => g.island))].sort();
  const colors = ["live", "holdout", "shadow", "backtest", "accent", "loss"];
  return names.map((name, i) => ({ name, color: colors[i % colors.length], data: rows.map((g) => (g.island === name ? of(g) : null)) }));
}

function charts(generations) {
  const rows = [...generations].reverse();
  const xs = rows.map((_, i) => i + 1);
  const many = new Set(rows.map((g) => g.island)).size > 1;
  const per = { overTime: false, xname: "generation", height: 230 };
  const fitness = many ? byIsland(rows, (g) => g.best_fitness) : [
    { name: "best", color: "live", data: rows.map((g) => g.best_fitness) }, { name: "mean", color: "shadow", data: rows.map((g) => g.mean_fitness) }, { name: "median", color: "holdout", data: rows.map((g) => g.median_fitness) }];
  const seconds = (g) => (g.duration_ms > 0 ? (1000 * g.evaluations) / g.duration_ms : null);
  return [
    card("w6", "Fitness, 0 to 100", lines(xs, fitness, { ...per, form: (v) => number(v, 0) })),
    card("w6", "Diversity: niches in the population", lines(xs, [{ name: "niches", color: "holdout", data: rows.map((g) => g.detail.niches ?? null) }, { name: "in the archive", color: "shadow", data: rows.map((g) => g.archive_size) }], { ...per, form: (v) => number(v, 0) })),
    card("w6", "Backtests a second", lines(xs, [{ name: "backtests a second", color: "live", data: rows.map(seconds) }], { ...per, form: short })),
    card("w6", "Share of evaluations that were new", lines(xs, [{ name: "new", color: "holdout", data: rows.map((g) => (g.evaluations ? g.distinct / g.evaluations : null)) }], { ...per, form: (v) => percent(v, 0) })),
  ];
}

function niches(found) {
  const families = new Map();
  for (const s of found) {
    const key = (s.family ?? "unknown") + "|" + s.timeframe;
    const row = families.get(key) ?? { family: s.family ?? "unknown", timeframe: s.timeframe, all: 0, live: 0, shadow: 0, best: null };
    row.all += 1;
    if (row[s.state] !== undefined) row[s.state] += 1;
    if (s.sharpe_ratio !== null) row.best = Math.max(row.best ?? -Infinity, s.sharpe_ratio);
    families.set(key, row);
  }
  const rows = [...families.values()].sort((a, b) => b.all - a.all).map((r) => h("tr", {}, h("td", {}, h("a", { href: `#/strategies?family=${encodeURIComponent(r.family)}&timeframe=${r.timeframe}` }, r.family)), h("td", {}, r.timeframe), cell(number(r.all)), cell(number(r.shadow)), cell(number(r.live)), cell(ratio(r.best))));
  return table(["family", "candles", "#strategies", "#shadow", "#live", "#best Sharpe (hold-out)"], rows);
}

export async function page({ signal }) {
  const [listed, sessions, all, found] = await Promise.all([
    read("/api/generations", { limit: 400 }, signal), read("/api/sessions", { limit: 40 }, signal), read("/api/overview", {}, signal), read("/api/strategies", { limit: 500, source: "holdout" }, signal),
  ]);
  const grid = h("div", { class: "grid" });
  const islands = all.stats.islands.map((i) => h("tr", {}, h("td", {}, i.island), cell(number(i.session)), cell(number(i.generation + 1)), cell(number(i.best_fitness, 1)), h("td", { class: "when" }, ago(i.stored_at))));
  const rows = sessions.items.map((s) => h("tr", {}, h("td", {}, s.island), cell(number(s.number)), h("td", {}, s.status), h("td", { class: "when" }, `${day(s.window_from_ms)} – ${day(s.window_to_ms)}`), h("td", { class: "when" }, day(s.holdout_from_ms)), cell(number(s.evaluations)),
    cell(s.report ? number(s.report.stored) : "–"), cell(s.report ? number(s.report.to_shadow) : "–"), h("td", { class: "when" }, time(s.started_at)), h("td", {}, h("code", { title: s.data_version }, s.data_version.slice(0, 10)))));
  const draw = () => grid.replaceChildren(...charts(listed.items),
    card("w4", "Islands", table(["island", "#session", "#generation", "#best", "stored"], islands)), card("w8", "Niches of the newest 500 stored", niches(found.items)),
    card("", "Sessions", table(["island", "#no.", "status", "window", "hold-out from", "#backtests", "#stored", "#to shadow", "started", "candles"], rows)));
  draw();
  let waiting;
  return { title: "Evolution", content: [h("h1", {}, "Evolution"), grid], live: { generation: (g) => { listed.items.unshift(g); clearTimeout(waiting); waiting = setTimeout(draw, 1500); } } };
}
