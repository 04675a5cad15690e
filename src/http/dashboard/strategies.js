// All strategies: filtered and sorted by the server, a page at a time, so that ten thousand are no burden. The filters stay
// where they are while the list below them is read again, so that nobody loses a letter.

import { card, cell, day, explained, h, number, percent, ratio, read, sign, state, time, toast } from "./base.js";
import { choose, chosen } from "./compare.js";
import { meter } from "./evidence.js";
import { figureLimits } from "./limits.js";

const LIMIT = 50;

const tradesOn = (s) =>
  `${s.timeframe} ${
    s.symbols.length > 1 ? `${s.symbols[0]} +${s.symbols.length - 1}` : (s.symbols[0] ?? "its universe")
  }`;

// Key, heading, what the server sorts by, kind of the heading, its cell.
const COLUMNS = [
  ["number", "no.", "number", "n", (s) => cell(s.strategy_id, "number")],
  [
    "name",
    "name",
    "name",
    "",
    (s) => h("td", { class: "name" }, h("a", { href: `#/strategy/${s.strategy_id}`, title: s.rules }, s.name)),
  ],
  ["state", "state", null, "", (s) => h("td", { class: "in", title: s.reason ?? "" }, state(s.state))],
  [
    "evidence",
    "E and threshold",
    "log_e",
    "",
    (s) =>
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
  ],
  [
    "source",
    "metrics from",
    null,
    "",
    (s) => h("td", {}, s.source ? h("span", { class: `dot ${s.source}` }, h("span", {}, s.source)) : "–"),
  ],
  ["return", "return", "total_return", "n", (s) => cell(percent(s.total_return), sign(s.total_return))],
  ["sharpe", "Sharpe", "sharpe_ratio", "n", (s) => cell(ratio(s.sharpe_ratio))],
  ["drawdown", "max DD", "max_drawdown", "n", (s) => cell(percent(s.max_drawdown))],
  ["trades", "trades", "trades", "n", (s) => cell(number(s.trades))],
  ["costs", "costs", null, "n", (s) => cell(number(s.costs, 0))],
  ["pf", "PF", "profit_factor", "n extra", (s) => cell(ratio(s.profit_factor), "extra")],
  ["win_rate", "win rate", "win_rate", "n extra", (s) => cell(percent(s.win_rate, 0), "extra")],
  [
    "on",
    "trades on",
    null,
    "",
    (s) =>
      h(
        "td",
        { class: "tight", title: `${s.timeframe} candles of ${s.symbols.join(" ") || "its universe"}` },
        tradesOn(s),
      ),
  ],
  ["family", "family", null, "", (s) => h("td", {}, s.family ?? "–")],
  ["island", "island", null, "", (s) => h("td", {}, s.island ?? "–")],
  ["generation", "generation", null, "n", (s) => cell(number(s.generation))],
  [
    "since",
    "since",
    "changed",
    "",
    (s) =>
      h("td", { class: "when", title: `${time(s.moved_ms ?? s.changed_at)} UTC` }, day(s.moved_ms ?? s.changed_at)),
  ],
];
// What is named by its place where a row is a card.
const UNLABELLED = ["number", "name", "state"];
const USUALLY_HIDDEN = ["family", "island", "generation"];

function hiddenColumns() {
  try {
    const kept = JSON.parse(localStorage.getItem("columns-hidden"));
    if (Array.isArray(kept)) return new Set(kept);
  } catch {
    /* as usual */
  }
  return new Set(USUALLY_HIDDEN);
}

function keepHidden(hidden) {
  try {
    localStorage.setItem("columns-hidden", JSON.stringify([...hidden]));
  } catch {
    /* it lasts until the page is left */
  }
}

// What states are asked for by: disabled ones, most of all there are, are in no list that nobody asked for them.
const STATES = { "": "candidate,shadow,live", all: "" };

