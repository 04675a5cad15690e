// A strategy's record: results of every period, decisions with their requirements, the in-sample score.

import { cell, day, explained, h, number, percent, ratio, sign, state, time } from "./base.js";
import { requirements } from "./evidence.js";
import { part } from "./evolution.js";

const FIGURES = [
  ["Total return", (m) => percent(m.total_return), (m) => sign(m.total_return)],
  ["CAGR", (m) => percent(m.cagr)],
  ["Sharpe ratio", (m) => ratio(m.sharpe_ratio)],
  ["Sortino ratio", (m) => ratio(m.sortino_ratio)],
  ["t-statistic", (m) => ratio(m.t_statistic)],
  ["Max drawdown", (m) => percent(m.max_drawdown)],
  ["Profit factor", (m) => ratio(m.profit_factor)],
  ["Win rate", (m) => percent(m.win_rate)],
  ["Trades", (m) => number(m.num_trades)],
  ["Mean trade duration", (m) => (m.avg_trade_duration === null ? "–" : `${number(m.avg_trade_duration, 1)} h`)],
  ["Exposure", (m) => percent(m.exposure)],
  ["Days", (m) => number(m.days)],
  ["Costs", (m) => number(m.fees + m.slippage + m.funding, 2)],
  ["… fees", (m) => number(m.fees, 2)],
  ["… slippage", (m) => number(m.slippage, 2)],
  ["… funding", (m) => number(m.funding, 2)],
];

const PERIODS = { backtest: "Backtest", holdout: "Hold-out", shadow: "Shadow", live: "Live" };

/** Every period in order of time; the second shadow or live run of a strategy is numbered. */
export function figures(stats, searched) {
  if (!stats.length) return h("p", { class: "soft" }, "Nothing has been measured yet.");
  const seen = {};
  const heads = stats.map((s) => {
    seen[s.source] = (seen[s.source] ?? 0) + 1;
    const name = `${PERIODS[s.source]}${seen[s.source] > 1 ? ` ${seen[s.source]}` : ""}`;
    return h(
      "th",
      { scope: "col", class: "n" },
      h("span", { class: `dot ${s.source}` }, h("span", {}, name)),
      s.source === "backtest" ? h("div", { class: "small soft" }, searched ? "in sample" : "not out of sample") : null,
      h("div", { class: "when" }, day(s.from_ms)),
      h("div", { class: "when" }, `to ${day(s.to_ms)}`),
    );
  });
  const rows = FIGURES.map(([name, form, kind]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", ...explained(name) }, name),
      // What was selected on is no success: only what came after has a colour.
      stats.map((s) => cell(form(s.metrics), s.source === "backtest" ? "" : (kind?.(s.metrics) ?? ""))),
    ),
  );
  return h(
    "div",
    {},
    h(
      "div",
      { class: "scroll" },
      h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, rows)),
    ),
    h(
      "p",
      { class: "small soft" },
      "Net of all costs, which are in quote units; ratios annualised by √365 from daily returns. The backtest is what it was selected on.",
    ),
  );
}

export function gates(transitions) {
  if (!transitions.length) return [h("p", { class: "soft" }, "Nothing has been decided yet.")];
  return [...transitions].reverse().map((t) => {
    const checks = t.decision?.checks ?? [];
    return h(
      "div",
      { class: "gate" },
      h(
        "div",
        {},
        h("span", { class: "when" }, `${time(t.at_market_ms)} `),
        state(t.from),
        " → ",
        state(t.to, t.reason),
      ),
      h("p", {}, t.summary),
      h("p", { class: "small soft" }, `By ${t.actor}${t.policy ? `, policy ${t.policy}` : ""}`),
      checks.length
        ? h(
            "details",
            { open: t === transitions[transitions.length - 1] },
            h("summary", { class: "small" }, `${checks.length} requirements`),
            requirements(checks),
          )
        : null,
    );
  });
}

/** What it looked like where it was selected; says nothing of what came after. */
export function scored(score, strategy) {
  if (!score) return h("p", { class: "soft" }, "It was not scored.");
  const failed = strategy.state === "disabled";
  return [
    h(
      "p",
      {},
      failed ? null : h("b", { class: "grade" }, score.grade),
      ` ${number(score.overall, 1)} of 100 on its backtest, above ${number(score.percentile, 0)} % of all that were scored`,
      h("span", { class: "small soft" }, `, on ${day(score.calculated_at)}`),
    ),
    failed
      ? h("p", { class: "small soft" }, "It is disabled: what the backtest promised is no grade for what came of it.")
      : null,
    h("div", { class: "parts" }, Object.entries(score.components).map(part)),
    score.warnings.length
      ? h(
          "details",
          {},
          h("summary", { class: "small" }, `${score.warnings.length} requirements missed when it was scored`),
          h(
            "ul",
            { class: "small" },
            score.warnings.map((w) => h("li", {}, w)),
          ),
        )
      : null,
  ].filter(Boolean);
}
