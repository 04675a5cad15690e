// What videos say: items with their features, the strategies proposed of them with both verdicts, and their families.

import { card, cell, h, number, percent, read, state, table, time } from "./base.js";

const LIMIT = 50;
const FLAGS = [
  ["has_rsi", "RSI"],
  ["has_macd", "MACD"],
  ["has_support_resistance", "levels"],
  ["has_breakout", "breakout"],
  ["has_stop_loss", "stop"],
];

const verdict = (status) =>
  status
    ? h("span", { class: status === "promoted" ? "up" : "down" }, status.replaceAll("_", " "))
    : h("span", { class: "soft" }, "not tested");

function line(item) {
  const flags = FLAGS.filter(([name]) => item.features[name]).map(([, text]) => text);
  const verdicts = item.verdicts.flatMap((v, i) => [i ? ", " : "", `${v.kind}: `, verdict(v.status)]);
  return h(
    "tr",
    {
      class: "row",
      onclick: (event) => {
        if (!event.target.closest("a")) location.hash = `#/media/${item.media_item_id}`;
      },
    },
    h("td", { class: "n" }, h("a", { href: `#/media/${item.media_item_id}` }, item.media_item_id)),
    h("td", { class: "when" }, time(item.updated_at)),
    cell(number(item.keyword_hits)),
    cell(number(item.features.total_words)),
    cell(percent(item.features.avg_confidence, 0)),
    h("td", {}, flags.length ? flags.join(", ") : h("span", { class: "soft" }, "none")),
    h("td", { class: "n" }, h("a", { href: `#/media?family=${item.family}` }, `${item.family} (${item.family_size})`)),
    h("td", { class: "wide" }, verdicts.length ? verdicts : h("span", { class: "soft" }, "none proposed")),
  );
}

async function list({ params, signal }) {
  const offset = Number(params.get("offset") ?? 0) || 0;
  const family = params.get("family") ?? "";
  const found = await read("/api/media", { limit: LIMIT, offset: offset || "", family }, signal);
  const go = (to) => {
    const query = new URLSearchParams(Object.entries({ family, offset: to || "" }).filter(([, v]) => v));
    location.hash = `#/media?${query}`;
  };
  const buttons = h(
    "div",
    { class: "buttons" },
    h("button", { type: "button", disabled: !offset, onclick: () => go(Math.max(0, offset - LIMIT)) }, "Newer"),
    h("button", { type: "button", disabled: found.items.length < LIMIT, onclick: () => go(offset + LIMIT) }, "Older"),
    family && h("button", { type: "button", onclick: () => (location.hash = "#/media") }, "All families"),
  );
  const heads = [
    "#item",
    "stored (UTC)",
    "#hits",
    "#words",
    "#confidence",
    "speaks of",
    "#family (items)",
    "limits said",
  ];
  return {
    title: "Media",
    content: [
      h("h1", {}, family ? `Media of family ${family}` : "Media"),
      h(
        "p",
        { class: "soft" },
        "What videos say, as features and strategies. Near-duplicates are a family, and a family is one trial.",
      ),
      card("", "Items", table(heads, found.items.map(line), "No media item was stored yet."), buttons),
    ],
  };
}

const seconds = (idea) => `${number(idea.start_time, 0)} to ${number(idea.end_time, 0)} s`;

function proposed(strategy) {
  const link = strategy.strategy_id
    ? h("a", { href: `#/strategy/${strategy.strategy_id}`, title: strategy.description ?? "" }, strategy.name)
    : h("span", { class: "soft" }, "it has left");
  return h(
    "tr",
    {},
    h("td", { class: "when" }, time(strategy.proposed_at)),
    h("td", {}, strategy.current ? strategy.kind : `${strategy.kind}, of other content`),
    h("td", { class: "name" }, link),
    h("td", { class: "wide" }, h("code", {}, strategy.rules ?? "–")),
    h("td", {}, verdict(strategy.status)),
    h("td", { class: "wide soft" }, strategy.reason ?? "–"),
    h("td", { class: "in" }, strategy.state ? state(strategy.state) : "–"),
  );
}

async function one({ argument, signal }) {
  const item = await read(`/media/${encodeURIComponent(argument)}`, {}, signal);
  const features = item.feature_names.map((name, i) =>
    h("tr", {}, h("th", { scope: "row" }, name), cell(String(item.feature_vector[i]))),
  );
  const ideas = item.lexicon.ideas.map((idea) =>
    h(
      "tr",
      {},
      h("td", { class: "when" }, seconds(idea)),
      h("td", {}, idea.side),
      h("td", { class: "wide" }, idea.found.map((f) => f.words).join("; ")),
      h("td", { class: "wide" }, h("code", {}, idea.found.flatMap((f) => f.means).join("; "))),
    ),
  );
  const family = item.family.items.flatMap((id, i) => [i ? ", " : "", h("a", { href: `#/media/${id}` }, id)]);
  const hits = item.keyword_hits.map((hit) =>
    h(
      "tr",
      {},
      h("td", {}, hit.keyword),
      h("td", {}, hit.category),
      cell(number(hit.start_time, 1)),
      cell(number(hit.end_time, 1)),
      cell(percent(hit.confidence, 0)),
    ),
  );
  const heads = ["proposed (UTC)", "from", "strategy", "rules", "three limits", "why", "evidence"];
  return {
    title: `Media ${item.media_item_id}`,
    content: [
      h("h1", {}, `Media item ${item.media_item_id}`),
      h(
        "div",
        { class: "grid" },
        card(
          "",
          "Strategies",
          h(
            "p",
            { class: "soft" },
            "Three limits on a backtest are what clients of media expect: they say that the past was kind. Evidence is the state.",
          ),
          table(heads, item.strategies.map(proposed), "None was proposed yet."),
        ),
        card(
          "",
          "What the lexicon hears",
          table(["when", "side", "words", "mean"], ideas, "No phrase of the lexicon was said."),
          item.lexicon.left_out.length
            ? h("p", { class: "soft" }, `Left out: ${item.lexicon.left_out.join("; ")}`)
            : null,
        ),
        card(
          "w6",
          "Family",
          h(
            "p",
            {},
            `Family ${item.family.id} has ${number(item.family.size)} items: `,
            family,
            item.family.size > item.family.items.length ? " …" : "",
          ),
          h(
            "p",
            { class: "soft" },
            item.family.tried_at
              ? `It counts as one trial since ${time(item.family.tried_at)}.`
              : "It was not tried yet.",
          ),
        ),
        card("w6", "Features", table(["feature", "#value"], features)),
        card("", "Keywords", table(["keyword", "category", "#from (s)", "#to (s)", "#confidence"], hits, "None.")),
        card(
          "",
          "What was said",
          item.transcripts.length
            ? item.transcripts.map((t) =>
                h("p", {}, h("span", { class: "soft" }, `${number(t.start_time, 0)} s `), t.text),
              )
            : h("p", { class: "soft" }, "Nothing."),
        ),
      ),
    ],
  };
}

export function page(asked) {
  return asked.argument ? one(asked) : list(asked);
}
