// Everything at a glance: what it does now, what it found, whether it is well.

import { ago, card, cell, day, h, number, percent, read, short, sign, state, table, time } from "./base.js";
import { lines } from "./charts.js";

const tile = (name, value, href) =>
  h(href ? "a" : "div", { class: "tile", href }, h("b", {}, value), h("span", {}, name));

/** Evaluations a second over the newest generations. */
function rate(generations) {
  const newest = generations.slice(0, 12);
  const ms = newest.reduce((sum, g) => sum + g.duration_ms, 0);
  return ms > 0 ? (1000 * newest.reduce((sum, g) => sum + g.evaluations, 0)) / ms : null;
}

function tiles(stats, generations) {
  const s = stats.strategies;
  const t = stats.transitions;
  return [
    ...["candidate", "shadow", "live", "disabled"].map((name) =>
      tile(name, short(s[name]), `#/strategies?state=${name}`),
    ),
    tile("promoted to shadow", short(t.enter_shadow ?? 0)),
    tile("promoted to live", short(t.go_live ?? 0)),
    tile("demoted", short(t.demote ?? 0)),
    tile("generations", short(stats.generations), "#/evolution"),
    tile("backtests", short(stats.evaluations), "#/evolution"),
    tile("backtests a second", short(rate(generations)), "#/evolution"),
  ];
}

function health(checks) {
  const rows = Object.entries(checks).map(([name, check]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: `dot ${check.status}` }, h("span", {}, name))),
      h("td", {}, check.detail),
    ),
  );
  return table(["part", "how it is"], rows);
}

