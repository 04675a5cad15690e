// Trades of a strategy: sorted, a page at a time, summed by symbol and side, and as a file.

import { card, cell, explained, h, number, percent, price, ratio, sign, table, time, UNDEFINED } from "./base.js";

const LIMIT = 25;

const moment = (text) => (text ? new Date(text).getTime() : null);
// Key, heading, what it is sorted by, its cell; and whether it is a number.
const COLUMNS = [
  ["period", "period", (t) => t.period, (t) => h("td", {}, t.period)],
  ["symbol", "symbol", (t) => t.symbol, (t) => h("td", {}, t.symbol)],
  ["side", "side", (t) => t.side, (t) => h("td", {}, t.side)],
  ["entry", "entry (UTC)", (t) => moment(t.entry_time), (t) => h("td", { class: "when" }, time(t.entry_time))],
  ["entry_price", "entry price", (t) => t.entry_price, (t) => cell(price(t.entry_price)), true],
  ["exit", "exit (UTC)", (t) => moment(t.exit_time), (t) => h("td", { class: "when" }, time(t.exit_time))],
  ["exit_price", "exit price", (t) => t.exit_price, (t) => cell(price(t.exit_price)), true],
  ["profit", "profit", (t) => t.profit, (t) => cell(number(t.profit, 2), sign(t.profit)), true],
  [
    "return",
    "return",
    (t) => t.return_fraction,
    (t) => cell(percent(t.return_fraction, 2), sign(t.return_fraction)),
    true,
  ],
  ["best", "best within", (t) => t.best_fraction, (t) => cell(percent(t.best_fraction, 2)), true],
  ["worst", "worst within", (t) => t.worst_fraction, (t) => cell(percent(t.worst_fraction, 2)), true],
  [
    "costs",
    "costs",
    (t) => t.fees + t.slippage + t.funding,
    (t) => cell(number(t.fees + t.slippage + t.funding, 2)),
    true,
  ],
  ["exit_by", "exit by", (t) => t.exit_reason, (t) => h("td", {}, t.exit_reason.replaceAll("_", " "))],
];

const FIELDS = [
  "period",
  "symbol",
  "side",
  "entry_time",
  "entry_price",
  "exit_time",
  "exit_price",
  "quantity",
  "profit",
  "return_fraction",
  "best_fraction",
  "worst_fraction",
  "fees",
  "slippage",
  "funding",
  "exit_reason",
];

/** Every trade with the period that it belongs to, in order of time. */
export const tradesOf = (parts) => parts.flatMap((p) => p.trades.map((t) => ({ ...t, period: p.source })));

function save(trades, name) {
  const quote = (value) =>
    /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? "");
  const lines = trades.map((t) => FIELDS.map((f) => quote(t[f])).join(","));
  const text = `${FIELDS.join(",")}\n${lines.join("\n")}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  h("a", { href: url, download: `${name}-trades.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Orders by what a column holds; what is undefined comes last either way. */
function sorted(trades, of, ascending) {
  const way = ascending ? 1 : -1;
  return [...trades].sort((a, b) => {
    const [x, y] = [of(a), of(b)];
    if (x === y) return 0;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return x < y ? -way : way;
  });
}

