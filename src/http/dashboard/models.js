// Models: how each is, what its forecasts were worth, how well they are calibrated, and which strategies ask them.

import { card, cell, day, h, number, percent, read, sign, since, table, time, UNDEFINED } from "./base.js";
import { lines } from "./charts.js";

// Days of the history that are drawn.
const HISTORY = 100;
const WORDS = {
  ok: "predicts; its calibration is what it was",
  young: "predicts; too little came due to tell of its calibration",
  drifting: "its calibration is no longer what it was",
  failing: "predicts nothing, or nothing new; whoever asks it stands still",
};
const SHADE = { ok: "healthy", young: "unknown", drifting: "degraded", failing: "unhealthy" };

const soft = (text) => h("p", { class: "small soft" }, text);
const badge = (row) => h("span", { class: `dot ${SHADE[row.state]}` }, h("span", {}, row.state));
const signed = (v, digits = 5) => (typeof v === "number" && v > 0 ? "+" : "") + number4(v, digits);
/** Log losses differ in the fifth digit. */
const number4 = (v, digits) => (typeof v === "number" && Number.isFinite(v) ? v.toFixed(digits) : UNDEFINED);

/** Rows of names and values; what is not known is left out. */
function facts(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        shown.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "wide" }, value))),
      ),
    ),
  );
}

const of = (r) =>
  r.universe ? `${r.universe}${r.symbols.join() === "*" ? "" : ` of ${r.symbols.join(", ")}`}` : r.symbols.join(", ");

function fit(r) {
  if (!r.last_fit) return "none yet";
  const f = r.last_fit;
  if (f.failed) return h("span", { class: "down" }, `${day(f.at_ms)} failed: ${f.failed}`);
  return `${day(f.at_ms)}, from ${number(f.examples)} targets, ${percent(f.base)} above the middle`;
}

/** What it is, and how it is now. */
function about(row, strategies) {
  const r = row.report;
  const asking = strategies.filter((s) => s.models.includes(row.model));
  const known = r.kind !== undefined;
  const rows = [
    ["State", h("span", {}, badge(row), `: ${WORDS[row.state]}`)],
    ["Why", row.reason && h("span", { class: row.state === "failing" ? "down" : "warn" }, row.reason)],
    known && ["Kind", r.kind],
    known && ["Target", `${r.target}, ${number(r.horizon_candles)} candles of ${r.timeframe} ahead, ${r.market}`],
    known && [r.universe ? "Universe" : "Symbols", of(r)],
    known && ["Features", r.features.join(", ")],
    known && ["Last fit", fit(r)],
    known && r.failed_fits > 0 && ["Failed fits in a row", h("span", { class: "down" }, number(r.failed_fits))],
    known && [
      "Predicts until",
      r.predicted_ms ? `${time(r.predicted_ms)}, ${number(r.predicted_symbols)} symbols` : "nothing yet",
    ],
    ["Looked at", h("span", {}, since(row.watched_at))],
    ["Asked by", asking.length ? number(asking.length) : "no strategy"],
  ].filter(Boolean);
  return card("w6", `Model ${row.model}`, facts(rows));
}

function scored(name, s, strong) {
  if (!s) return null;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, strong ? h("b", {}, name) : name),
    cell(number(s.predictions)),
    cell(number4(s.log_loss, 5)),
    cell(number4(s.base_log_loss, 5)),
    cell(signed(s.improvement), sign(s.improvement)),
    cell(number(s.t, 2)),
    cell(number(s.auc, 3)),
    cell(percent(s.calibration_error)),
  );
}

/** Log loss beside the constant forecast's, by year and lately. */
function worth(row) {
  const r = row.report;
  if (!r.all) return null;
  const rows = [
    ...Object.entries(r.years ?? {}).map(([year, s]) => scored(year, s)),
    scored("all", r.all, true),
    scored(`last ${r.window_days} days`, r.lately, true),
    scored("two years before", r.before),
  ].filter(Boolean);
  return card(
    "w8",
    `${row.model}: what it knew`,
    table(["", "#forecasts", "#log loss", "#constant", "#gain", "#t", "#AUC", "#calibration error"], rows),
    soft("Gain: log loss of the constant forecast known before, less the model's; above 0, it knew something."),
  );
}

/** What was said and what came, of the window. */
function calibration(row) {
  const lately = row.report.lately;
  if (!lately?.reliability?.length) return null;
  const bins = lately.reliability;
  const bars = bins.map((b) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, `${number(100 * b.from)} to ${percent(b.to, 0)}`),
      cell(percent(b.mean_probability)),
      cell(percent(b.share), Math.abs(b.share - b.mean_probability) > 0.1 ? "warn" : ""),
      cell(number(b.forecasts)),
      h(
        "td",
        {
          class: "wide",
          role: "img",
          "aria-label": `said ${percent(b.mean_probability)}, came ${percent(b.share)}`,
          background: marks(b),
        },
        "\u00a0",
      ),
    ),
  );
  return card(
    "w4",
    `${row.model}: calibration of ${row.report.window_days} days`,
    table(["bin", "#said", "#came", "#forecasts", "0 to 100 %"], bars, undefined, true),
    soft(
      "A mark for what was said (grey) and a bar for what came. Of a calibrated model they meet. Targets overlap: few forecasts are independent.",
    ),
  );
}