/** Real sessions beside sessions on markets in which there is nothing to find, through the same code and gates. */
function placebo(p) {
  const row = (name, of) =>
    h("tr", {}, h("th", { scope: "row" }, name), cell(number(of(p.real))), cell(number(of(p.placebo))));
  const share = (of) => (of.sessions ? of.entered_shadow / of.sessions : null);
  const verdict = p.promotions_frozen
    ? h("p", { class: "down" }, "Promotions are frozen: sessions on null markets get through as often as real ones.")
    : h(
        "p",
        { class: "small soft" },
        p.p_value === null
          ? "Nothing got through yet, so that nothing can be compared."
          : `If nothing real were found, real sessions would get through this much more often with probability ${number(p.p_value, 3)}.`,
      );
  return [
    table(
      ["", "#real", "#null"],
      [
        row("sessions", (x) => x.sessions),
        row("beat their null searches", (x) => x.beat_null_searches),
        row("with a strategy in shadow", (x) => x.entered_shadow),
        h(
          "tr",
          {},
          h("th", { scope: "row" }, "share of sessions"),
          cell(percent(share(p.real), 0)),
          cell(percent(share(p.placebo), 0)),
        ),
        row("strategies promoted to live", (x) => x.promoted),
      ],
    ),
    verdict,
    h(
      "p",
      { class: "small soft" },
      `${short(p.null_searches)} null searches with ${short(p.null_evaluations)} backtests in all.`,
    ),
  ];
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

const COLORS = ["live", "holdout", "shadow", "backtest"];

/** Best and median of the one island there is; of several the best of each: their searches go up by themselves. */
function fitness(generations) {
  const rows = [...generations].reverse().filter((g) => g.best_fitness !== null);
  const xs = [];
  for (const g of rows) {
    const at = new Date(g.created_at).getTime() / 1000;
    xs.push(xs.length && at <= xs[xs.length - 1] ? xs[xs.length - 1] + 0.001 : at);
  }
  const islands = [...new Set(rows.map((g) => g.island))].sort();
  const columns = () =>
    islands.length > 1
      ? islands.map((name) => rows.map((g) => (g.island === name ? g.best_fitness : null)))
      : [rows.map((g) => g.best_fitness), rows.map((g) => g.median_fitness)];
  const names = islands.length > 1 ? islands.map((name) => `best of ${name}`) : ["best", "median"];
  const series = columns().map((data, i) => ({
    name: names[i],
    color: COLORS[i % COLORS.length],
    data,
    spanGaps: islands.length > 1,
  }));
  const chart = lines(xs, series, { height: 230, form: (v) => number(v, 0) });
  chart.add = (g) => {
    if (g.best_fitness === null) return;
    if (!islands.includes(g.island)) {
      // One that was not there yet has a line of its own.
      const drawn = fitness([g, ...[...rows].reverse()]);
      chart.replaceWith(drawn);
      chart.add = (next) => drawn.add(next);
      return;
    }
    rows.push(g);
    xs.push(Math.max(new Date(g.created_at).getTime() / 1000, (xs.at(-1) ?? 0) + 0.001));
    chart.update(xs, columns());
  };
  return chart;
}

function tests(t) {
  if (!t) return [h("p", { class: "soft" }, "No session has ended yet.")];
  const line = (name, value) => h("tr", {}, h("th", { scope: "row" }, name), cell(value));
  return [
    table(
      ["", ""],
      [
        line(
          "e-value at which a candidate tested now goes live",
          t.promotion_threshold === null
            ? `none is tested before ${day(new Date(t.sells).getTime())}`
            : number(t.promotion_threshold, 0),
        ),
        line("least that is ever asked", number(t.least_threshold, 0)),
        line("back to that, if nothing is tested", t.full ? day(new Date(t.full).getTime()) : "now"),
        line("tests over the last market year", number(t.bought_last_year)),
        line(
          "expected false promotions of these, of what a year allows",
          `${number(t.spent_last_year, 3)} of ${number(t.allowed_per_year, 3)}`,
        ),
      ],
    ),
    h(
      "p",
      { class: "small soft" },
      "What is asked rises with each test and falls with market time; it does not rise with age.",
    ),
  ];
}

export async function page({ signal }) {
  const [all, listed] = await Promise.all([
    read("/api/overview", {}, signal),
    read("/api/generations", { limit: 200 }, signal),
  ]);
  const generations = listed.items;
  const top = h("div", { class: "tiles" }, tiles(all.stats, generations));
  const feed = h(
    "ul",
    { class: "feed" },
    all.news.length ? all.news.map(newsLine) : h("li", { class: "soft" }, "Nothing has moved yet."),
  );
  const chart = fitness(generations);
  const latest = h("p", { class: "soft small" });
  const tell = (g) => {
    latest.textContent = g
      ? `Newest: island ${g.island}, session ${g.session_number}, generation ${g.number + 1}, ${ago(g.created_at)}`
      : "The first generation is under way.";
  };
  tell(generations[0]);
  const live = all.live.map((s) =>
    h(
      "tr",
      {},
      h("td", {}, h("a", { href: `#/strategy/${s.number}` }, s.name)),
      h("td", {}, s.phase ?? "–"),
      cell(s.allocation_pct === null ? "–" : `${number(s.allocation_pct, 1)} %`),
      cell(percent(s.total_return), sign(s.total_return)),
      cell(percent(s.max_drawdown)),
      cell(number(s.trades)),
      cell(day(s.since_ms)),
    ),
  );
  const status = all.health.status;
  const compared = card("", "Real sessions beside null ones", placebo(all.stats.protocol));
  const paid = card("", "Tests of candidates", tests(all.stats.protocol.tests));
  return {
    title: "Overview",
    content: [
      h("h1", {}, "Overview ", h("span", { class: `dot ${status}` }, h("span", { class: "small soft" }, status))),
      h(
        "div",
        { class: "grid" },
        top,
        card("w8", "Fitness by generation", chart, latest),
        card("w4", "Health", health(all.health.checks)),
        h(
          "div",
          { class: "w6 stack" },
          card(
            "",
            "Live on paper",
            table(
              ["strategy", "phase", "#allocation", "#return", "#drawdown", "#trades", "#since"],
              live,
              "Nothing is live.",
            ),
          ),
          compared,
          paid,
        ),
        card("w6", "What happened last", feed),
      ),
    ],
    live: {
      stats: (stats) => {
        top.replaceChildren(...tiles(stats, generations));
        compared.replaceChildren(h("h2", {}, "Real sessions beside null ones"), ...placebo(stats.protocol));
        paid.replaceChildren(h("h2", {}, "Tests of candidates"), ...tests(stats.protocol.tests));
      },
      generation: (g) => {
        generations.unshift(g);
        chart.add(g);
        tell(g);
      },
      transition: (t) => {
        feed.querySelector(".soft:only-child")?.remove();
        feed.prepend(newsLine(t));
        while (feed.children.length > 60) feed.lastChild.remove();
      },
    },
  };
}
