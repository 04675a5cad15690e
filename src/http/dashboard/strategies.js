// All strategies: filtered and sorted by the server, a page at a time, so that ten thousand are no burden.

import { h, card, read, number, percent, ratio, sign, time, state, cell } from "./base.js";

const LIMIT = 50;
const COLUMNS = [
  ["number", "no.", "n"], ["name", "name"], [null, "state"], ["changed", "since (UTC)", "hide-small"], [null, "candles", "hide-small"], [null, "symbols", "hide-small"], [null, "figures of", "hide-small"],
  ["total_return", "return", "n"], ["sharpe_ratio", "Sharpe", "n"], ["profit_factor", "profit factor", "n"], ["max_drawdown", "drawdown", "n"], ["win_rate", "won", "n"], ["trades", "trades", "n"], [null, "rules", "hide-small"],
];

function choice(name, label, values, now, change) {
  const options = [h("option", { value: "" }, "all"), ...values.map((v) => h("option", { value: v, selected: v === now }, v))];
  return h("label", {}, label, h("select", { name, onchange: change }, options));
}

export async function page({ params, signal }) {
  const asked = Object.fromEntries(params);
  const offset = Number(asked.offset ?? 0) || 0;
  const [found, all] = await Promise.all([
    read("/api/strategies", { ...asked, limit: LIMIT, offset: offset || "" }, signal), read("/api/overview", {}, signal),
  ]);
  const go = (changes) => {
    const next = { ...asked, offset: "", ...changes };
    const query = new URLSearchParams(Object.entries(next).filter(([, v]) => v));
    location.hash = "#/strategies?" + query;
  };
  const filter = (event) => go({ [event.target.name]: event.target.value });
  const f = all.facets;
  let typing;
  const search = h("input", { type: "search", name: "q", value: asked.q ?? "", placeholder: "name or rules  ( / )", oninput: (event) => { clearTimeout(typing); typing = setTimeout(() => filter(event), 450); } });
  const filters = h("div", { class: "filters", role: "search" }, h("label", {}, "Search", search),
    choice("state", "State", ["candidate", "shadow", "live", "disabled"], asked.state, filter), choice("symbol", "Symbol", f.symbols, asked.symbol, filter),
    choice("timeframe", "Timeframe", f.timeframes, asked.timeframe, filter), choice("family", "Family", f.families, asked.family, filter),
    choice("source", "Figures of", ["backtest", "holdout", "shadow", "live"], asked.source, filter));
  const sorted = asked.sort ?? "changed";
  const ascending = asked.order === "asc";
  const heads = COLUMNS.map(([key, name, kind]) => {
    if (!key) return h("th", { scope: "col", class: kind }, name);
    const now = key === sorted ? (ascending ? "ascending" : "descending") : "none";
    return h("th", { scope: "col", class: kind, "aria-sort": now }, h("button", { type: "button", onclick: () => go({ sort: key, order: key === sorted && !ascending ? "asc" : "desc" }) }, name));
  });
  const rows = found.items.map((s) => h("tr", { class: "row", onclick: (event) => { if (!event.target.closest("a")) location.hash = "#/strategy/" + s.strategy_id; } },
    cell(s.strategy_id), h("td", { class: "name" }, h("a", { href: "#/strategy/" + s.strategy_id }, s.name)), h("td", { title: s.reason ?? "" }, state(s.state)), h("td", { class: "when hide-small" }, time(s.changed_at)), h("td", { class: "hide-small" }, s.timeframe),
    h("td", { class: "hide-small", title: s.symbols.join(" ") }, s.symbols.length > 1 ? `${s.symbols[0]} +${s.symbols.length - 1}` : s.symbols[0]), h("td", { class: "hide-small" }, s.source ? h("span", { class: "dot " + s.source }, h("span", {}, s.source)) : "–"),
    cell(percent(s.total_return), sign(s.total_return)), cell(ratio(s.sharpe_ratio)), cell(ratio(s.profit_factor)), cell(percent(s.max_drawdown)), cell(percent(s.win_rate, 0)), cell(number(s.trades)),
    h("td", { class: "hide-small" }, h("div", { class: "rules", title: s.rules }, s.rules))));
  const last = Math.min(offset + LIMIT, found.total);
  const pages = h("div", { class: "buttons" },
    h("button", { type: "button", disabled: offset === 0, onclick: () => go({ offset: Math.max(0, offset - LIMIT) || "" }) }, "Before"),
    h("span", { class: "soft" }, found.total ? `${number(offset + 1)} to ${number(last)} of ${number(found.total)}` : "none fits"),
    h("button", { type: "button", disabled: last >= found.total, onclick: () => go({ offset: offset + LIMIT }) }, "Next"));
  return {
    title: "Strategies",
    content: [h("h1", {}, "Strategies"), filters, card("", null, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))), pages)],
    ready: () => { if (asked.q !== undefined) { search.focus(); search.setSelectionRange(search.value.length, search.value.length); } },
  };
}
