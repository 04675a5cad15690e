// One strategy: what it does, what it did in and out of sample, why it is where it is.

import { address, ask, card, cell, day, h, number, percent, read, sign, state, table, time, toast } from "./base.js";
import { candles } from "./candles.js";
import { fan, histogram, months, NAMES } from "./charts.js";
import { choose, chosen } from "./compare.js";
import { curves } from "./curves.js";
import { evidence } from "./evidence.js";
import { portfolio } from "./portfolio.js";
import { figures, gates, scored } from "./record.js";
import { rollingCharts } from "./rolling.js";
import { tradeCards, tradesOf } from "./trades.js";

/** Robustness tests, computed when somebody asks. */
function beyond(path, signal) {
  const place = h("div", { "aria-live": "polite" });
  const told = (d) => {
    const days = `Of the ${number(d.days)} days from ${day(d.from_ms)} to ${day(d.to_ms)}, ${d.unseen ? "none of which the search saw" : "those of its backtest: where a search chose by them, they say little"}. No gate looks at these tests.`;
    const figure = (f) => `${f.name.replaceAll("_", " ")} ${number(f.value, 3)}`;
    const rows = d.findings.map((f) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, f.name.replaceAll("_", " ")),
        h(
          "td",
          {},
          f.sentence,
          h(
            "details",
            {},
            h("summary", { class: "small soft" }, "figures"),
            h("p", { class: "small soft" }, f.figures.map(figure).join(" · ")),
          ),
        ),
      ),
    );
    const date = (n) => day(d.from_ms + n * 86400000);
    const windows = d.windows.map((w) =>
      h(
        "tr",
        {},
        h("td", {}, `${date(w.from_day)} to ${date(w.split_day)}`),
        h("td", {}, `${date(w.split_day)} to ${date(w.end_day)}`),
        h("td", {}, w.neighbour === null ? "the strategy itself" : `neighbour ${w.neighbour}`),
        cell(percent(w.inside_return_fraction), sign(w.inside_return_fraction)),
        cell(percent(w.outside_return_fraction), sign(w.outside_return_fraction)),
      ),
    );
    place.replaceChildren(
      h("p", { class: "soft" }, days),
      h("div", { class: "scroll" }, h("table", { class: "findings" }, h("tbody", {}, rows))),
      h("h3", {}, "Walk-forward windows"),
      table(
        ["in sample", "out of sample", "chosen", "#return in sample", "#return out of sample"],
        windows,
        "There are too few days or trades for one.",
      ),
      ...(d.fan ? [h("h3", {}, `Monte Carlo: ${number(d.fan.paths)} resampled paths`), fan(d.fan)] : []),
    );
  };
  const go = h(
    "button",
    {
      type: "button",
      onclick: async () => {
        go.disabled = true;
        go.textContent = "Computing …";
        try {
          told(await read(`${path}/dossier`, {}, signal));
        } catch (error) {
          if (error.name === "AbortError") return;
          place.replaceChildren(h("p", { class: "error", role: "alert" }, error.message), go);
          go.disabled = false;
          go.textContent = "Try again";
        }
      },
    },
    "Compute it now",
  );
  place.append(
    h(
      "p",
      { class: "soft" },
      "Walk-forward, bootstrap, noise, higher costs, neighbouring parameters, other symbols, regimes, from the cached candles.",
    ),
    go,
  );
  return place;
}

function tree(all) {
  const by = new Map(all.lineage.map((a) => [a.id, a]));
  const node = (a, seen) => {
    const parents = a.parent_ids
      .filter((id) => by.has(id) && !seen.has(id))
      .map((id) => node(by.get(id), new Set([...seen, id])));
    return h(
      "li",
      {},
      h("a", { href: `#/strategy/${a.number}` }, a.name),
      " ",
      state(a.state),
      h("span", { class: "small soft" }, ` generation ${a.generation}`),
      parents.length ? h("ul", {}, parents) : null,
    );
  };
  const s = all.strategy;
  const roots = s.parent_ids.filter((id) => by.has(id)).map((id) => node(by.get(id), new Set([s.id, id])));
  const children = all.children.map((c) =>
    h("li", {}, h("a", { href: `#/strategy/${c.strategy_id}` }, c.name), " ", state(c.state)),
  );
  return [
    h("h3", {}, "Parents"),
    roots.length
      ? h("ul", { class: "tree" }, roots)
      : h("p", { class: "soft" }, s.parent_hashes.length ? "Its parents were not stored." : "It has none."),
    h("h3", {}, "Children"),
    children.length ? h("ul", { class: "tree" }, children) : h("p", { class: "soft" }, "None are stored."),
  ];
}

