// Charts in the colours of the theme, drawn again when it or the width changes.

import { day, h, number, percent } from "./base.js";

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const drawn = new Set();

/** Draws into an element that stays; `make(width)` gives a chart with `destroy` and, where it can, `setSize`. */
export function keep(host, make) {
  const chart = { host, make, now: null, width: 0 };
  const draw = () => {
    if (!host.isConnected) {
      if (chart.width) {
        chart.now?.destroy();
        observer.disconnect();
        drawn.delete(chart);
      }
      return;
    }
    const width = Math.floor(host.clientWidth);
    if (!width || (width === chart.width && chart.now)) return;
    chart.now?.destroy();
    chart.width = width;
    chart.now = make(width);
  };
  chart.redraw = () => {
    chart.width = 0;
    draw();
  };
  const observer = new ResizeObserver(draw);
  observer.observe(host);
  drawn.add(chart);
  return chart;
}

export function themeChanged() {
  for (const chart of [...drawn]) chart.redraw();
}

const font = "12px system-ui, sans-serif";
function axis(values, extra = {}) {
  return {
    stroke: color("soft"),
    font,
    grid: { stroke: color("rule"), width: 1 },
    ticks: { stroke: color("rule"), width: 1, size: 4 },
    // Lines between the labelled ones of a logarithmic axis have no value.
    ...(values && { values: (_, all) => all.map((v) => (v === null ? "" : values(v))) }),
    ...extra,
  };
}
const utc = (seconds) => new Date(seconds * 1000);
function when(seconds, step) {
  const text = utc(seconds).toISOString();
  if (step >= 86400) return step >= 86400 * 28 ? text.slice(0, 7) : text.slice(5, 10);
  return text.slice(11, step >= 60 ? 16 : 19);
}

/** Room for an axis's labels: `least` pixels, or as many as the longest of them takes. */
const room = (least) => (_, labels) =>
  Math.max(least, 14 + 7 * Math.max(0, ...(labels ?? []).map((label) => String(label).length)));

// Steps of an axis that counts.
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/** Lines over time (seconds) or number; series: {name, color, data, fill?, width?, dash?, spanGaps?, size? of filled points}. */
export function lines(
  xs,
  series,
  { height = 240, form = (v) => number(v, 1), overTime = true, range, log = false, xname = "", bands } = {},
) {
  const host = h("div", { class: "chart" });
  let data = [xs, ...series.map((s) => s.data)];
  const chart = keep(
    host,
    (width) =>
      new uPlot(
        {
          width,
          height,
          tzDate: (ts) => new Date(new Date(ts * 1000).getTime() + new Date(ts * 1000).getTimezoneOffset() * 60000),
          cursor: { drag: { x: true, y: false }, focus: { prox: 16 } },
          scales: { x: { time: overTime }, y: log ? { distr: 3 } : range ? { range } : {} },
          bands: bands?.map(([upper, lower, name]) => ({ series: [upper, lower], fill: `${color(name)}26` })),
          axes: [
            axis(
              null,
              overTime
                ? { values: (_, all, __, ___, step) => all.map((s) => when(s, step)), space: 64 }
                : { incrs: WHOLE },
            ),
            axis(form, { size: room(62) }),
          ],
          series: [
            {
              label: overTime ? "UTC" : xname,
              value: (_, v) =>
                v === null || v === undefined
                  ? "–"
                  : overTime
                    ? utc(v).toISOString().slice(0, 16).replace("T", " ")
                    : String(v),
            },
            ...series.map((s) => ({
              label: s.name,
              stroke: color(s.color),
              width: s.width ?? 1.6,
              dash: s.dash,
              fill: s.fill ? `${color(s.color)}2e` : undefined,
              spanGaps: s.spanGaps ?? false,
              points: { show: s.points ?? xs.length < 40, size: s.size ?? 4, ...(s.size && { fill: color(s.color) }) },
              value: (_, v) => (v === null || v === undefined ? "–" : form(v)),
            })),
          ],
        },
        data,
        host,
      ),
  );
  host.update = (x, columns) => {
    data = [x, ...columns];
    if (chart.now) chart.now.setData(data);
  };
  return host;
}

