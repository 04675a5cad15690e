// The book: what it has shown in history and since, what it needs to go live, who is in it, and what its placebo came to.

import { card, cell, day, h, number, percent, ratio, read, sign, state, Trouble, table, time } from "./base.js";
import { alike, earned, held, nextFreeze, sources } from "./book-parts.js";
import { lines } from "./charts.js";
import { figures as lately } from "./rolling.js";

const DAY_S = 86400;
const ROLLING_DAYS = 180;
// Requirements as the gate names them.
const NEEDS = {
  "book.log_e": "ln E, history and life",
  "book.life_days": "Days of its life",
  "book.life_log_e": "ln E of its life alone",
  "book.log_e_above_placebo": "ln E above the placebo's",
  "placebo.max_log_e": "ln E of the placebo at its highest",
};

const growth = (returns) => {
  let level = 1;
  return returns.map((r) => {
    level *= 1 + (r ?? 0);
    return level;
  });
};

function underWater(levels) {
  let peak = 1;
  return levels.map((level) => {
    peak = Math.max(peak, level);
    return level / peak - 1;
  });
}

/** Annual Sharpe ratio of the days before each, none before there are enough. */
const rolling = (returns) =>
  returns.map((_, i) => (i + 1 < ROLLING_DAYS ? null : lately(returns.slice(i + 1 - ROLLING_DAYS, i + 1)).sharpe));

/** One line in parts: a day belongs to the part in which it ended, and to the one before, so that they meet. */
function parts(times, values, begins) {
  return begins.map(([from], i) => {
    const to = begins[i + 1]?.[0] ?? Number.POSITIVE_INFINITY;
    return times.map((t, at) => (t >= from && (t < to || times[at - 1] < to) ? values[at] : null));
  });
}

function needs(standing) {
  const rows = standing.requirements.map((check) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, NEEDS[check.name] ?? check.name),
      cell(check.needed),
      cell(ratio(check.had)),
      h("td", { class: check.passed ? "up" : "down" }, check.passed ? "met" : "missing"),
    ),
  );
  return table(["requirement", "#needed", "#had", ""], rows, undefined, true);
}

function figures(standing) {
  const [f, p] = [standing.figures, standing.placebo_figures];
  const rows = [
    ["Hedged Sharpe ratio", ratio, "hedged_sharpe"],
    ["Net Sharpe ratio", ratio, "net_sharpe"],
    ["ln E (definitions)", ratio, "log_e"],
    ["Growth a year", percent, "cagr"],
    ["Max drawdown", percent, "max_drawdown"],
    ["Turnover a day, both sides", percent, "turnover_per_day"],
    ["Members, mean", ratio, "members_mean"],
    ["Blocks", number, "blocks"],
  ];
  return table(
    ["", "#book", "#placebo"],
    rows.map(([name, form, key]) =>
      h("tr", {}, h("th", { scope: "row" }, name), cell(form(f[key])), cell(form(p[key]))),
    ),
  );
}

function members(blocks) {
  const block = blocks.at(-1);
  if (!block) return h("p", { class: "soft" }, "No block is frozen yet.");
  const came = block.body.came ?? [];
  const rows = (block.body.members ?? []).map((m, i) =>
    h(
      "tr",
      {},
      h("td", {}, m.niche),
      cell(percent(m.weight)),
      cell(ratio(m.expected_sharpe)),
      cell(ratio(came[i]), sign(came[i])),
      cell(percent(m.false_discovery)),
      cell(ratio(m.t)),
      cell(percent(m.turnover_per_day)),
      h("td", { class: "wide" }, h("details", {}, h("summary", {}, "text"), h("code", {}, m.strategy))),
    ),
  );
  const until = block.is_over ? "was traded until" : "is traded until";
  return [
    h(
      "p",
      { class: "soft" },
      `Frozen ${day(block.begin_ms)}; ${until} ${day(block.end_ms)}, then the next are chosen.`,
    ),
    table(
      ["niche", "#weight", "#expected Sharpe", "#realised", "#local fdr", "#t", "#turnover a day", "strategy"],
      rows,
      block.cash ?? "It holds cash.",
    ),
  ];
}

