// Optimisations: the runs, and of one run how much of its best point is luck, and where points lie.

import { card, cell, h, number, percent, ratio, read, sign, table, time, UNDEFINED } from "./base.js";

const SVG = "http://www.w3.org/2000/svg";
// Points that stand out among the parallel coordinates.
const BEST = 10;
const HEIGHT = 320;

const shown = (value) => (value === null || value === undefined ? UNDEFINED : String(Number(value.toPrecision(6))));

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

async function list(signal) {
  const { items } = await read("/api/optimizations", { limit: 100 }, signal);
  const rows = items.map((run) =>
    h(
      "tr",
      {},
      h("td", {}, h("a", { href: `#/optimizations/${run.id}` }, run.name ?? run.genome_hash.slice(0, 12))),
      h("td", {}, run.method),
      h("td", {}, run.objectives.join(", ")),
      cell(`${number(run.points)} of ${number(run.budget)}`),
      cell(ratio(run.best_objective), sign(run.best_objective)),
      h("td", {}, run.status),
      h("td", { class: "when" }, time(run.started_at)),
    ),
  );
  return {
    title: "Optimisation",
    content: [
      h("h1", {}, "Optimisation"),
      card(
        "",
        "Runs",
        h(
          "p",
          { class: "soft" },
          "The numbers of one strategy, varied by sg-ai optimize. Each point counts as a trial; the best of many is mostly luck.",
        ),
        table(
          ["strategy", "method", "by", "#points", "#best", "status", "since (UTC)"],
          rows,
          "No optimisation is stored yet.",
        ),
      ),
    ],
  };
}

function told(report) {
  const rows = report.told.map((t) =>
    h("tr", {}, h("th", { scope: "row" }, t.about), h("td", { class: "wide" }, t.sentence)),
  );
  return h("div", { class: "scroll" }, h("table", {}, h("tbody", {}, rows)));
}

const strength = (value, most) => Math.round(100 * Math.min(1, Math.abs(value) / Math.max(most, 1e-12)));
const tint = (value, most) =>
  `color-mix(in srgb, var(--${value < 0 ? "loss" : "gain"}) ${Math.round(0.42 * strength(value, most))}%, transparent)`;

/** In-sample by out-of-sample length: what was kept, what that earned, what a point at random earned. */
function matrix(analysis) {
  const cells = analysis.walk_forward;
  const lengths = (name) => [...new Set(cells.map((c) => c[name]))].sort((a, b) => a - b);
  const [inside, outside] = [lengths("in_sample_days"), lengths("out_of_sample_days")];
  const rows = inside.map((i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, `${i} days`),
      outside.map((o) => {
        const c = cells.find((c) => c.in_sample_days === i && c.out_of_sample_days === o);
        if (!c?.folds) return h("td", { class: "soft" }, "no window");
        return h(
          "td",
          { class: "n", background: tint(c.out_of_sample_annual_return ?? 0, 1) },
          h("b", { class: c.kept ? "up" : "down" }, percent(c.efficiency, 0)),
          h("br"),
          `${percent(c.out_of_sample_annual_return)} / ${percent(c.average_annual_return)}`,
          h("br"),
          h("span", { class: "soft" }, `${c.folds} windows, rank ${percent(c.mean_rank, 0)}`),
        );
      }),
    ),
  );
  const heads = outside.map((o) => h("th", { scope: "col", class: "n" }, `${o} days after`));
  return [
    h(
      "p",
      { class: "soft" },
      "What was kept of the daily profit; what the chosen points earned a year out of sample, beside a point at random.",
    ),
    h(
      "div",
      { class: "scroll" },
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "in sample"), heads)), h("tbody", {}, rows)),
    ),
  ];
}

function importance(analysis) {
  const rows = analysis.importance.map((i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, i.parameter),
      h(
        "td",
        {
          class: "n wide",
          background: `linear-gradient(to right, color-mix(in srgb, var(--gain) 45%, transparent) ${100 * (i.explained ?? 0)}%, transparent 0)`,
        },
        percent(i.explained),
      ),
    ),
  );
  return h("div", { class: "scroll" }, h("table", {}, h("tbody", {}, rows)));
}

function heatMap(map, objective) {
  const most = Math.max(...map.mean.flat().map((v) => Math.abs(v ?? 0)));
  const rows = map.y_values
    .map((y, r) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, shown(y)),
        map.mean[r].map((mean, c) => {
          const text = `${map.x} ${shown(map.x_values[c])}, ${map.y} ${shown(y)}: mean ${ratio(mean)}, best ${ratio(map.best[r][c])}, ${map.points[r][c]} points`;
          return h("td", { title: text, "aria-label": text, background: mean === null ? null : tint(mean, most) });
        }),
      ),
    )
    .reverse();
  const foot = h(
    "tr",
    {},
    h("td", {}),
    map.x_values.map((x) => h("th", { scope: "col" }, shown(x))),
  );
  return card(
    "",
    `Mean ${objective}: ${map.y} by ${map.x}`,
    h("div", { class: "scroll" }, h("table", { class: "heat coverage" }, h("tbody", {}, rows), h("tfoot", {}, foot))),
  );
}

