// Strategies beside each other: figures and curves of up to six, and how alike those in shadow and live move.

import { card, cell, evalue, explained, h, number, percent, ratio, read, sign, state, UNDEFINED } from "./base.js";
import { alikeShade, chained, lines, NAMES, SOURCES } from "./charts.js";

const MOST = 6;
const COLORS = ["live", "holdout", "shadow", "loss", "accent", "backtest"];
const DASHES = [undefined, undefined, undefined, undefined, [6, 3], [2, 3]];
const KEY = "compare";

/** Numbers of strategies that were chosen in lists, kept while the tab is open. */
export function chosen() {
  try {
    return (sessionStorage.getItem(KEY) ?? "").split(",").filter((n) => /^\d+$/.test(n));
  } catch {
    return [];
  }
}

/** Chooses a strategy or leaves it; says whether there was room for it. */
export function choose(number, is) {
  const others = chosen().filter((n) => n !== String(number));
  if (is && others.length >= MOST) return false;
  try {
    sessionStorage.setItem(KEY, [...others, ...(is ? [String(number)] : [])].join(","));
  } catch {
    /* it lasts as long as the list */
  }
  return true;
}

const FIGURES = [
  ["Total return", (m) => percent(m.total_return), (m) => sign(m.total_return)],
  ["CAGR", (m) => percent(m.cagr)],
  ["Sharpe ratio", (m) => ratio(m.sharpe_ratio)],
  ["Sortino ratio", (m) => ratio(m.sortino_ratio)],
  ["Max drawdown", (m) => percent(m.max_drawdown)],
  ["Profit factor", (m) => ratio(m.profit_factor)],
  ["Win rate", (m) => percent(m.win_rate)],
  ["Trades", (m) => number(m.num_trades)],
  ["Exposure", (m) => percent(m.exposure)],
  ["Days", (m) => number(m.days)],
  ["Costs", (m) => number(m.fees + m.slippage + m.funding, 2)],
];

const name = (one) => h("a", { href: `#/strategy/${one.strategy.number}` }, one.strategy.name);

/** The newest figures of a period. */
const newest = (one, source) => [...one.stats].reverse().find((s) => s.source === source);

function figureTable(all) {
  const heads = all.map((one, i) =>
    h("th", { scope: "col", class: "n" }, h("span", { class: `swatch ${COLORS[i]}` }), name(one)),
  );
  const section = (title, rows) => [
    h("tr", { class: "part-head" }, h("th", { scope: "rowgroup", colspan: all.length + 1 }, title)),
    ...rows,
  ];
  const line = (title, make) => h("tr", {}, h("th", { scope: "row", ...explained(title) }, title), all.map(make));
  const standing = [
    line("State", (one) => h("td", { class: "n" }, state(one.strategy.state))),
    line("E, out of sample", (one) => {
      const p = [...one.paper_runs].reverse().find((run) => run.progress)?.progress;
      return cell(evalue(p?.log_e ?? one.proved?.holdout_log_e));
    }),
    line("Trades on", (one) =>
      h("td", { class: "n wraps" }, `${one.strategy.timeframe} ${one.strategy.symbols.join(" ") || "its universe"}`),
    ),
    line("Family", (one) => h("td", { class: "n" }, one.strategy.family ?? UNDEFINED)),
  ];
  const parts = SOURCES.filter((source) => all.some((one) => newest(one, source))).map((source) =>
    section(
      h("span", { class: `dot ${source}` }, h("span", {}, NAMES[source])),
      FIGURES.map(([title, form, kind]) =>
        line(title, (one) => {
          const m = newest(one, source)?.metrics;
          return m ? cell(form(m), source === "backtest" ? "" : (kind?.(m) ?? "")) : cell(UNDEFINED);
        }),
      ),
    ),
  );
  return h(
    "div",
    { class: "scroll" },
    h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, standing, parts)),
  );
}

/** Gain since the first day of the chosen period, every strategy from 0. */
function curveChart(all, curves, source) {
  const of = curves.map(({ parts }) => {
    const wanted = source ? parts.filter((p) => p.source === source) : parts.filter((p) => p.source !== "backtest");
    return new Map(chained(wanted).map((p) => [p.t, p.gain]));
  });
  const xs = [...new Set(of.flatMap((points) => [...points.keys()]))].sort((a, b) => a - b);
  if (xs.length < 2) return h("p", { class: "soft" }, "No curve of this period is known.");
  return lines(
    xs,
    of.map((points, i) => ({
      name: all[i].strategy.name,
      color: COLORS[i],
      dash: DASHES[i],
      width: 2,
      points: false,
      spanGaps: true,
      data: xs.map((x) => points.get(x) ?? null),
    })),
    { height: 300, form: (v) => percent(v) },
  );
}

