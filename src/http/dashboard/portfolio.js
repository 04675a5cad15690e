// A strategy that ranks the market: what it came to on paper, or in its newest stored backtest, beside the market, by name
// and over time.

import { card, cell, day, h, number, percent, ratio, read, sign, table } from "./base.js";
import { heatMap, lines, months } from "./charts.js";

const DAY_S = 86400;
// Days that the line of what is traded takes together.
const TRADED_DAYS = 30;
// Names of the attribution, from either end.
const NAMES = 12;

const LINES = [
  ["net", "live", "net"],
  ["hedged", "holdout", "hedged"],
  ["equal_weight", "backtest", "equal weight"],
  ["btc", "shadow", "bitcoin"],
];

/** What one unit became: 1 at the first day's beginning, then after each day. */
function growth(returns) {
  let level = 1;
  return [
    1,
    ...returns.map((r) => {
      level *= 1 + (r ?? 0);
      return level;
    }),
  ];
}

function drawdown(levels) {
  let peak = 0;
  return levels.map((level) => {
    peak = Math.max(peak, level);
    return level / peak - 1;
  });
}

function figures({ metrics: m, portfolio: p }) {
  const btc = p.btc ?? {};
  const rows = [
    ["Total return", percent, m.total_return, p.hedged.total_return, p.equal_weight.total_return, btc.total_return],
    ["CAGR", percent, m.cagr, p.hedged.cagr],
    ["Sharpe ratio", ratio, m.sharpe_ratio, p.hedged.sharpe_ratio, p.equal_weight.sharpe_ratio, btc.sharpe_ratio],
    ["Sortino ratio", ratio, m.sortino_ratio, p.hedged.sortino_ratio],
    ["Calmar ratio", ratio, m.calmar_ratio, p.hedged.calmar_ratio],
    ["t-statistic", ratio, m.t_statistic, p.hedged.t_statistic],
    ["Max drawdown", percent, m.max_drawdown, p.hedged.max_drawdown, p.equal_weight.max_drawdown, btc.max_drawdown],
  ];
  return table(
    ["", "#net", "#hedged", "#equal weight", "#bitcoin"],
    rows.map(([name, form, ...values]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, name),
        [0, 1, 2, 3].map((i) => cell(form(values[i]))),
      ),
    ),
  );
}

function facts({ metrics: m, portfolio: p, instruments, data_version, code_version }) {
  const rows = [
    ["Turnover a day, both sides", percent(p.turnover_per_day)],
    ["Held on average, long and short", percent(p.mean_gross)],
    ["Long less short on average", percent(p.mean_net)],
    ["Names held on average", number(p.mean_names, 1)],
    ["Members on average, of instruments", `${number(p.mean_members, 1)} of ${number(instruments)}`],
    ["Mean beta to the market", ratio(p.hedged.mean_beta)],
    ["Rebalances, of them empty", `${number(p.rebalances)}, ${number(p.empty_rebalances)}`],
    ["Stays in a leg, still open", `${number(m.total_trades)}, ${number(m.end_of_window_trades)}`],
    ["Fees, slippage, funding", `${number(m.fees, 2)}, ${number(m.slippage, 2)}, ${number(m.funding, 2)}`],
    ["Gain of the long and of the short leg", `${percent(p.long_gain)}, ${percent(p.short_gain)}`],
    ["Computed by", code_version],
    ["From candles", data_version ? h("code", { title: data_version }, data_version.slice(0, 16)) : "–"],
  ];
  const all = rows.map(([name, value]) => h("tr", {}, h("td", { class: "soft" }, name), cell(value)));
  return h("div", { class: "scroll" }, h("table", {}, h("tbody", {}, all)));
}

function years(all) {
  const rows = all.map((y) =>
    h(
      "tr",
      {},
      h("td", {}, String(y.year)),
      cell(percent(y.total_return), sign(y.total_return)),
      cell(ratio(y.sharpe_ratio)),
      cell(percent(y.hedged_return), sign(y.hedged_return)),
      cell(ratio(y.hedged_sharpe_ratio)),
      cell(percent(y.max_drawdown)),
      cell(number(y.mean_members, 1)),
    ),
  );
  return table(["", "#return", "#Sharpe", "#hedged", "#hedged Sharpe", "#drawdown", "#members"], rows);
}

function names(all) {
  const row = (a) =>
    h(
      "tr",
      {},
      h("td", {}, a.instrument),
      cell(percent(a.total), sign(a.total)),
      cell(percent(a.long)),
      cell(percent(a.short)),
      cell(percent(a.costs)),
      cell(percent(a.funding)),
      cell(number(a.traded, 1)),
    );
  const heads = ["name", "#gain", "#long", "#short", "#costs", "#funding", "#traded"];
  const rest = all.slice(NAMES);
  return [
    table(heads, all.slice(0, NAMES).map(row), "It held nothing."),
    rest.length ? h("h3", {}, "The worst") : null,
    rest.length ? table(heads, rest.slice(-NAMES).map(row)) : null,
    h(
      "p",
      { class: "small soft" },
      `Of ${number(all.length)} names. Gain after costs as a share of the initial capital; traded in multiples of it.`,
    ),
  ];
}

