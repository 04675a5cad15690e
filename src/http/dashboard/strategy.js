// One strategy: what it does, what it did in and out of sample, why it is where it is.

import { ask, card, cell, day, h, number, percent, price, ratio, read, sign, state, table, time } from "./base.js";
import { candles, chained, equity, fan, histogram, months, NAMES } from "./charts.js";
import { part } from "./evolution.js";
import { portfolio } from "./portfolio.js";

const FIGURES = [
  ["Total return", (m) => percent(m.total_return), (m) => sign(m.total_return)],
  ["Annual growth", (m) => percent(m.cagr)],
  ["Sharpe ratio", (m) => ratio(m.sharpe_ratio)],
  ["Sortino ratio", (m) => ratio(m.sortino_ratio)],
  ["t-statistic", (m) => ratio(m.t_statistic)],
  ["Largest drawdown", (m) => percent(m.max_drawdown)],
  ["Profit factor", (m) => ratio(m.profit_factor)],
  ["Win rate", (m) => percent(m.win_rate)],
  ["Trades", (m) => number(m.num_trades)],
  ["Mean duration", (m) => (m.avg_trade_duration === null ? "–" : `${number(m.avg_trade_duration, 1)} h`)],
  ["Time in a position", (m) => percent(m.exposure)],
  ["Days", (m) => number(m.days)],
  ["Fees", (m) => number(m.fees, 2)],
];

function figures(stats) {
  if (!stats.length) return h("p", { class: "soft" }, "Nothing has been measured yet.");
  const heads = stats.map((s) =>
    h(
      "th",
      { scope: "col", class: "n" },
      h("span", { class: `dot ${s.source}` }, h("span", {}, s.source)),
      h("div", { class: "when" }, day(s.from_ms)),
      h("div", { class: "when" }, `to ${day(s.to_ms)}`),
    ),
  );
  const rows = FIGURES.map(([name, form, kind]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      stats.map((s) => cell(form(s.metrics), kind?.(s.metrics) ?? "")),
    ),
  );
  return h(
    "div",
    { class: "scroll" },
    h("table", {}, h("thead", {}, h("tr", {}, h("th"), heads)), h("tbody", {}, rows)),
  );
}

function gates(transitions) {
  if (!transitions.length) return h("p", { class: "soft" }, "Nothing has been decided yet.");
  return [...transitions].reverse().map((t) => {
    const checks = (t.decision?.checks ?? []).map((c) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, c.name),
        h("td", {}, c.needed),
        cell(c.had === null ? "–" : number(c.had, 3)),
        h("td", { class: c.passed ? "up" : "down" }, c.passed ? "passed" : "not passed"),
      ),
    );
    return h(
      "div",
      { class: "gate" },
      h(
        "div",
        {},
        h("span", { class: "when" }, `${time(t.at_market_ms)} `),
        state(t.from),
        " → ",
        state(t.to, t.reason),
      ),
      h("p", {}, t.summary),
      h("p", { class: "small soft" }, `By ${t.actor}${t.policy ? `, policy ${t.policy}` : ""}`),
      checks.length
        ? h(
            "details",
            { open: t === transitions[transitions.length - 1] },
            h("summary", { class: "small" }, `${checks.length} requirements`),
            table(["requirement", "needed", "#had", ""], checks),
          )
        : null,
    );
  });
}

function scored(score) {
  if (!score) return h("p", { class: "soft" }, "It was not scored.");
  return [
    h(
      "p",
      {},
      h("b", { class: "grade" }, score.grade),
      ` ${number(score.overall, 1)} of 100, above ${number(score.percentile, 0)} % of all that were scored`,
      h("span", { class: "small soft" }, `, on ${day(score.calculated_at)}`),
    ),
    h("div", { class: "parts" }, Object.entries(score.components).map(part)),
    score.warnings.length
      ? h(
          "details",
          {},
          h("summary", { class: "small" }, `${score.warnings.length} requirements of the gate that it missed then`),
          h(
            "ul",
            { class: "small" },
            score.warnings.map((w) => h("li", {}, w)),
          ),
        )
      : null,
  ].filter(Boolean);
}

