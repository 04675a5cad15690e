// How close a strategy is: evidence beside its threshold over time, each requirement, and when it may be met.

import { day, evalue, h, number, table, UNDEFINED } from "./base.js";
import { lines } from "./charts.js";

const LN10 = Math.LN10;

/** What a requirement had, short. */
function had(check) {
  if (check.had === null || check.had === undefined) return UNDEFINED;
  if (Math.abs(check.had) >= 1e6) return `10^${number(Math.log10(Math.abs(check.had)), 1)}`;
  return number(check.had, Math.abs(check.had) >= 100 || Number.isInteger(check.had) ? 0 : 2);
}

/** What is missing of a requirement that asks for a number. */
function missing(check) {
  const asked = /^([<>]=?) (-?[\d.]+)/.exec(check.needed);
  if (check.passed) return UNDEFINED;
  if (!asked || typeof check.had !== "number") return "all of it";
  const gap = asked[1].startsWith(">") ? Number(asked[2]) - check.had : check.had - Number(asked[2]);
  return gap > 0 ? number(gap, gap >= 100 ? 0 : 2) : UNDEFINED;
}

/** Each requirement: what is needed, what there is, what is missing. */
export const requirements = (checks) =>
  table(
    ["requirement", "needed", "#had", "#missing", ""],
    checks.map((c) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", title: c.name }, c.label ?? c.name),
        h("td", {}, c.needed),
        h("td", { class: "n" }, had(c)),
        h("td", { class: "n" }, missing(c)),
        h("td", { class: c.passed ? "up" : "down" }, c.passed ? "met" : "missing"),
      ),
    ),
    "None.",
    true,
  );

/** `2026-03-01 (2026-02-11 to 2026-05-20)`, market time. */
export function expected(e) {
  if (!e) return UNDEFINED;
  if (e.at_ms === null) return "cannot be told: its evidence does not grow, or it has closed no trade yet";
  const early = e.early_ms === null ? UNDEFINED : day(e.early_ms);
  const band =
    e.late_ms === null ? `8 of 10 cases: from ${early} on, or never` : `8 of 10 cases: ${early} to ${day(e.late_ms)}`;
  const over = e.at_ms > e.until_ms ? `; shadow ends before, on ${day(e.until_ms)}` : "";
  return `about ${day(e.at_ms)} (${band})${over}`;
}

/** A bar from E = 1 to the threshold, on the logarithmic scale on which evidence grows. */
export function meter(log, needed) {
  if (typeof needed !== "number" || needed <= 0) return h("span", { class: "soft" }, UNDEFINED);
  const share = Math.max(0, Math.min(1, (log ?? 0) / needed));
  const text = `E ${log === null || log === undefined ? "0" : evalue(log)} of ${evalue(needed)}`;
  return h(
    "span",
    { class: "evidence", title: text },
    h("meter", { min: 0, max: 1, value: share, "aria-label": text }),
    h("span", { class: "small" }, text),
  );
}

/** Evidence over time: powers of ten of E, with the threshold. */
function chart(proved, runs) {
  const parts = [];
  if (proved?.holdout_days?.length) parts.push(["hold-out", "holdout", proved.holdout_days]);
  for (const run of runs) if (run.progress?.days?.length) parts.push(["shadow", "shadow", run.progress.days]);
  const all = parts.flatMap(([name, color, days]) => days.map(([t, v]) => ({ t: t / 1000, v, name, color })));
  if (all.length < 2) return null;
  all.sort((a, b) => a.t - b.t);
  const needed = [...runs].reverse().find((run) => run.progress?.log_needed)?.progress.log_needed ?? proved?.log_needed;
  const series = [...new Set(parts.map(([name]) => name))].map((name) => ({
    name,
    color: parts.find(([n]) => n === name)[1],
    points: false,
    width: 2,
    data: all.map((p) => (p.name === name && p.v !== null ? p.v / LN10 : null)),
  }));
  if (needed)
    series.push({ name: "threshold", color: "loss", dash: [6, 4], points: false, data: all.map(() => needed / LN10) });
  return lines(
    all.map((p) => p.t),
    series,
    {
      height: 230,
      form: (v) =>
        Math.abs(v) < 3 ? number(10 ** v, Math.abs(v) < 1 ? 2 : 0) : `10^${number(v, Number.isInteger(v) ? 0 : 1)}`,
    },
  );
}

/** The card's content: where it stands, its evidence over time, every requirement. */
export function evidence(all) {
  const runs = all.paper_runs;
  const newest = [...runs].reverse().find((run) => run.progress);
  const p = newest?.progress;
  const drawn = chart(all.proved, runs);
  const open = newest && newest.ended_at === null;
  const told = [];
  if (p) {
    told.push(h("p", {}, h("b", {}, p.summary), h("span", { class: "small soft" }, ` as of ${day(p.at_ms)}`)));
    if (open && p.state === "shadow") told.push(h("p", {}, "Live: ", expected(p.expected)));
  } else if (all.proved) {
    told.push(
      h("p", {}, `Hold-out E ${evalue(all.proved.holdout_log_e)}, threshold ${evalue(all.proved.log_needed)}.`),
    );
  } else {
    told.push(h("p", { class: "soft" }, all.no_holdout ?? "Nothing out of sample was measured yet."));
  }
  if (p?.log_needed) {
    told.push(h("p", {}, meter(p.log_e, p.log_needed), " ", h("span", { class: "small soft" }, "hold-out and shadow")));
    if (p.shadow_log_needed)
      told.push(
        h(
          "p",
          {},
          meter(p.shadow_log_e, p.shadow_log_needed),
          " ",
          h("span", { class: "small soft" }, "shadow alone: that the edge still lives"),
        ),
      );
  }
  if (!p?.log_needed && all.proved?.log_needed)
    told.push(h("p", {}, meter(all.proved.holdout_log_e, all.proved.log_needed)));
  if (drawn)
    told.push(
      drawn,
      h(
        "p",
        { class: "small soft" },
        "Out-of-sample E at each day's end, logarithmic: evidence that multiplies draws a straight line.",
      ),
    );
  if (p && open) told.push(requirements(p.checks));
  return told;
}