/** A line a point through its value on every axis and its value of the first objective. */
function parallel(report) {
  const axes = report.axes.map((axis, i) => ({ ...axis, i })).filter((axis) => axis.values.length > 1);
  const points = report.points;
  if (!axes.length || !points.length) return h("p", { class: "soft" }, "No point has a value.");
  const width = 900;
  const step = (width - 140) / axes.length;
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const y = (value, [low, high]) => 24 + (1 - (high > low ? (value - low) / (high - low) : 0.5)) * (HEIGHT - 74);
  const aims = range(points.map((p) => p.objectives[0] ?? 0));
  const ranges = axes.map((axis) => range(axis.values));
  const line = (p, best) => {
    const at = axes.map((axis, k) => `${70 + step * k} ${y(p.values[axis.i], ranges[k])}`);
    at.push(`${70 + step * axes.length} ${y(p.objectives[0] ?? 0, aims)}`);
    return svg(
      "path",
      {
        d: `M${at.join("L")}`,
        fill: "none",
        stroke: best ? "var(--live)" : "var(--backtest)",
        "stroke-opacity": best ? 0.9 : 0.12,
        "stroke-width": best ? 1.8 : 1.2,
      },
      best ? svg("title", {}, `point ${p.point}: ${ratio(p.objectives[0])}`) : "",
    );
  };
  const words = { fill: "var(--soft)", "text-anchor": "middle", "font-size": 12 };
  const names = [...axes.map((axis) => axis.names.join("+")), report.objectives[0]];
  const uprights = [...ranges, aims].flatMap(([low, high], k) => {
    const x = 70 + step * k;
    return [
      svg("line", { x1: x, x2: x, y1: 24, y2: HEIGHT - 50, stroke: "var(--soft)" }),
      svg("text", { ...words, x, y: 16 }, shown(high)),
      svg("text", { ...words, x, y: HEIGHT - 36 }, shown(low)),
      svg("text", { ...words, x, y: k % 2 ? HEIGHT - 6 : HEIGHT - 20 }, names[k]),
    ];
  });
  return h(
    "div",
    { class: "scroll" },
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${HEIGHT}`, width: "100%", role: "img", "aria-label": "Parallel coordinates of points" },
      ...points
        .slice(BEST)
        .reverse()
        .map((p) => line(p, false)),
      ...points.slice(0, BEST).map((p) => line(p, true)),
      ...uprights,
    ),
  );
}

function pointsTable(run, points) {
  const axes = run.settings.space;
  const rows = points.map((p) =>
    h(
      "tr",
      {},
      cell(String(p.point)),
      cell(p.error ? "–" : ratio(p.objective), sign(p.objective)),
      cell(ratio(p.figures?.sharpe_ratio)),
      cell(percent(p.figures?.total_return)),
      cell(percent(p.figures?.max_drawdown)),
      cell(number(p.figures?.total_trades)),
      axes.map((_, i) => cell(shown(p.values[i]))),
      h("td", {}, p.strategy_id ? h("a", { href: `#/strategy/${p.strategy_id}` }, "candidate") : ""),
    ),
  );
  const heads = axes.map((axis) => `#${axis.names.join("+")}`);
  return table(
    ["#point", `#${run.objectives[0]}`, "#sharpe", "#return", "#drawdown", "#trades", ...heads, "sent on"],
    rows,
  );
}

async function one(id, signal) {
  const { optimization: run, points } = await read(
    `/api/optimizations/${encodeURIComponent(id)}`,
    { limit: 50 },
    signal,
  );
  const report = run.report;
  const facts = [
    ["Points", `${number(run.points)} of ${number(run.budget)}, ${number(run.evaluations)} trials`],
    ["Method", `${run.method}, seed ${run.seed}`],
    ["Compared by", run.objectives.join(", ")],
    ["Symbols", run.parameters.symbols?.join(", ") ?? UNDEFINED],
    ["Days", `${time(run.from_ms).slice(0, 10)} to ${time(run.to_ms).slice(0, 10)}`],
    ["Candles", h("code", { title: run.data_version }, run.data_version.slice(0, 16))],
    ["Computed by", run.code_version],
    ["Send a point on", h("code", {}, `sg-ai optimize --run ${run.id} --add POINT`)],
  ].map(([name, value]) => h("tr", {}, h("td", { class: "soft" }, name), h("td", { class: "wide" }, value)));
  const content = [
    h("h1", {}, run.name ?? run.genome_hash.slice(0, 12)),
    h("p", {}, h("a", { href: "#/optimizations" }, "All optimisations")),
    card("", "Strategy", h("pre", {}, run.strategy), h("table", {}, h("tbody", {}, facts))),
  ];
  if (report)
    content.push(
      card("", "What may be believed", told(report)),
      card("", "Walk-forward matrix", matrix(report.analysis)),
      card("", "Importance", importance(report.analysis)),
      ...report.heat_maps.map((map) => heatMap(map, run.objectives[0])),
      card("", "Parallel coordinates", parallel(report)),
    );
  else content.push(card("", "", h("p", { class: "soft" }, "The run is not finished: it says nothing yet.")));
  content.push(card("", "The best points", pointsTable(run, points)));
  return { title: "Optimisation", content };
}

export const page = ({ argument, signal }) => (argument ? one(argument, signal) : list(signal));
