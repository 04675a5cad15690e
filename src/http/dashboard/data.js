// Candles: what is there month by month, what is missing, how fresh it is.

import { card, cell, h, number, percent, read, table, time } from "./base.js";

function coverage(items) {
  const months = [...new Set(items.flatMap((i) => i.months.map((m) => m.month)))].sort();
  if (!months.length) return h("p", { class: "soft" }, "No candles are cached yet.");
  const heads = months.map((m) => h("th", { scope: "col" }, m));
  const rows = items.map((i) => {
    const by = new Map(i.months.map((m) => [m.month, m]));
    const cells = months.map((name) => {
      const m = by.get(name);
      if (!m) return h("td", { title: `${name}: nothing`, "aria-label": "nothing" });
      const share = m.expected ? m.candles / m.expected : 0;
      const missing = m.expected - m.candles;
      const text = `${name}: ${number(m.candles)} candles, ${missing ? `${number(missing)} missing` : "none missing"}`;
      const color = missing === 0 ? "var(--gain)" : share > 0.98 ? "var(--warn)" : "var(--loss)";
      return h("td", {
        title: text,
        "aria-label": text,
        background: `color-mix(in srgb, ${color} ${Math.round(35 + 50 * share)}%, transparent)`,
      });
    });
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, `${i.market === "spot" ? "" : `${i.market}:`}${i.symbol} ${i.interval}`),
      cells,
    );
  });
  return [
    h(
      "div",
      { class: "scroll" },
      h("table", { class: "heat coverage" }, h("thead", {}, h("tr", {}, h("td", {}), heads)), h("tbody", {}, rows)),
    ),
    h(
      "p",
      { class: "legend" },
      h("span", { class: "dot healthy" }, h("span", {}, "whole between first and last candle")),
      h("span", { class: "dot degraded" }, h("span", {}, "under 2 % missing")),
      h("span", { class: "dot unhealthy" }, h("span", {}, "more missing")),
      h("span", { class: "soft" }, "empty: nothing cached"),
    ),
  ];
}

export async function page({ signal }) {
  const [all, regimes] = await Promise.all([read("/api/data", {}, signal), read("/api/regimes", {}, signal)]);
  const feeds = all.feeds.map((f) => {
    const behind =
      f.exchange_time_ms && f.newest_close_ms ? Math.max(0, f.exchange_time_ms - f.newest_close_ms) / 60000 : null;
    return h(
      "tr",
      {},
      h("td", {}, `${f.market === "spot" ? "" : `${f.market}:`}${f.symbol}`),
      h("td", {}, f.interval),
      h("td", { class: "when" }, time(f.newest_close_ms)),
      cell(behind === null ? "–" : `${number(behind, 0)} min`),
      cell(number(f.gaps), f.gaps ? "warn" : ""),
      h("td", { class: "when" }, time(f.refreshed_at)),
      h("td", { class: `wide ${f.error ? "error" : "soft"}` }, f.error ?? "none"),
    );
  });
  const totals = all.items.map((i) => {
    const missing = i.months.reduce((sum, m) => sum + m.expected - m.candles, 0);
    return h(
      "tr",
      {},
      h("td", {}, `${i.market} ${i.symbol}`),
      h("td", {}, i.interval),
      cell(number(i.candles)),
      cell(number(missing), missing ? "warn" : ""),
      cell(percent(missing / (i.candles + missing || 1), 2)),
      h("td", {}, h("code", {}, (i.months.at(-1)?.content_sha256 ?? "").slice(0, 12))),
      h(
        "td",
        { class: `wide ${i.damaged.length ? "error" : "soft"}` },
        i.damaged.length ? i.damaged.join("; ") : "none",
      ),
    );
  });
  const regimeRows = regimes.items.map((r) =>
    h(
      "tr",
      {},
      h("td", {}, `${r.market === "spot" ? "" : `${r.market}:`}${r.asset}`),
      h(
        "td",
        { class: r.regime === "extreme" ? "down" : r.regime === "high_volatility" ? "warn" : "" },
        r.regime.replaceAll("_", " "),
      ),
      cell(number(r.volatility_percentile, 0)),
      cell(percent(r.realised_volatility, 0)),
      h("td", {}, r.previous_regime ? r.previous_regime.replaceAll("_", " ") : "–"),
      h("td", { class: "when" }, time(r.effective_from_ms)),
    ),
  );
  return {
    title: "Data",
    content: [
      h("h1", {}, "Data"),
      h(
        "div",
        { class: "grid" },
        card("", "Coverage and gaps by month", coverage(all.items)),
        card(
          "",
          "Market regimes",
          table(
            ["asset", "regime", "#volatility percentile", "#annualised volatility", "previous regime", "since (UTC)"],
            regimeRows,
            "No regime was determined yet.",
          ),
        ),
        card(
          "",
          "Feeds",
          table(
            ["symbol", "timeframe", "newest close (UTC)", "#behind the exchange", "#gaps", "refreshed (UTC)", "error"],
            feeds,
            "No candles were fetched yet.",
          ),
        ),
        card(
          "",
          "What is cached",
          table(
            ["series", "timeframe", "#candles", "#missing", "#missing, share", "newest month's hash", "damage"],
            totals,
            "No candles are cached yet.",
          ),
        ),
      ),
    ],
  };
}
