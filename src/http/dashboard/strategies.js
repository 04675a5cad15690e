// All strategies: filtered and sorted by the server, a page at a time, so that ten thousand are no burden.

import { card, cell, h, number, percent, ratio, read, sign, state, time } from "./base.js";

const LIMIT = 50;
const COLUMNS = [
  ["number", "no.", "n"],
  ["name", "name"],
  [null, "state"],
  ["changed", "since (UTC)"],
  [null, "candles"],
  [null, "symbols"],
  [null, "figures of"],
  ["total_return", "return", "n"],
  ["sharpe_ratio", "Sharpe", "n"],
  ["profit_factor", "factor", "n", "Profit factor"],
  ["max_drawdown", "drawdown", "n"],
  ["win_rate", "won", "n"],
  ["trades", "trades", "n"],
];

/** A cell that carries its own heading where there is no room for columns. */
const labelled = (label, cell) => {
  cell.dataset.label = label;
  return cell;
};

function choice(name, label, values, now, change) {
  const options = [
    h("option", { value: "" }, "all"),
    ...values.map((v) => h("option", { value: v, selected: v === now }, v)),
  ];
  return h("label", {}, label, h("select", { name, onchange: change }, options));
}

export async function page({ params, signal }) {
  const asked = Object.fromEntries(params);
  const offset = Number(asked.offset ?? 0) || 0;
  const [found, all] = await Promise.all([
    read("/api/strategies", { ...asked, limit: LIMIT, offset: offset || "" }, signal),
    read("/api/overview", {}, signal),
  ]);
  const go = (changes) => {
    const next = { ...asked, offset: "", ...changes };
    const query = new URLSearchParams(Object.entries(next).filter(([, v]) => v));
    location.hash = `#/strategies?${query}`;
  };
  const filter = (event) => go({ [event.target.name]: event.target.value });
  const f = all.facets;
  let typing;
  const search = h("input", {
    type: "search",
    name: "q",
    value: asked.q ?? "",
    placeholder: "name or rules  ( / )",
    oninput: (event) => {
      clearTimeout(typing);
      typing = setTimeout(() => filter(event), 450);
    },
  });
  const filters = h(
    "div",
    { class: "filters", role: "search" },
    h("label", {}, "Search", search),
    choice("state", "State", ["candidate", "shadow", "live", "disabled"], asked.state, filter),
    choice("symbol", "Symbol", f.symbols, asked.symbol, filter),
    choice("timeframe", "Timeframe", f.timeframes, asked.timeframe, filter),
    choice("family", "Family", f.families, asked.family, filter),
    choice("source", "Figures of", ["backtest", "holdout", "shadow", "live"], asked.source, filter),
  );
  const sorted = asked.sort ?? "changed";
  const ascending = asked.order === "asc";
  const sorts = COLUMNS.filter(([key]) => key).map(([key, name]) =>
    h("option", { value: key, selected: key === sorted }, name),
  );
  filters.append(
    h("label", { class: "only-small" }, "Sort by", h("select", { name: "sort", onchange: filter }, sorts)),
  );
  const heads = COLUMNS.map(([key, name, kind, title]) => {
    if (!key) return h("th", { scope: "col", class: kind }, name);
    const now = key === sorted ? (ascending ? "ascending" : "descending") : "none";
    return h(
      "th",
      { scope: "col", class: kind, title, "aria-sort": now },
      h(
        "button",
        { type: "button", onclick: () => go({ sort: key, order: key === sorted && !ascending ? "asc" : "desc" }) },
        name,
      ),
    );
  });
  const rows = found.items.map((s) =>
    h(
      "tr",
      {
        class: "row",
        onclick: (event) => {
          if (!event.target.closest("a")) location.hash = `#/strategy/${s.strategy_id}`;
        },
      },
      cell(s.strategy_id, "number"),
      h("td", { class: "name" }, h("a", { href: `#/strategy/${s.strategy_id}`, title: s.rules }, s.name)),
      h("td", { class: "in", title: s.reason ?? "" }, state(s.state)),
      h("td", { class: "when" }, time(s.changed_at)),
      labelled("candles", h("td", {}, s.timeframe)),
      labelled(
        "symbols",
        h(
          "td",
          { class: "tight", title: s.symbols.join(" ") },
          s.symbols.length > 1
            ? `${s.symbols[0]} +${s.symbols.length - 1}`
            : (s.symbols[0] ?? h("span", { class: "soft" }, "its universe")),
        ),
      ),
      labelled(
        "figures of",
        h("td", {}, s.source ? h("span", { class: `dot ${s.source}` }, h("span", {}, s.source)) : "–"),
      ),
      labelled("return", cell(percent(s.total_return), sign(s.total_return))),
      labelled("Sharpe", cell(ratio(s.sharpe_ratio))),
      labelled("profit factor", cell(ratio(s.profit_factor))),
      labelled("drawdown", cell(percent(s.max_drawdown))),
      labelled("won", cell(percent(s.win_rate, 0))),
      labelled("trades", cell(number(s.trades))),
    ),
  );
  const last = Math.min(offset + LIMIT, found.total);
  const pages = h(
    "div",
    { class: "buttons" },
    h(
      "button",
      { type: "button", disabled: offset === 0, onclick: () => go({ offset: Math.max(0, offset - LIMIT) || "" }) },
      "Before",
    ),
    h(
      "span",
      { class: "soft" },
      found.total ? `${number(offset + 1)} to ${number(last)} of ${number(found.total)}` : "none fits",
    ),
    h(
      "button",
      { type: "button", disabled: last >= found.total, onclick: () => go({ offset: offset + LIMIT }) },
      "Next",
    ),
  );
  return {
    title: "Strategies",
    content: [
      h("h1", {}, "Strategies"),
      filters,
      card(
        "",
        null,
        h(
          "div",
          { class: "scroll" },
          h("table", { class: "cards listed" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)),
        ),
        pages,
      ),
    ],
    ready: () => {
      if (asked.q !== undefined) {
        search.focus();
        search.setSelectionRange(search.value.length, search.value.length);
      }
    },
  };
}
