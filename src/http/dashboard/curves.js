// A strategy's equity beside buy and hold: every period after the one before or each from its own start, plain or
// logarithmic, and its worst drawdowns.

import { cell, day, h, number, percent, table } from "./base.js";
import { chained, equity, NAMES } from "./charts.js";

/** Worst drawdowns that are listed. */
const WORST = 5;

/** From a peak to where it is passed again, the deepest first; one under way has no end. */
function drawdowns(points) {
  const found = [];
  let peak = null;
  let low = null;
  const close = (end) => {
    if (low && low.level < peak.level)
      found.push({ from: peak.t, low: low.t, to: end, depth: low.level / peak.level - 1 });
  };
  for (const { t, gain } of points) {
    const level = 1 + gain;
    if (peak === null || level >= peak.level) {
      if (peak !== null) close(t);
      peak = { t, level };
      low = null;
    } else if (low === null || level < low.level) low = { t, level };
  }
  if (peak !== null) close(null);
  return found.sort((a, b) => a.depth - b.depth).slice(0, WORST);
}

function drawdownTable(points) {
  const days = (a, b) => number((b - a) / 86400);
  const last = points.at(-1)?.t;
  const rows = drawdowns(points).map((d) =>
    h(
      "tr",
      {},
      cell(percent(d.depth), "down"),
      h("td", { class: "when" }, day(d.from * 1000)),
      h("td", { class: "when" }, day(d.low * 1000)),
      h("td", { class: "when" }, d.to === null ? "not recovered" : day(d.to * 1000)),
      cell(days(d.from, d.low)),
      cell(d.to === null ? `${days(d.from, last)} so far` : days(d.from, d.to)),
    ),
  );
  return table(
    ["#depth", "peak", "trough", "recovered", "#days down", "#days in all"],
    rows,
    "It never fell by a day's end.",
  );
}

/** The card's content. */
export function curves(parts) {
  const place = h("div", {});
  const box = (name) => h("input", { type: "checkbox", name, onchange: () => draw() });
  const [log, rebase] = [box("log"), box("rebase")];
  function draw() {
    const points = chained(parts, rebase.checked);
    if (points.length < 2) {
      place.replaceChildren(h("p", { class: "soft" }, "No curve is known."));
      return;
    }
    place.replaceChildren(
      equity(points, "gain", 300, log.checked),
      h("h3", {}, "Drawdown"),
      equity(points, "drawdown", 160),
      ...(rebase.checked ? [] : [h("h3", {}, "Worst drawdowns, by days' ends"), drawdownTable(points)]),
    );
  }
  draw();
  const notes = parts.flatMap((p) =>
    [p.note, p.shortfall].filter(Boolean).map((text) => h("p", { class: "small soft" }, `${NAMES[p.source]}: ${text}`)),
  );
  return [
    h(
      "div",
      { class: "filters" },
      h("label", { class: "check" }, log, "logarithmic"),
      h("label", { class: "check" }, rebase, "each period from its own start"),
    ),
    place,
    h(
      "p",
      { class: "small soft" },
      "Buy and hold: the strategy's symbols in equal parts, bought when a period begins, without costs.",
    ),
    ...notes,
  ];
}