/** What is known beyond the backtest, computed when somebody asks. */
function beyond(path, signal) {
  const place = h("div", { "aria-live": "polite" });
  const told = (d) => {
    const days = `Of the ${number(d.days)} days from ${day(d.from_ms)} to ${day(d.to_ms)}, ${d.unseen ? "none of which the search saw" : "those of its backtest: where a search chose by them, they say little"}. None of this is a gate: after a search each of it can be fooled, and it says how.`;
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
        ["in sample", "out of sample", "chosen", "#in sample", "#out of it"],
        windows,
        "There are too few days or trades for one.",
      ),
      ...(d.fan ? [h("h3", {}, `Where days like these may lead: ${number(d.fan.paths)} paths`), fan(d.fan)] : []),
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
      "Walk-forward, other orders of its days, noise, higher costs, its neighbours, other symbols, regimes: a sentence each, from the cached candles.",
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

function tradeTable(trades) {
  const newest = [...trades].reverse().slice(0, 300);
  const rows = newest.map((t) =>
    h(
      "tr",
      {},
      h("td", {}, t.symbol),
      h("td", {}, t.side),
      h("td", { class: "when" }, time(t.entry_time)),
      cell(price(t.entry_price)),
      h("td", { class: "when" }, time(t.exit_time)),
      cell(price(t.exit_price)),
      cell(number(t.profit, 2), sign(t.profit)),
      cell(percent(t.return_fraction, 2), sign(t.return_fraction)),
      h("td", {}, t.exit_reason.replaceAll("_", " ")),
    ),
  );
  return [
    h(
      "div",
      { class: "tall" },
      table(
        ["symbol", "side", "entry (UTC)", "#price", "exit (UTC)", "#price", "#profit", "#return", "exit by"],
        rows,
        "No trade.",
      ),
    ),
    trades.length > newest.length
      ? h("p", { class: "small soft" }, `The newest ${newest.length} of ${number(trades.length)}.`)
      : null,
  ];
}

export async function page({ argument, signal }) {
  const path = `/api/strategies/${encodeURIComponent(argument)}`;
  const [all, top] = await Promise.all([read(path, {}, signal), read("/api/overview", {}, signal)]);
  const s = all.strategy;
  const again = () => dispatchEvent(new HashChangeEvent("hashchange"));
  const ranked = s.form === "ranking" ? portfolio(s, all, signal) : null;
  const judged = all.stats.length > 0;
  const curve = h("div", {}, h("p", { class: "soft" }, "Loading …"));
  const monthly = h("div");
  const spread = h("div");
  const trades = h("div");
  const place = h("div", { class: "candles" });
  const told = h("p", { class: "small soft" }, "Loading …");
  const pick = h(
    "select",
    { "aria-label": "Symbol" },
    s.symbols.map((symbol) => h("option", {}, symbol)),
  );

  async function load() {
    const { parts } = await read(`${path}/curves`, {}, signal);
    const points = chained(parts);
    const said = (p) => [p.note, p.shortfall].filter(Boolean);
    const notes = parts.flatMap((p) =>
      said(p).map((text) => h("p", { class: "small soft" }, `${NAMES[p.source]}: ${text}`)),
    );
    curve.replaceChildren(
      ...(points.length > 1
        ? [equity(points, "gain", 300), h("h3", {}, "Drawdown"), equity(points, "drawdown", 160)]
        : [h("p", { class: "soft" }, "No curve is known.")]),
      ...notes,
    );
    if (ranked) return;
    const every = parts.flatMap((p) => p.trades);
    spread.replaceChildren(
      histogram(
        every.map((t) => t.return_fraction),
        (v) => percent(v),
      ),
    );
    trades.replaceChildren(...tradeTable(every).filter(Boolean));
    const draw = async () => {
      place.replaceChildren();
      const data = await read(`${path}/candles`, { symbol: pick.value }, signal);
      if (!data.time_ms.length) {
        told.textContent = "No candles are cached.";
        return;
      }
      const ofSymbol = every.filter((t) => t.symbol === pick.value);
      told.textContent = `${await candles(place, data, ofSymbol)}. Wheel or pinch zooms, dragging moves.`;
    };
    pick.onchange = draw;
    await draw();
  }
  const parts = () =>
    card(
      "",
      "Equity, in sample and after",
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
    card(
      "",
      "Trades on candles",
      pick,
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
    card("", "Trades", trades),
    card("", "What is known beyond the backtest", beyond(path, signal)),
  ];
  monthly.append(months(all.stats.flatMap((stat) => stat.metrics.monthly_returns)));
  const backtests = all.backtests.map((b) =>
    h(
      "li",
      {},
      h(
        "a",
        { href: `/backtest/${b.backtest_id}/report`, target: "_blank", rel: "noopener" },
        `Report of backtest ${b.backtest_id}`,
      ),
      b.has_usual_terms ? null : " (on terms of its own)",
      h("span", { class: "small soft" }, `  ${day(b.from_ms)} to ${day(b.to_ms)}`),
    ),
  );
  const deployments = all.deployments.map((d) =>
    h(
      "tr",
      {},
      h("td", {}, d.phase),
      h("td", {}, d.status),
      cell(`${number(d.allocation_pct, 2)} %`),
      cell(day(d.started_market_ms)),
      cell(d.ended_market_ms ? day(d.ended_market_ms) : "–"),
    ),
  );
  return {
    title: s.name,
    content: [
      h(
        "div",
        { class: "head" },
        h("h1", {}, s.name),
        state(s.state, s.disable_reason),
        h("span", { class: "soft" }, `no. ${s.number}`),
        h(
          "div",
          { class: "buttons" },
          top.may_act
            ? actions(s, again)
            : h("span", { class: "small soft" }, "Actions are off: http.action_token is not set."),
        ),
      ),
      h(
        "p",
        { class: "soft" },
        `${ranked ? "ranks its universe" : s.symbols.join(", ")} · ${s.market} · ${s.timeframe} candles · family ${s.family ?? "unknown"} · generation ${s.generation}${s.island ? ` of island ${s.island}` : ""} · by ${s.created_by}`,
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
        h(
          "div",
          { class: "w6 stack" },
          card(
            "",
            "Figures",
            all.no_holdout && !ranked ? h("p", { class: "soft" }, all.no_holdout) : null,
            judged || !ranked ? figures(all.stats) : null,
            ranked?.figures,
          ),
          ranked?.right,
        ),
        ranked ? [judged ? parts() : null, ...ranked.cards] : ofRules(),
        card("w6", "Evidence and every gate", gates(all.transitions)),
        h("div", { class: "w6 stack" }, card("", "Score", scored(all.score)), card("", "Lineage", tree(all))),
        card(
          "w6",
          "Deployments",
          table(["phase", "status", "#allocation", "#from", "#to"], deployments, "It was never live."),
        ),
        card(
          "w6",
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
          h("p", { class: "small soft" }, "The whole story as a file: ", h("code", {}, `sg-ai report ${s.number}`)),
        ),
      ),
    ],
    live: {
      transition: (t) => {
        if (t.strategy_uuid === s.id) again();
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
