// What a book is made of: what its members earned and how alike they are, names and legs, what it held and traded.

import { card, cell, day, h, number, percent, sign, table } from "./base.js";
import { alikeShade, lines } from "./charts.js";

const DAY_S = 86400;
// Days that a line of what is traded takes together: single ones make no readable line.
const TRADED_DAYS = 7;

const soft = (text) => h("p", { class: "small soft" }, text);

/** When the next members are chosen. */
export function nextFreeze(freeze) {
  if (!freeze?.at_ms) return null;
  return soft(`The next freeze is due ${day(freeze.at_ms)}. Not told before: ${freeze.why}.`);
}

/** What each member gave in the newest block. One that is a stored strategy as well has a page. */
export function earned(insight, live) {
  if (!insight.members?.length) return null;
  const stored = new Map(live.filter((m) => m.strategy_id).map((m) => [m.genome_hash, m]));
  const name = (m) => {
    const one = stored.get(m.hash);
    return one ? h("a", { href: `#/strategy/${one.strategy_id}` }, one.strategy) : m.niche;
  };
  const rows = insight.members.map((m, i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, String(i + 1)),
      h("td", {}, name(m)),
      cell(percent(m.weight)),
      cell(percent(m.hedged, 2), sign(m.hedged)),
      cell(percent(m.contribution, 2), sign(m.contribution)),
    ),
  );
  return card(
    "w6",
    `What members gave since ${day(insight.begin_ms)}`,
    table(["", "niche", "#weight", "#by itself", "#to the book"], rows),
    soft("Sums of hedged daily returns up to the newest day, each member traded by itself: netted they cost less."),
  );
}

/** Correlations of members, by their numbers. */
export function alike(insight) {
  const all = insight.correlations ?? [];
  if (all.length < 2) return null;
  const one = (value) =>
    value === null
      ? h("td", { class: "none" }, "–")
      : h("td", { background: alikeShade(value) }, all.length > 12 ? "" : number(value, 2));
  const rows = all.map((row, i) => {
    const cells = row.map((value, k) => {
      const found = one(value);
      found.title = `${i + 1} and ${k + 1}: ${value === null ? "not known" : number(value, 2)}`;
      return found;
    });
    return h("tr", {}, h("th", { scope: "row" }, String(i + 1)), cells);
  });
  const heads = all.map((_, i) => h("th", { scope: "col" }, String(i + 1)));
  const pairs = all.flatMap((row, i) => row.slice(i + 1)).filter((value) => value !== null);
  const mean = pairs.length ? pairs.reduce((sum, v) => sum + v, 0) / pairs.length : null;
  return card(
    "w6",
    "How alike members are",
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "heat", "aria-label": "Correlations of members" },
        h("thead", {}, h("tr", {}, h("th"), heads)),
        h("tbody", {}, rows),
      ),
    ),
    soft(
      `Correlations of hedged daily returns over ${number(insight.correlation_days)} days, the run-up to the block included; ` +
        `${number(mean, 2)} in the mean of all pairs. Red moves alike, blue opposite.`,
    ),
  );
}

function gains(title, from) {
  const rows = from.names.map((n) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, n.name),
      cell(percent(n.total), sign(n.total)),
      cell(percent(n.long), sign(n.long)),
      cell(percent(n.short), sign(n.short)),
      cell(percent(n.costs)),
    ),
  );
  const [count, gain] = from.others;
  if (count) {
    const rest = h("tr", {}, h("td", { class: "soft" }, `${number(count)} others`), cell(percent(gain), sign(gain)));
    rest.append(cell(""), cell(""), cell(""));
    rows.push(rest);
  }
  return card(
    "w6",
    title,
    h(
      "p",
      {},
      "Long ",
      h("b", { class: sign(from.long) }, percent(from.long)),
      ", short ",
      h("b", { class: sign(from.short) }, percent(from.short)),
      ".",
    ),
    table(["name", "#gain", "#long", "#short", "#costs"], rows, "It held nothing."),
    soft(`After costs, as shares of the capital with which the account began, ${day(from.from_ms)}.`),
  );
}

/** Where gains came from: names, long and short. */
export function sources(insight) {
  const found = [];
  if (insight.life) found.push(gains("Where it came from, life", insight.life));
  if (insight.all) found.push(gains("Where it came from, history and life", insight.all));
  return found;
}

/** What was held and traded, day by day. */
export function held(days) {
  if (!days?.day_ms?.length) return null;
  const times = days.day_ms.map((ms) => ms / 1000 + DAY_S);
  const traded = days.turnover.map((_, i) => {
    const some = days.turnover.slice(Math.max(0, i + 1 - TRADED_DAYS), i + 1);
    return some.reduce((sum, v) => sum + v, 0) / some.length;
  });
  const exposure = [
    { name: "long and short", color: "holdout", data: days.gross, points: false },
    { name: "long less short", color: "shadow", data: days.net, points: false },
  ];
  const form = (v) => percent(v, 0);
  return [
    card("w6", "Held, share of equity", lines(times, exposure, { height: 200, form })),
    card(
      "w6",
      `Traded a day, both sides, mean of ${TRADED_DAYS} days`,
      lines(times, [{ name: "turnover", color: "backtest", data: traded, points: false }], { height: 200, form }),
    ),
  ];
}