function choice(name, label, values, now, change) {
  const options = values.map((v) => {
    const [value, text] = Array.isArray(v) ? v : [v, v];
    return h("option", { value, selected: value === (now ?? "") }, text);
  });
  return h("label", {}, label, h("select", { name, onchange: change }, options));
}
const any = (values) => [["", "all"], ...values];

export async function page({ params, signal }) {
  let asked = Object.fromEntries(params);
  const hidden = hiddenColumns();
  const columns = () => COLUMNS.filter(([key]) => !hidden.has(key));
  const picked = new Set(chosen());
  let found = null;
  const error = h("p", { class: "error", role: "alert", hidden: true });
  const list = h("div", {});
  const pages = h("div", { class: "buttons" });
  const compare = h("a", { class: "button", href: "#/compare" });

  function read_() {
    const limits = figureLimits(asked.figures ?? "");
    const wanted = {
      ...asked,
      figures: limits.text,
      state: STATES[asked.state ?? ""] ?? asked.state,
      limit: LIMIT,
      offset: Number(asked.offset ?? 0) || "",
    };
    return read("/api/strategies", wanted, signal);
  }

  let asking = 0;
  /** Reads the list as it is asked for now; of several answers the newest is shown. */
  async function load() {
    asking += 1;
    const mine = asking;
    try {
      const answer = await read_();
      if (mine !== asking) return;
      found = answer;
      error.hidden = true;
      fill();
    } catch (trouble) {
      if (trouble.name === "AbortError" || mine !== asking) return;
      error.textContent = trouble.message;
      error.hidden = false;
    }
  }

  function go(changes) {
    asked = Object.fromEntries(Object.entries({ ...asked, offset: "", ...changes }).filter(([, v]) => v));
    // The address without what it leads to: the page stands already.
    history.replaceState(null, "", `#/strategies?${new URLSearchParams(asked)}`);
    return load();
  }
  const filter = (event) => go({ [event.target.name]: event.target.value });
  let typing;
  const typed = (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => filter(event), 250);
  };

  function row(s) {
    const pick = h("input", {
      type: "checkbox",
      checked: picked.has(String(s.strategy_id)),
      "aria-label": `Compare ${s.name}`,
      onchange: () => {
        if (!choose(s.strategy_id, pick.checked)) {
          pick.checked = false;
          toast("Six are chosen already: leave one out first.");
        }
        if (pick.checked) picked.add(String(s.strategy_id));
        else picked.delete(String(s.strategy_id));
        told();
      },
    });
    return h(
      "tr",
      {
        class: "row",
        onclick: (event) => {
          if (!event.target.closest("a, input")) location.hash = `#/strategy/${s.strategy_id}`;
        },
      },
      h("td", { class: "pick" }, pick),
      columns().map(([key, title, , , make]) => {
        const one = make(s);
        if (!UNLABELLED.includes(key)) one.dataset.label = title;
        return one;
      }),
    );
  }

  function told() {
    compare.textContent = picked.size ? `Compare ${picked.size}` : "Compare";
  }

  function fill() {
    const sorted = asked.sort ?? "changed";
    const ascending = asked.order === "asc";
    const heads = columns().map(([, title, sort, kind]) => {
      const shown = kind ? { class: kind } : {};
      if (!sort) return h("th", { scope: "col", ...shown, ...explained(title) }, title);
      const now = sort === sorted ? (ascending ? "ascending" : "descending") : "none";
      const turn = async () => {
        await go({ sort, order: sort === sorted && !ascending ? "asc" : "desc" });
        list.querySelector(`[data-sort=${sort}]`)?.focus();
      };
      return h(
        "th",
        { scope: "col", ...shown, "aria-sort": now },
        h("button", { type: "button", onclick: turn, "data-sort": sort, ...explained(title) }, title),
      );
    });
    const scroll = list.querySelector(".scroll");
    const left = scroll?.scrollLeft ?? 0;
    list.replaceChildren(
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "cards listed" },
          h("thead", {}, h("tr", {}, h("td", {}), heads)),
          h("tbody", {}, found.items.map(row)),
        ),
      ),
    );
    list.firstChild.scrollLeft = left;
    const offset = Number(asked.offset ?? 0) || 0;
    const last = Math.min(offset + LIMIT, found.total);
    const turn = (text, to, disabled) =>
      h("button", { type: "button", disabled, onclick: () => go({ offset: to || "" }) }, text);
    pages.replaceChildren(
      turn("Before", Math.max(0, offset - LIMIT), offset === 0),
      h(
        "span",
        { class: "soft", role: "status" },
        found.total ? `${number(offset + 1)} to ${number(last)} of ${number(found.total)}` : "no strategy matches",
      ),
      turn("Next", offset + LIMIT, last >= found.total),
      compare,
    );
    told();
  }

  const [first, all] = await Promise.all([read_(), read("/api/overview", {}, signal)]);
  found = first;
  const f = all.facets;
  const search = h("input", {
    type: "search",
    name: "q",
    value: asked.q ?? "",
    placeholder: "name or rules  ( / )",
    oninput: typed,
  });
  const figures = h("input", {
    type: "text",
    name: "figures",
    value: asked.figures ?? "",
    placeholder: "sharpe > 1, trades >= 30",
    autocomplete: "off",
    title: "return, sharpe, pf, drawdown, win rate, trades, E; <, <=, > or >=; 10 % is 0.1",
    oninput: (event) => {
      const problem = figureLimits(figures.value).problem;
      figures.setCustomValidity(problem ?? "");
      error.textContent = problem ?? "";
      error.hidden = problem === undefined;
      clearTimeout(typing);
      if (problem === undefined) typed(event);
    },
  });
  const choose_ = h(
    "details",
    { class: "columns" },
    h("summary", {}, "Columns"),
    h(
      "div",
      {},
      COLUMNS.filter(([key]) => key !== "name").map(([key, title]) =>
        h(
          "label",
          { class: "check" },
          h("input", {
            type: "checkbox",
            checked: !hidden.has(key),
            onchange: (event) => {
              if (event.target.checked) hidden.delete(key);
              else hidden.add(key);
              keepHidden(hidden);
              fill();
            },
          }),
          title,
        ),
      ),
    ),
  );
  choose_.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      choose_.open = false;
      choose_.firstChild.focus();
    }
  });
  choose_.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !choose_.contains(event.relatedTarget)) choose_.open = false;
  });
  const states = [
    ["", "not disabled"],
    ["live", "live"],
    ["shadow", "shadow"],
    ["candidate", "candidate"],
    ["disabled", "disabled"],
    ["all", "all"],
  ];
  const forms = any([
    ["rules", "rules"],
    ["ranking", "ranks the market"],
  ]);
  const sorts = COLUMNS.filter(([, , sort]) => sort).map(([, title, sort]) => [sort, title]);
  const small = choice("sort", "Sort by", sorts, asked.sort ?? "changed", filter);
  small.classList.add("only-small");
  const filters = h(
    "div",
    { class: "filters", role: "search" },
    h("label", {}, "Search", search),
    choice("state", "State", states, asked.state, filter),
    h("label", { class: "figures" }, "Figures", figures),
    choice("form", "Form", forms, asked.form, filter),
    choice("symbol", "Symbol", any(f.symbols), asked.symbol, filter),
    choice("timeframe", "Timeframe", any(f.timeframes), asked.timeframe, filter),
    choice("family", "Family", any(f.families), asked.family, filter),
    choice("source", "Metrics from", any(["backtest", "holdout", "shadow", "live"]), asked.source, filter),
    choose_,
    small,
    error,
  );
  fill();
  return {
    title: "Strategies",
    content: [h("h1", {}, "Strategies"), filters, card("", null, list, pages)],
    // Whoever is at a row keeps it; the next event tries again.
    live: { tick: () => list.contains(document.activeElement) || load() },
  };
}