/** The card's content. */
export function trades(all, name) {
  let [by, ascending, offset] = ["entry", false, 0];
  const chosen = { period: "", symbol: "", side: "" };
  const place = h("div", {});
  const pages = h("div", { class: "buttons" });
  const choice = (key) => {
    const values = [...new Set(all.map((t) => t[key]))];
    if (values.length < 2) return null;
    const change = (event) => {
      chosen[key] = event.target.value;
      offset = 0;
      draw();
    };
    const options = [h("option", { value: "" }, "all"), ...values.map((v) => h("option", { value: v }, v))];
    return h(
      "label",
      {},
      key[0].toUpperCase() + key.slice(1),
      h("select", { name: `trades-${key}`, onchange: change }, options),
    );
  };
  const wanted = () => all.filter((t) => Object.entries(chosen).every(([key, value]) => !value || t[key] === value));
  function draw() {
    const found = wanted();
    const [, , of] = COLUMNS.find(([key]) => key === by);
    const shown = sorted(found, of, ascending).slice(offset, offset + LIMIT);
    const heads = COLUMNS.map(([key, title, , , isNumber]) =>
      h(
        "th",
        {
          scope: "col",
          class: isNumber ? "n" : "",
          "aria-sort": key === by ? (ascending ? "ascending" : "descending") : "none",
        },
        h(
          "button",
          {
            type: "button",
            ...explained(title),
            onclick: () => {
              [ascending, by, offset] = [key === by && !ascending, key, 0];
              draw();
              place.querySelector(`[data-by=${key}]`)?.focus();
            },
            "data-by": key,
          },
          title,
        ),
      ),
    );
    const rows = shown.map((t) =>
      h(
        "tr",
        {},
        COLUMNS.map(([, title, , make]) => {
          const one = make(t);
          one.dataset.label = title;
          return one;
        }),
      ),
    );
    place.replaceChildren(
      found.length
        ? h(
            "div",
            { class: "scroll" },
            h("table", { class: "cards trades" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)),
          )
        : h("p", { class: "soft" }, "No trade."),
    );
    const last = Math.min(offset + LIMIT, found.length);
    const turn = (title, to, disabled) =>
      h(
        "button",
        {
          type: "button",
          disabled,
          onclick: () => {
            offset = to;
            draw();
          },
        },
        title,
      );
    pages.replaceChildren(
      turn("Before", Math.max(0, offset - LIMIT), offset === 0),
      h(
        "span",
        { class: "soft" },
        found.length ? `${number(offset + 1)} to ${number(last)} of ${number(found.length)}` : "",
      ),
      turn("Next", offset + LIMIT, last >= found.length),
      h("button", { type: "button", onclick: () => save(wanted(), name) }, "Save these trades as CSV"),
    );
  }
  draw();
  return [
    h("div", { class: "filters" }, ["period", "symbol", "side"].map(choice)),
    place,
    pages,
    h(
      "p",
      { class: "small soft" },
      "Best and worst within: the highs and lows of the candles in which a trade was held, against its entry price, before costs.",
    ),
  ];
}

/** Sums by symbol and side. */
export function bySymbol(all) {
  const groups = new Map();
  for (const t of all) {
    const key = `${t.symbol}|${t.side}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(t);
  }
  const sum = (list, of) => list.reduce((total, t) => total + of(t), 0);
  const mean = (list, of) => {
    const known = list.map(of).filter((v) => typeof v === "number");
    return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
  };
  const line = (symbol, side, list) => {
    const won = list.filter((t) => t.profit > 0);
    const lost = -sum(
      list.filter((t) => t.profit < 0),
      (t) => t.profit,
    );
    const gained = sum(won, (t) => t.profit);
    const profit = sum(list, (t) => t.profit);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, symbol),
      h("td", {}, side),
      cell(number(list.length)),
      cell(number(profit, 2), sign(profit)),
      cell(
        percent(
          mean(list, (t) => t.return_fraction),
          2,
        ),
      ),
      cell(percent(list.length ? won.length / list.length : null, 0)),
      cell(lost > 0 ? ratio(gained / lost) : UNDEFINED),
      cell(
        percent(
          mean(list, (t) => t.best_fraction),
          2,
        ),
      ),
      cell(
        percent(
          mean(list, (t) => t.worst_fraction),
          2,
        ),
      ),
      cell(
        number(
          sum(list, (t) => t.fees + t.slippage + t.funding),
          2,
        ),
      ),
    );
  };
  const keys = [...groups.keys()].sort();
  const rows = keys.map((key) => line(...key.split("|"), groups.get(key)));
  if (keys.length > 1) rows.push(line("all", "", all));
  return table(
    [
      "symbol",
      "side",
      "#trades",
      "#profit",
      "#mean return",
      "#win rate",
      "#profit factor",
      "#best within",
      "#worst within",
      "#costs",
    ],
    rows,
    "No trade.",
  );
}

/** Cards of all this. */
export const tradeCards = (all, name) => [
  card("", "By symbol and side", bySymbol(all)),
  card("", "Trades", trades(all, name)),
];