function history(blocks, placebo) {
  const others = new Map(placebo.map((b) => [b.begin_ms, b]));
  const rows = blocks
    .slice()
    .reverse()
    .map((b) => {
      const all = b.body.members ?? [];
      const mean = (values) => (values.length ? values.reduce((sum, v) => sum + v, 0) / values.length : null);
      return h(
        "tr",
        {},
        h("td", {}, day(b.begin_ms).slice(0, 7)),
        cell(number(b.members)),
        cell(ratio(mean(all.map((m) => m.expected_sharpe)))),
        cell(ratio(mean((b.body.came ?? []).filter((c) => c !== null)))),
        cell(percent(b.body.kept, 0)),
        cell(number(others.get(b.begin_ms)?.members)),
        h("td", { class: "wide soft" }, b.cash ?? ""),
      );
    });
  return table(["block", "#members", "#expected", "#realised", "#kept", "#placebo's members", ""], rows);
}

function head(book) {
  const s = book.standing;
  const left = s.blocks_to_come > 0 && book.state === "candidate";
  const progress = left
    ? h(
        "p",
        {},
        `Walks its history: ${number(s.blocks + s.placebo_blocks)} blocks done, ${number(s.blocks_to_come)} to come`,
        s.seconds_left ? `, about ${number(Math.ceil(s.seconds_left / 60))} min.` : ".",
      )
    : "";
  return [
    h("h1", {}, `Book ${book.number} `, state(book.state, book.disable_reason)),
    h(
      "p",
      { class: "soft" },
      `All ${book.quote} symbols, ${book.market}, ${book.interval}. The null: this book earns nothing beyond its exposures. `,
      `History from ${day(book.from_ms)}; its life began ${day(book.began_ms)}, and what came since nobody could know.`,
    ),
    progress,
  ];
}

/** What a live one has at work, and why. */
function deployed(d) {
  if (!d) return null;
  const work = d.status === "active" ? percent(d.allocation_pct / 100, 2) : "nothing";
  return card(
    "",
    "At work, on paper",
    h(
      "p",
      {},
      `${work} of the capital; phase ${d.phase} since ${day(d.phase_market_ms)}, ${d.status}`,
      d.held ? " by an operator." : ".",
    ),
    h(
      "ul",
      {},
      d.reasons.map((reason) => h("li", { class: "soft" }, reason)),
    ),
  );
}

/** Growth of one coin of the market, where it was there on each day that is told of. */
function bitcoin(days, told) {
  const by = new Map((told?.day_ms ?? []).map((ms, i) => [ms, told.btc[i]]));
  const returns = days.book.day_ms.map((ms) => by.get(ms) ?? null);
  if (!returns.some((r) => r !== null)) return [];
  return [{ name: "bitcoin", color: "ink", data: growth(returns), points: false, width: 0.9 }];
}

function curves(book, days, told) {
  const times = days.book.day_ms.map((ms) => ms / 1000 + DAY_S);
  const live = book.standing.live_ms ? [[book.standing.live_ms / 1000, "live", "live"]] : [];
  const begins = [
    [Number.NEGATIVE_INFINITY, "backtest", "history"],
    [book.began_ms / 1000, "shadow", "shadow"],
    ...live,
  ];
  const align = (column) => {
    const by = new Map(days.placebo.day_ms.map((ms, i) => [ms, column[i]]));
    return days.book.day_ms.map((ms) => by.get(ms) ?? null);
  };
  const stretch = (values) =>
    parts(times, values, begins).map((data, i) => ({
      name: begins[i][2],
      color: begins[i][1],
      data,
      points: false,
      width: 2,
    }));
  const { low, high } = days.placebo_band;
  const edge = (name, data) => ({ name, color: "loss", data, points: false, width: 0.5 });
  const band = low.length === times.length ? [edge("placebo, 5 %", low), edge("placebo, 95 %", high)] : [];
  const grown = [
    ...stretch(growth(days.book.net)),
    { name: "hedged", color: "holdout", data: growth(days.book.hedged), points: false },
    { name: "equal weight", color: "soft", data: growth(days.book.benchmark), points: false, dash: [4, 4] },
    ...bitcoin(days, told),
    { name: "placebo", color: "loss", data: growth(align(days.placebo.net)), points: false, dash: [2, 3] },
    ...band,
  ];
  const threshold = times.map(() => book.standing.needed_log_e);
  const proof = [
    ...stretch(days.book.log_e),
    { name: "placebo", color: "loss", data: align(days.placebo.log_e), points: false, dash: [2, 3] },
    { name: "threshold", color: "soft", data: threshold, points: false, dash: [6, 4] },
  ];
  const fall = { name: "drawdown, net", color: "loss", fill: true, points: false };
  const sharpe = { name: "Sharpe ratio, hedged", color: "holdout", points: false };
  const all = grown.flatMap((one) => one.data).filter((value) => value !== null);
  return {
    hasBand: band.length > 0 && low.at(-1) !== high.at(-1),
    // A scale of tens shows years; weeks would be a flat line on it. Series are numbered from 1: the times come before them.
    growth: lines(times, grown, {
      height: 300,
      log: Math.max(...all) > 3,
      form: (v) => number(v, 2),
      bands: band.length ? [[grown.length, grown.length - 1, "loss"]] : undefined,
    }),
    evidence: lines(times, proof, { height: 280, form: (v) => number(v, 1) }),
    water: lines(times, [{ ...fall, data: underWater(growth(days.book.net)) }], {
      height: 160,
      form: (v) => percent(v, 0),
    }),
    sharpes: lines(times, [{ ...sharpe, data: rolling(days.book.hedged) }], {
      height: 160,
      form: (v) => number(v, 1),
    }),
  };
}