function actions(s, again) {
  const button = (name, title) =>
    h(
      "button",
      { type: "button", onclick: () => ask(title, `/api/strategies/${s.id}/${name}`, again, s.state) },
      title,
    );
  if (s.state === "disabled") return button("revive", "Revive …");
  const approve = { candidate: "Approve for shadow …", shadow: "Approve for live …" }[s.state];
  return [approve && button("approve", approve), button("disable", "Disable …")];
}

export async function page({ argument, signal }) {
  const path = `/api/strategies/${encodeURIComponent(argument)}`;
  const [all, top] = await Promise.all([read(path, {}, signal), read("/api/overview", {}, signal)]);
  const s = all.strategy;
  const again = () => dispatchEvent(new HashChangeEvent("hashchange"));
  const ranked = s.form === "ranking" ? portfolio(s, all, signal) : null;
  const judged = all.stats.length > 0;
  const searched = s.created_by === "search";
  const curve = h("div", {}, h("p", { class: "soft" }, "Loading …"));
  const monthly = h("div");
  const spread = h("div");
  const trades = h("div", { class: "full stack" });
  const lately = h("div");
  const place = h("div", { class: "candles" });
  const looked = h("div", { class: "filters" });
  const told = h("p", { class: "small soft" }, "Loading …");
  const pick = h(
    "select",
    { name: "symbol" },
    s.symbols.map((symbol) => h("option", {}, symbol)),
  );

  async function load() {
    const { parts } = await read(`${path}/curves`, {}, signal);
    curve.replaceChildren(...curves(parts));
    if (ranked) return;
    const every = tradesOf(parts);
    lately.replaceChildren(...rollingCharts(parts));
    spread.replaceChildren(
      histogram(
        every.map((t) => t.return_fraction),
        (v) => percent(v),
      ),
    );
    trades.replaceChildren(...tradeCards(every, s.name));
    const draw = async () => {
      place.replaceChildren();
      const data = await read(`${path}/candles`, { symbol: pick.value }, signal);
      if (!data.time_ms.length) {
        told.textContent = "No candles are cached.";
        return;
      }
      const ofSymbol = every.filter((t) => t.symbol === pick.value);
      const { text, boxes } = await candles(place, data, ofSymbol);
      const missing = data.not_shown.length ? ` Not shown: ${data.not_shown.join(", ")}.` : "";
      looked.replaceChildren(...boxes);
      told.textContent = `${text}. Wheel or pinch zooms, dragging moves.${missing}`;
    };
    pick.onchange = draw;
    await draw();
  }
  const parts = () =>
    card(
      "",
      "Equity by period",
      h(
        "div",
        { class: "legend" },
        Object.entries(NAMES).map(([key, name]) => h("span", { class: `dot ${key}` }, h("span", {}, name))),
      ),
      curve,
    );
  const ofRules = () => [
    parts(),
    card("w6", "Monthly returns, percent", monthly),
    card("w6", "Distribution of trades", spread),
    card("", "Rolling Sharpe ratio, volatility and exposure", lately),
    card(
      "",
      "Trades on candles, with the series of its rules",
      h("div", { class: "filters" }, h("label", {}, "Symbol", pick)),
      looked,
      place,
      told,
      h(
        "p",
        { class: "small soft" },
        "Charts by ",
        h("a", { href: "https://www.tradingview.com/", rel: "noopener noreferrer", target: "_blank" }, "TradingView"),
        " Lightweight Charts™, © 2026 TradingView, Inc.",
      ),
    ),
    trades,
    card("", "Robustness tests", beyond(path, signal)),
  ];
  monthly.append(months(all.stats.flatMap((stat) => stat.metrics.monthly_returns)));
  const backtests = all.backtests.map((b) =>
    h(
      "li",
      {},
      h(
        "a",
        { href: address(`/backtest/${b.backtest_id}/report`), target: "_blank", rel: "noopener" },
        `Report of backtest ${b.backtest_id}`,
      ),
      b.has_usual_terms ? null : " (on terms of its own)",
      h("span", { class: "small soft" }, `  ${day(b.from_ms)} to ${day(b.to_ms)}`),
    ),
  );
  const deployments = (found) =>
    table(
      ["phase", "status", "#allocation", "#from", "#to", "why"],
      found.map((d) =>
        h(
          "tr",
          {},
          h("td", {}, d.phase),
          h("td", { class: d.status === "paused" ? "warn" : "" }, d.status),
          cell(`${number(d.allocation_pct, 2)} %`),
          cell(day(d.started_market_ms)),
          cell(d.ended_market_ms ? day(d.ended_market_ms) : "–"),
          h("td", { class: "wide soft" }, d.reason ?? "–"),
        ),
      ),
      "It was never live.",
    );
  const measured = h("div");
  const proof = h("div");
  const decided = h("div");
  const deployed = h("div");
  const named = h("span");
  /** What changes while it is looked at; curves and candles stay where the reader has put them. */
  const fill = (now) => {
    measured.replaceChildren(now.stats.length || !ranked ? figures(now.stats, searched) : "");
    proof.replaceChildren(...evidence(now));
    decided.replaceChildren(...gates(now.transitions));
    deployed.replaceChildren(deployments(now.deployments));
    // Live as a member of a book, whatever it is by itself.
    const books = now.live_books.map((b) =>
      h("a", { class: "small", href: "#/book" }, ` member of live book ${b.book}, ${number(100 * b.weight, 1)} %`),
    );
    named.replaceChildren(state(now.strategy.state, now.strategy.disable_reason), ...books);
  };
  fill(all);
  return {
    title: s.name,
    content: [
      h(
        "div",
        { class: "head" },
        h("h1", {}, s.name),
        named,
        h("span", { class: "soft" }, `no. ${s.number}`),
        h(
          "div",
          { class: "buttons" },
          h(
            "a",
            {
              class: "button",
              href: "#/compare",
              onclick: () => choose(s.number, true) || toast(`Six are chosen: ${chosen().join(", ")}.`),
            },
            "Compare",
          ),
          h(
            "a",
            {
              class: "button",
              href: address(`/api/strategies/${s.number}/report?trades=1000`),
              target: "_blank",
              rel: "noopener",
            },
            "Open report",
          ),
          top.may_act
            ? actions(s, again)
            : h("span", { class: "small soft" }, "Actions are off: http.action_token is not set."),
        ),
      ),
      h(
        "p",
        { class: "soft" },
        `${ranked ? "ranks its universe" : s.symbols.join(", ")} · ${s.market} · ${s.timeframe} candles · family ${s.family ?? "unknown"} · generation ${s.generation}${s.island ? ` of island ${s.island}` : ""} · by ${s.created_by}${searched ? "" : ": no search chose it"}`,
      ),
      h(
        "div",
        { class: "grid" },
        h(
          "div",
          { class: "w6 stack" },
          card(
            "",
            "Rules",
            all.words.split("\n").map((line) => h("p", {}, line)),
            h("pre", {}, s.canonical),
          ),
          ranked?.left,
        ),
        h("div", { class: "w6 stack" }, card("", "Results by period", measured, ranked?.figures), ranked?.right),
        card("", "Evidence: how close it is to live", proof),
        ranked ? [judged ? parts() : null, ...ranked.cards] : ofRules(),
        card("", "Decisions and requirements", decided),
        h(
          "div",
          { class: "w6 stack" },
          card("", "In-sample score", scored(all.score, s)),
          card("", "Lineage", tree(all)),
        ),
        h(
          "div",
          { class: "w6 stack" },
          card("", "Deployments", deployed),
          card(
            "",
            "Identity and reports",
            h(
              "dl",
              {},
              h("dt", {}, "Id"),
              h("dd", {}, h("code", {}, s.id)),
              h("dt", {}, "Genome"),
              h("dd", {}, h("code", {}, s.genome_hash)),
              h("dt", {}, "Stored"),
              h("dd", {}, time(s.created_at)),
              h("dt", {}, "Audit"),
              h("dd", {}, h("a", { href: `#/operations?entity=${s.id}` }, "its entries")),
            ),
            backtests.length ? h("ul", {}, backtests) : null,
            h("p", { class: "small soft" }, "Full report as a file: ", h("code", {}, `sg-ai report ${s.number}`)),
          ),
        ),
      ),
    ],
    live: {
      transition: (t) => {
        if (t.strategy_uuid === s.id) again();
      },
      tick: async () => {
        try {
          fill(await read(path, {}, signal));
        } catch {
          /* it is told that nothing answers */
        }
      },
    },
    ready: () =>
      Promise.all([ranked?.load(), ranked && !judged ? null : load()]).catch((error) => {
        if (error.name !== "AbortError") {
          told.textContent = error.message;
          (ranked ? ranked.figures : curve).replaceChildren(h("p", { class: "error" }, error.message));
        }
      }),
  };
}