/** A bar up to what came, a mark at what was said. */
function marks(b) {
  const [came, said] = [100 * b.share, 100 * b.mean_probability];
  const bar = `linear-gradient(to right, color-mix(in srgb, var(--shadow) 45%, transparent) ${came}%, transparent 0)`;
  const low = Math.max(0, said - 0.6);
  const mark = `linear-gradient(to right, transparent ${low}%, var(--soft) ${low}%, var(--soft) ${low + 1.2}%, transparent 0)`;
  return `${mark}, ${bar}`;
}

/** Evidence of drift and its course over the looks. */
function drift(row, history) {
  const d = row.report.drift;
  if (!d || d.needed === undefined) return null;
  const error = (e) => `${signed(e.lately, 3)}, before ${signed(e.before, 3)}`;
  const told = d.told_ms ?? [];
  const rows = [
    [
      "Drift",
      d.since_ms ? h("span", { class: "warn" }, `since ${day(d.since_ms)}`) : d.bets ? "none" : "cannot be told yet",
    ],
    ["Evidence", d.bets ? `${number(d.evidence, 1)} of ${number(d.needed)} needed` : null],
    ["Level error", d.steps ? error(d.level) : null],
    ["Slope error", d.steps ? error(d.slope) : null],
    ["Told before", told.length ? told.map(day).join(", ") : "never"],
  ];
  const past = history.filter((one) => one.drift !== null).reverse();
  const chart =
    past.length > 2 &&
    lines(
      past.map((one) => one.at_market_ms / 1000),
      [
        {
          name: "evidence over needed",
          color: "shadow",
          data: past.map((one) => Math.max(1e-6, one.drift)),
          points: false,
        },
      ],
      { height: 160, log: true, form: (v) => String(Number(v.toPrecision(1))) },
    );
  return card(
    "w6",
    `${row.model}: drift`,
    facts(rows),
    chart || null,
    soft(
      "Level: how much more came than was said. Slope: below 0, what was said for or against held less than was said. " +
        "At the needed evidence a drift is told, wrongly in one year of twenty at most.",
    ),
  );
}

function asking(strategies) {
  const rows = strategies.map((s) =>
    h(
      "tr",
      {},
      h("td", {}, h("a", { href: `#/strategy/${s.id}` }, s.name)),
      h("td", {}, h("span", { class: `state ${s.state}` }, s.state)),
      h("td", {}, s.asks.join(", ")),
      h("td", { class: `wide ${s.stands_still ? "down" : ""}` }, s.stands_still ?? "no"),
    ),
  );
  return card(
    "w12",
    "Strategies that ask models",
    table(["strategy", "state", "asks", "stands still"], rows, "No strategy asks a model.", true),
  );
}

function how(dir) {
  const place = dir ? `${dir}/NAME.toml` : "DATA_DIR/models/NAME.toml";
  const text = [
    'timeframe = "4h"',
    'symbols = ["BTCUSDT", "ETHUSDT"]   # or universe = "top 30 by quote_volume(30d), listed 60d"',
    'target = "direction"               # or "rank"',
    "horizon_candles = 6",
    'features = ["roc(6)", "rsi(14)", "natr(14)@1d", "volume_zscore(48)"]',
    "",
    "[fit]",
    'kind = "logistic"',
  ].join("\n");
  return card(
    "w12",
    "No model yet",
    h("p", {}, "A model gives a probability that strategies can ask: write a file ", h("code", {}, place), ", such as"),
    h("pre", {}, text),
    h(
      "p",
      {},
      "Then ",
      h("code", {}, "sg-ai models evaluate NAME"),
      " tells what its forecasts were worth, and ",
      h("code", {}, "long when model(NAME) > 0.55 exit when model(NAME) < 0.5"),
      " asks it. The daemon looks at it within its next round, and once a day from then on; docs/MODELS.md has the rest.",
    ),
  );
}

export async function page({ signal }) {
  const { dir, items, strategies } = await read("/api/models", {}, signal);
  const histories = await Promise.all(
    items.map((row) => read(`/api/models/${encodeURIComponent(row.model)}`, { limit: HISTORY }, signal)),
  );
  const content = [];
  if (!items.length) content.push(how(dir));
  else if (items.length > 1) {
    const rows = items.map((row) => {
      const r = row.report;
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, row.model),
        h("td", {}, badge(row)),
        h("td", {}, r.kind ?? UNDEFINED),
        h("td", {}, r.target ?? UNDEFINED),
        h("td", { class: "when" }, r.predicted_ms ? time(r.predicted_ms) : UNDEFINED),
        cell(signed(r.lately?.improvement), sign(r.lately?.improvement)),
        cell(percent(r.lately?.calibration_error)),
      );
    });
    content.push(
      card(
        "w12",
        "All models",
        table(
          ["model", "state", "kind", "target", "predicts until (UTC)", "#gain, 90 days", "#calibration error"],
          rows,
        ),
      ),
    );
  }
  content.push(asking(strategies));
  items.forEach((row, i) => {
    const parts = [about(row, strategies), drift(row, histories[i].items), worth(row), calibration(row)];
    content.push(...parts.filter(Boolean));
  });
  return { title: "Models", content: [h("h1", {}, "Models"), h("div", { class: "grid" }, content)] };
}
