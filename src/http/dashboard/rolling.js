// What a strategy was like lately, day after day: Sharpe ratio, volatility and exposure over a window that moves on.

import { h, number, percent } from "./base.js";
import { lines, NAMES, SOURCES } from "./charts.js";

const DAY_S = 86400;

/** Annual volatility and Sharpe ratio of daily returns; a ratio of null where they do not vary. */
export function figures(returns) {
  const n = returns.length;
  const mean = returns.reduce((a, b) => a + b, 0) / n;
  const deviation = Math.sqrt(returns.reduce((a, r) => a + (r - mean) ** 2, 0) / (n - 1));
  const year = Math.sqrt(365);
  return { volatility: deviation * year, sharpe: deviation > 0 ? (mean / deviation) * year : null };
}

/** Times of a part in which at least one position was open, as [from, to] in seconds, apart and in order. */
function held(trades) {
  const all = trades
    .filter((t) => t.entry_time && t.exit_time)
    .map((t) => [Date.parse(t.entry_time) / 1000, Date.parse(t.exit_time) / 1000])
    .sort((a, b) => a[0] - b[0]);
  const apart = [];
  for (const [from, to] of all) {
    const last = apart.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else apart.push([from, to]);
  }
  return apart;
}

/** Seconds of [from, to] in which something was held, where the times before `at` are over. */
function heldWithin(apart, from, to) {
  let seconds = 0;
  for (const [a, b] of apart) {
    if (a >= to) break;
    seconds += Math.max(0, Math.min(b, to) - Math.max(a, from));
  }
  return seconds;
}

/** Points of every period; a window never reaches from one period into another. */
export function rolling(parts, days) {
  const points = [];
  for (const part of parts) {
    const apart = held(part.trades);
    const { time_ms: t, equity } = part;
    const whole = [];
    for (let i = 1; i < t.length; i++) {
      const isDay = t[i] % (1000 * DAY_S) === 0 && t[i] - t[i - 1] === 1000 * DAY_S && equity[i - 1] > 0;
      whole.push(isDay ? { at: t[i] / 1000, r: equity[i] / equity[i - 1] - 1 } : null);
    }
    for (let i = days - 1; i < whole.length; i++) {
      const window = whole.slice(i - days + 1, i + 1);
      if (window.includes(null)) continue;
      const at = whole[i].at;
      points.push({
        t: at,
        source: part.source,
        ...figures(window.map((w) => w.r)),
        exposure: part.trades.length ? heldWithin(apart, at - days * DAY_S, at) / (days * DAY_S) : null,
      });
    }
  }
  return points.sort((a, b) => a.t - b.t);
}

function chart(points, of, form) {
  const sources = SOURCES.filter((s) => points.some((p) => p.source === s));
  return lines(
    points.map((p) => p.t),
    sources.map((source) => ({
      name: NAMES[source],
      color: source,
      points: false,
      data: points.map((p) => (p.source === source ? of(p) : null)),
    })),
    { height: 150, form },
  );
}

/** The card's content. */
export function rollingCharts(parts) {
  const place = h("div", {});
  const pick = h(
    "select",
    { name: "rolling", onchange: () => draw() },
    [30, 60, 90].map((n) => h("option", { value: n }, `${n} days`)),
  );
  function draw() {
    const points = rolling(parts, Number(pick.value));
    if (points.length < 2) {
      place.replaceChildren(h("p", { class: "soft" }, `No period is longer than ${pick.value} days.`));
      return;
    }
    place.replaceChildren(
      h("h3", {}, "Sharpe ratio, annualised"),
      chart(
        points,
        (p) => p.sharpe,
        (v) => number(v, 1),
      ),
      h("h3", {}, "Volatility, annualised"),
      chart(
        points,
        (p) => p.volatility,
        (v) => percent(v, 0),
      ),
      h("h3", {}, "Exposure: share of the time with an open position"),
      chart(
        points,
        (p) => p.exposure,
        (v) => percent(v, 0),
      ),
    );
  }
  draw();
  return [h("div", { class: "filters" }, h("label", {}, "Window", pick)), place];
}
