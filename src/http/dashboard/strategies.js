// All strategies: filtered and sorted by the server, a page at a time, so that ten thousand are no burden.

import { card, cell, day, h, number, percent, ratio, read, sign, state, time } from "./base.js";
import { meter } from "./evidence.js";

const LIMIT = 50;
const COLUMNS = [
  ["number", "no.", "n"],
  ["name", "name"],
  [null, "state"],
  [
    "log_e",
    "E and threshold",
    "",
    "Out-of-sample E, of the promotion threshold; below it when it may go live, by its growth so far",
  ],
  [null, "metrics from"],
  ["total_return", "return", "n"],
  ["sharpe_ratio", "Sharpe", "n"],
  ["max_drawdown", "max DD", "n", "Max drawdown"],
  ["trades", "trades", "n"],
  [null, "costs", "n", "Fees, slippage and funding, quote units"],
  ["profit_factor", "PF", "n extra", "Profit factor"],
  ["win_rate", "win rate", "n extra"],
  [null, "trades on", ""],
  ["changed", "since", "", "When it got into its state, UTC"],
];

/** A cell that carries its own heading where there is no room for columns. */
const labelled = (label, cell) => {
  cell.dataset.label = label;
  return cell;
};

// What states are asked for by: disabled ones, most of all there are, are in no list that nobody asked for them.
const STATES = { "": "candidate,shadow,live", all: "" };

function stateChoice(now, change) {
  const names = [
    ["", "not disabled"],
    ["live", "live"],
    ["shadow", "shadow"],
    ["candidate", "candidate"],
    ["disabled", "disabled"],
    ["all", "all"],
  ];
  const options = names.map(([value, name]) => h("option", { value, selected: value === (now ?? "") }, name));
  return h("label", {}, "State", h("select", { name: "state", onchange: change }, options));
}

function choice(name, label, values, now, change) {
  const options = [
    h("option", { value: "" }, "all"),
    ...values.map((v) => h("option", { value: v, selected: v === now }, v)),
  ];
  return h("label", {}, label, h("select", { name, onchange: change }, options));
}

export async function page({ params, signal, again }) {
  const asked = Object.fromEntries(params);
  const offset = Number(asked.offset ?? 0) || 0;
  const [found, all] = await Promise.all([
    read(
      "/api/strategies",
      { ...asked, state: STATES[asked.state ?? ""] ?? asked.state, limit: LIMIT, offset: offset || "" },
      signal,
    ),
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
    stateChoice(asked.state, filter),
    choice("symbol", "Symbol", f.symbols, asked.symbol, filter),
    choice("timeframe", "Timeframe", f.timeframes, asked.timeframe, filter),
    choice("family", "Family", f.families, asked.family, filter),
    choice("source", "Metrics from", ["backtest", "holdout", "shadow", "live"], asked.source, filter),
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
      labelled(
        "E and threshold",
        h(
          "td",
          {},
          meter(s.log_e, s.log_needed),
          s.state === "shadow"
            ? h(
                "div",
                { class: "small soft" },
                s.expected_ms === null ? "live: not foreseeable" : `live: ${day(s.expected_ms)}`,
              )
            : null,
        ),
      ),
      labelled(
        "metrics from",
        h("td", {}, s.source ? h("span", { class: `dot ${s.source}` }, h("span", {}, s.source)) : "–"),
      ),
      labelled("return", cell(percent(s.total_return), sign(s.total_return))),
      labelled("Sharpe", cell(ratio(s.sharpe_ratio))),
      labelled("max drawdown", cell(percent(s.max_drawdown))),
      labelled("trades", cell(number(s.trades))),
      labelled("costs", cell(number(s.costs, 0))),
      labelled("profit factor", cell(ratio(s.profit_factor), "extra")),
      labelled("win rate", cell(percent(s.win_rate, 0), "extra")),
      labelled(
        "trades on",
        h(
          "td",
          { class: "tight", title: `${s.timeframe} candles of ${s.symbols.join(" ") || "its universe"}` },
          `${s.timeframe} ${
            s.symbols.length > 1 ? `${s.symbols[0]} +${s.symbols.length - 1}` : (s.symbols[0] ?? "its universe")
          }`,
        ),
      ),
      labelled("since", h("td", { class: "when", title: `${time(s.changed_at)} UTC` }, day(s.changed_at))),
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
      found.total ? `${number(offset + 1)} to ${number(last)} of ${number(found.total)}` : "no strategy matches",
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
      if (asked.q !== undefined && !again) {
        search.focus();
        search.setSelectionRange(search.value.length, search.value.length);
      }
    },
  };
}