function moves(transitions) {
  const rows = transitions.map((t) =>
    h(
      "tr",
      {},
      h("td", { class: "when" }, time(t.at_market_ms)),
      h("td", {}, `${t.from} → ${t.to}`),
      h("td", { class: "wide" }, t.summary),
    ),
  );
  return table(["when (UTC)", "move", "why"], rows);
}

function detectors(decay) {
  const rows = (decay?.readings ?? []).map((r) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, r.detector),
      cell(ratio(r.statistic)),
      cell(ratio(r.bar)),
      h("td", {}, r.level),
    ),
  );
  if (!rows.length) return null;
  return card("w6", "Detectors of an edge that has gone", table(["detector", "#statistic", "#limit", "level"], rows));
}

export async function page({ signal }) {
  let found;
  try {
    found = await Promise.all([
      read("/api/book", {}, signal),
      read("/api/book/days", {}, signal),
      read("/api/book/insight", {}, signal),
      read("/api/book/members", {}, signal),
    ]);
  } catch (error) {
    if (!(error instanceof Trouble) || error.status !== 404) throw error;
    const why = 'No book is walked. Set daemon.book, such as "*USDT:4h", and start the daemon again.';
    return { title: "Book", content: [h("h1", {}, "Book"), card("", "None", h("p", {}, why))] };
  }
  const [{ book, deployment, transitions, blocks, placebo_blocks: placebo }, days, parted, live] = found;
  const { insight } = parted;
  if (!days.book.day_ms.length)
    return { title: "Book", content: [...head(book), card("", "Members", members(blocks))] };
  const drawn = curves(book, days, insight.days);
  const gone = detectors(book.standing.decay);
  return {
    title: "Book",
    content: [
      ...head(book),
      h(
        "div",
        { class: "grid" },
        card(
          "",
          "Growth of 1, after costs",
          drawn.growth,
          drawn.hasBand &&
            h("p", { class: "small soft" }, "Shaded: where 90 of 100 resamplings of the placebo's days end by then."),
        ),
        card(
          "",
          "Evidence: ln E",
          drawn.evidence,
          h("p", { class: "small soft" }, "Above the threshold by luck with a chance of at most 5 %, ever."),
        ),
        card("w6", book.state === "live" ? "To go live, if it were asked now" : "To go live", needs(book.standing)),
        card("w6", "Figures", figures(book.standing)),
        deployed(deployment),
        card("w6", "Under water", drawn.water),
        card("w6", `Sharpe ratio of ${ROLLING_DAYS} days`, drawn.sharpes),
        card("", "Members", members(blocks), nextFreeze(parted.next_freeze)),
        earned(insight, live.items),
        alike(insight),
        sources(insight),
        held(insight.days),
        gone,
        card(gone ? "w6" : "", "What happened", moves(transitions)),
        card("", "Blocks", history(blocks, placebo)),
      ),
    ],
  };
}