/** Gain by part: since the first day, each going on where the one before ended, or each from its own start. */
export function chained(parts, rebased = false) {
  const points = [];
  let level = 1;
  let market = 1;
  for (const part of parts) {
    const first = part.equity[0];
    if (!(first > 0)) continue;
    const [start, before] = rebased ? [1, 1] : [level, market];
    const bench = part.benchmark ?? [];
    part.time_ms.forEach((t, i) => {
      level = start * (part.equity[i] / first);
      if (bench[i] !== undefined) market = before * (bench[i] / bench[0]);
      points.push({
        t: t / 1000,
        gain: level - 1,
        market: bench[i] === undefined ? null : market - 1,
        source: part.source,
      });
    });
  }
  let peak = 0;
  let before = null;
  for (const point of points) {
    if (rebased && point.source !== before) peak = 0;
    before = point.source;
    peak = Math.max(peak, 1 + point.gain);
    point.drawdown = (1 + point.gain) / peak - 1;
  }
  return points;
}

/** The colour of a correlation: red moves alike, blue opposite; pale enough to be written on in either theme. */
export const alikeShade = (v) =>
  `color-mix(in srgb, var(--${v < 0 ? "holdout" : "loss"}) ${Math.round(42 * Math.abs(v))}%, transparent)`;

export const SOURCES = ["backtest", "holdout", "shadow", "live"];
export const NAMES = { backtest: "backtest (in sample)", holdout: "hold-out", shadow: "shadow", live: "live" };

/** Gain or drawdown by period, the gain with buy and hold beside it where that is known. */
export function equity(points, what, height, log = false) {
  const sorted = [];
  for (const point of points) {
    // The last point of a part and the first of the next may be of one moment.
    if (sorted.length && sorted[sorted.length - 1].t >= point.t) {
      sorted[sorted.length - 1].also = point.source;
      continue;
    }
    sorted.push({ ...point });
  }
  const series = SOURCES.filter((s) => sorted.some((p) => p.source === s || p.also === s)).map((source) => ({
    name: NAMES[source],
    color: source,
    fill: what === "drawdown",
    points: false,
    data: sorted.map((p) => (p.source === source || p.also === source ? p[what] + (log ? 1 : 0) : null)),
  }));
  if (what === "gain" && sorted.some((p) => p.market !== null))
    series.push({
      name: "buy and hold",
      color: "soft",
      dash: [5, 4],
      points: false,
      data: sorted.map((p) => (p.market === null ? null : p.market + (log ? 1 : 0))),
    });
  return lines(
    sorted.map((p) => p.t),
    series,
    { height, log, form: (v) => percent(v - (log ? 1 : 0)) },
  );
}

/** Bars of how many values lie where. */
export function histogram(values, form) {
  if (values.length < 2) return h("p", { class: "soft" }, "too few to draw");
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  let [from, to] = [at(0.01), at(0.99)];
  if (!(to > from)) [from, to] = [from - 0.01, from + 0.01];
  const bins = Math.min(41, Math.max(9, Math.round(Math.sqrt(values.length) * 2)));
  const width = (to - from) / bins;
  const counts = new Array(bins).fill(0);
  for (const v of values) counts[Math.min(bins - 1, Math.max(0, Math.floor((v - from) / width)))] += 1;
  const xs = counts.map((_, i) => from + (i + 0.5) * width);
  const host = h("div", { class: "chart" });
  keep(
    host,
    (w) =>
      new uPlot(
        {
          width: w,
          height: 200,
          legend: { show: true },
          scales: { x: { time: false, range: [from, to] } },
          cursor: { drag: { x: false, y: false } },
          axes: [axis(form), axis((v) => number(v), { size: 50 })],
          series: [
            { label: "about", value: (_, v) => (v === null ? "–" : form(v)) },
            ...[
              ["lost", "loss", (x) => x < 0],
              ["won", "gain", (x) => x >= 0],
            ].map(([label, c, is]) => ({
              label,
              stroke: color(c),
              fill: `${color(c)}99`,
              paths: uPlot.paths.bars({ size: [0.9] }),
              points: { show: false },
              value: (_, v) => (v === null ? "–" : number(v)),
              is,
            })),
          ],
        },
        [xs, xs.map((x, i) => (x < 0 ? counts[i] : null)), xs.map((x, i) => (x >= 0 ? counts[i] : null))],
        host,
      ),
  );
  return host;
}