/** Correlations as a map. */
export function correlationMap({ strategies, correlation, common_days, least_days, left_out }) {
  if (strategies.length < 2) return [h("p", { class: "soft" }, "Fewer than two of them have traded on paper.")];
  const head = (s, i) =>
    h(
      "th",
      { scope: "col", title: s.name },
      h("a", { href: `#/strategy/${s.strategy_id}`, "aria-label": `${i + 1} ${s.name}` }, String(i + 1)),
    );
  const rows = strategies.map((s, i) =>
    h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        `${i + 1} `,
        h("a", { href: `#/strategy/${s.strategy_id}` }, s.name),
        " ",
        state(s.state),
      ),
      strategies.map((other, k) => {
        if (i === k) return h("td", { class: "none" }, "·");
        const value = correlation[i][k];
        const days = common_days[i][k];
        const title = `${s.name} and ${other.name}: ${value === null ? `${number(days)} common days` : `${ratio(value)} over ${number(days)} common days`}`;
        if (value === null) return h("td", { class: "none", title }, UNDEFINED);
        return h("td", { title, background: alikeShade(value) }, ratio(value));
      }),
    ),
  );
  return [
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "heat correlations" },
        h("thead", {}, h("tr", {}, h("td", {}), strategies.map(head))),
        h("tbody", {}, rows),
      ),
    ),
    h(
      "p",
      { class: "small soft" },
      `Pearson's correlation of daily paper returns, over days that both have, ${least_days} at least. Red moves alike, blue opposite: what moves alike spreads no risk.${left_out ? ` ${number(left_out)} more are not shown.` : ""}`,
    ),
  ];
}

function adder(numbers) {
  const field = h("input", { name: "add", inputmode: "numeric", pattern: "[0-9]+", size: 6, required: true });
  return h(
    "form",
    {
      class: "filters",
      onsubmit: (event) => {
        event.preventDefault();
        location.hash = `#/compare/${[...new Set([...numbers, field.value.trim()])].slice(0, MOST).join(",")}`;
      },
    },
    h("label", {}, "Number of a strategy", field),
    h("button", { type: "submit" }, "Add"),
  );
}

export async function page({ argument, signal }) {
  const numbers = (argument ? argument.split(",") : chosen()).filter((n) => /^\d+$/.test(n)).slice(0, MOST);
  const map = h("div", {});
  const [live, ...all] = await Promise.all([
    read("/api/correlations", {}, signal),
    ...numbers.map((n) => read(`/api/strategies/${n}`, {}, signal)),
  ]);
  const drawn = h("div", {}, h("p", { class: "soft" }, all.length ? "Loading …" : ""));
  const pick = h(
    "select",
    { name: "period", onchange: () => draw() },
    h("option", { value: "" }, "out of sample: hold-out, shadow, live"),
    SOURCES.map((s) => h("option", { value: s }, NAMES[s])),
  );
  let curves = null;
  const draw = () => curves && drawn.replaceChildren(curveChart(all, curves, pick.value));
  map.append(...correlationMap(live));
  const alike = h("div", {});
  return {
    title: "Compare",
    content: [
      h("h1", {}, "Compare strategies"),
      all.length
        ? h(
            "div",
            { class: "buttons chosen" },
            all.map((one, i) =>
              h(
                "span",
                { class: "chip" },
                h("span", { class: `swatch ${COLORS[i]}` }),
                name(one),
                h(
                  "button",
                  {
                    type: "button",
                    "aria-label": `Leave out ${one.strategy.name}`,
                    onclick: () => {
                      choose(one.strategy.number, false);
                      location.hash = `#/compare/${numbers.filter((n) => n !== numbers[i]).join(",")}`;
                    },
                  },
                  "×",
                ),
              ),
            ),
          )
        : h(
            "p",
            { class: "soft" },
            "Choose up to six in the ",
            h("a", { href: "#/strategies" }, "list of strategies"),
            ", or add one by its number.",
          ),
      all.length < MOST ? adder(numbers) : null,
      h(
        "div",
        { class: "grid" },
        all.length
          ? [
              card("", "Equity", h("div", { class: "filters" }, h("label", {}, "Period", pick)), drawn),
              card("", "Figures, newest of each period", figureTable(all)),
              all.length > 1 ? card("", "How alike they move", alike) : null,
            ]
          : null,
        card("", "Correlation of strategies in shadow and live", map),
      ),
    ].filter(Boolean),
    // Where the reader has put it, it stays.
    live: { tick: () => {} },
    ready: async () => {
      if (!all.length) return;
      try {
        const own = numbers.length > 1 ? read("/api/correlations", { strategies: numbers.join(",") }, signal) : null;
        curves = await Promise.all(numbers.map((n) => read(`/api/strategies/${n}/curves`, {}, signal)));
        draw();
        if (own) alike.replaceChildren(...correlationMap(await own));
      } catch (error) {
        if (error.name !== "AbortError")
          drawn.replaceChildren(h("p", { class: "error", role: "alert" }, error.message));
      }
    },
  };
}