function curves(days) {
  const ends = days.day_ms.map((ms) => ms / 1000 + DAY_S);
  const times = [ends[0] - DAY_S, ...ends];
  const series = LINES.map(([key, color, name]) => ({ name, color, data: growth(days[key]), points: false }));
  const traded = days.turnover.map((_, i) => {
    if (i % TRADED_DAYS !== TRADED_DAYS - 1) return null;
    const some = days.turnover.slice(i + 1 - TRADED_DAYS, i + 1);
    return some.reduce((sum, v) => sum + v, 0) / TRADED_DAYS;
  });
  const kept = ends.map((t, i) => [t, traded[i]]).filter(([, v]) => v !== null);
  return {
    // A scale of tens shows years; weeks would be a flat line on it.
    growth: lines(times, series, {
      height: 320,
      log: Math.max(...series.flatMap((s) => s.data)) > 3,
      form: (v) => `${number(v, 2)} ×`,
    }),
    drawdown: lines(
      times,
      [{ name: "net", color: "live", data: drawdown(series[0].data), fill: true, points: false }],
      { height: 160, form: (v) => percent(v, 0) },
    ),
    held: lines(
      ends,
      [
        { name: "long and short", color: "holdout", data: days.gross, points: false },
        { name: "long less short", color: "shadow", data: days.exposure, points: false },
      ],
      { height: 220, form: (v) => percent(v, 0) },
    ),
    traded:
      kept.length > 1
        ? lines(
            kept.map(([t]) => t),
            [{ name: "traded a day", color: "backtest", data: kept.map(([, v]) => v), points: false }],
            { height: 220, form: (v) => percent(v, 1) },
          )
        : null,
  };
}

const legend = () =>
  h(
    "div",
    { class: "legend" },
    LINES.map(([, color, name]) => h("span", { class: `dot ${color}` }, h("span", {}, name))),
  );

/** Where a strategy's portfolio is read: its newest paper run, or the newest backtest that has the terms of every other. */
function source(strategy, all) {
  if (all.paper_runs.some((run) => run.has_portfolio)) return `/api/strategies/${strategy.id}/portfolio`;
  const newest = all.backtests.find((b) => b.has_usual_terms);
  return newest ? `/backtest/${newest.backtest_id}/portfolio` : null;
}

/** The cards of a strategy's portfolio, and what fills them. */
export function portfolio(strategy, all, signal) {
  const newest = source(strategy, all);
  const soft = (text) => h("p", { class: "soft" }, text);
  const none = all.stats.length
    ? "It was not traded on paper."
    : "No backtest of it is stored: POST /backtest stores one.";
  const place = () => h("div", {}, soft(newest ? "Loading …" : none));
  const [first, second, curve, weights, held, traded, byYear, byName] = [0, 1, 2, 3, 4, 5, 6, 7].map(place);
  const cards = newest
    ? [
        card("", "Equity beside the market", legend(), curve),
        card("w6", "Exposure", held),
        card("w6", "Turnover", traded),
        card("", "Weights over time", weights),
        card("", "Names", byName),
      ]
    : [];
  async function load() {
    if (!newest) return;
    const told = await read(newest, {}, signal);
    const of = told.phase ? `Paper run, ${told.phase},` : `Backtest ${told.backtest_id}`;
    const { portfolio: p, weights: map } = told;
    first.replaceChildren(
      h(
        "p",
        { class: "small soft" },
        `${of} on the ${told.market} market, ${day(told.from_ms)} to ${day(told.to_ms)}; ratios annualised from daily returns. Hedged: less beta times the market, beta from the 90 days before. Equal weight: the 30 names of greatest volume, without costs.`,
      ),
      figures(told),
    );
    second.replaceChildren(facts(told));
    byYear.replaceChildren(years(p.years), h("h3", {}, "Months, percent"), months(told.metrics.monthly_returns));
    byName.replaceChildren(...names(p.attribution).filter(Boolean));
    if (told.days.day_ms.length) {
      const drawn = curves(told.days);
      curve.replaceChildren(drawn.growth, h("h3", {}, "Drawdown"), drawn.drawdown);
      held.replaceChildren(
        h("p", { class: "small soft" }, "Held at each day's end, as a share of equity."),
        drawn.held,
      );
      traded.replaceChildren(
        h("p", { class: "small soft" }, "Traded a day as a share of equity, both sides, mean of 30 days."),
        drawn.traded ?? soft("There are fewer than 60 days."),
      );
    } else {
      for (const empty of [curve, held, traded]) empty.replaceChildren(soft("There is no whole day."));
    }
    if (map.names.length) {
      weights.replaceChildren(
        h(
          "p",
          { class: "small soft" },
          `Mean target weights: the ${map.names.length} of ${number(map.of)} names with the greatest ones; long green, short red.`,
        ),
        heatMap(map),
      );
    } else {
      weights.replaceChildren(soft("It never had a weight."));
    }
  }
  const above = newest
    ? { left: card("", "What it held and paid", second), right: card("", "Years", byYear) }
    : { left: null, right: null };
  return { figures: first, ...above, cards, load };
}