/** Where days like those that were may lead: quantiles of simulated paths by day. */
export function fan({ days, gains }) {
  const names = ["5 %", "25 %", "median", "75 %", "95 %"];
  const series = gains.map((data, i) => ({
    name: names[i],
    color: "holdout",
    data,
    width: i === 2 ? 2 : 1,
    dash: i === 2 ? undefined : [4, 3],
    points: false,
  }));
  return lines(days, series, {
    height: 240,
    overTime: false,
    xname: "day",
    form: (v) => percent(v, 0),
    bands: [
      [5, 1, "holdout"],
      [4, 2, "holdout"],
    ],
  });
}

// Pixels of a row of the map of weights, of its names, and of the dates below it.
const ROW_PX = 17;
const NAMES_PX = 100;
const DATES_PX = 20;

/** Mean weights by name and time: long in the colour of gains, short in that of losses, the greatest the strongest. */
export function heatMap({ names, from_ms, to_ms }) {
  const height = ROW_PX * names.length + DATES_PX;
  const canvas = h("canvas", { role: "img", "aria-label": "Mean target weights by name and time" });
  const host = h("div", { class: "chart" }, canvas);
  const most = Math.max(1e-12, ...names.flatMap((n) => n.weights.map(Math.abs)));
  keep(host, (width) => {
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.font = font;
    pen.textBaseline = "middle";
    const room = width - NAMES_PX;
    names.forEach(({ instrument, weights }, i) => {
      pen.globalAlpha = 1;
      pen.fillStyle = color("soft");
      pen.fillText(instrument, 0, ROW_PX * (i + 0.5), NAMES_PX - 6);
      const step = room / weights.length;
      weights.forEach((weight, k) => {
        if (!weight) return;
        pen.globalAlpha = Math.sqrt(Math.abs(weight) / most);
        pen.fillStyle = color(weight < 0 ? "loss" : "gain");
        pen.fillRect(NAMES_PX + step * k, ROW_PX * i + 1, step, ROW_PX - 2);
      });
    });
    pen.globalAlpha = 1;
    pen.fillStyle = color("soft");
    const dates = Math.max(2, Math.min(8, Math.floor(room / 110)));
    for (let i = 0; i < dates; i++) {
      const share = i / (dates - 1);
      pen.textAlign = i === 0 ? "left" : i === dates - 1 ? "right" : "center";
      pen.fillText(day(from_ms + share * (to_ms - from_ms)), NAMES_PX + share * room, height - DATES_PX / 2);
    }
    pen.textAlign = "left";
    return { destroy: () => pen.clearRect(0, 0, width, height) };
  });
  return host;
}

/** Monthly returns, a row a year. */
export function months(rows) {
  const by = new Map();
  for (const { month, return: r } of rows) by.set(month, (1 + (by.get(month) ?? 0)) * (1 + r) - 1);
  const years = [...new Set([...by.keys()].map((m) => m.slice(0, 4)))].sort();
  if (!years.length) return h("p", { class: "soft" }, "no month yet");
  const most = Math.max(0.05, ...[...by.values()].map(Math.abs));
  const shade = (v) =>
    `color-mix(in srgb, var(--${v < 0 ? "loss" : "gain"}) ${Math.round((42 * Math.abs(v)) / most)}%, transparent)`;
  const names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  return h(
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
          names.map((n) => h("th", { scope: "col" }, n)),
          h("th", { scope: "col" }, "year"),
        ),
      ),
      h(
        "tbody",
        {},
        years.map((year) => {
          let growth = 1;
          const cells = names.map((_, i) => {
            const value = by.get(`${year}-${String(i + 1).padStart(2, "0")}`);
            if (value === undefined) return h("td", { class: "none" }, "–");
            growth *= 1 + value;
            return h("td", { background: shade(value) }, number(100 * value, 1));
          });
          return h("tr", {}, h("th", { scope: "row" }, year), cells, h("td", {}, number(100 * (growth - 1), 1)));
        }),
      ),
    ),
  );
}
