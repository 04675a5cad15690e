// Runners, alerts, dead letters and the audit trail: what an operator needs.

import { ask, card, cell, h, label, number, read, since, span, table, time } from "./base.js";

const LIMIT = 50;

/** Work that is shared with workers: how much, who does it, what failed. */
function workCard({ is_shared, work: w }) {
  const nothing = !w.workers.length && !Object.keys(w.kinds).length;
  if (!is_shared && nothing) return null;
  const kinds = Object.entries(w.kinds).map(([kind, n]) =>
    h(
      "tr",
      {},
      h("td", {}, kind.replaceAll("_", " ")),
      cell(number(n.waiting)),
      cell(number(n.taken)),
      cell(number(n.done)),
      cell(number(n.failed), n.failed ? "down" : ""),
      cell(number(n.cancelled)),
    ),
  );
  const workers = w.workers.map((one) =>
    h(
      "tr",
      {},
      h("td", {}, one.name),
      h("td", {}, one.host ?? "–"),
      h("td", {}, h("code", {}, one.code_version)),
      cell(`${number(one.has)} of ${number(one.slots)}`),
      cell(number(one.done)),
      h("td", { class: one.is_there ? "when" : "when warn" }, since(one.seen_at)),
    ),
  );
  const failures = w.failures.map((f) =>
    h(
      "tr",
      {},
      cell(f.id),
      h("td", {}, f.kind.replaceAll("_", " ")),
      h("td", {}, f.worker ?? "–"),
      cell(number(f.attempts)),
      h("td", { class: f.is_final ? "down" : "warn" }, f.is_final ? "the daemon does it" : "tried again"),
      h("td", { class: "wide error" }, f.error),
    ),
  );
  return card(
    "",
    "Shared work",
    is_shared ? null : h("p", { class: "soft" }, "This daemon shares none: work.enabled is false."),
    h(
      "p",
      {},
      `Waiting: ${number(w.waiting)}${w.waiting ? `, the oldest for ${span(w.oldest_s)}` : ""}. Done a minute, in the last hour: ${number(w.done_per_minute, 2)}. `,
      `Lost by a worker and done again, in 30 days: ${number(w.lost)}.`,
      w.disagreements ? h("span", { class: "down" }, ` Results that disagreed: ${number(w.disagreements)}.`) : null,
    ),
    table(["kind", "#waiting", "#taken", "#done", "#failed", "#cancelled"], kinds, "No work was posted yet."),
    table(
      ["worker", "machine", "build", "#slots at work", "#done", "last heard of"],
      workers,
      "No worker was heard of: the daemon does all of it.",
    ),
    failures.length ? table(["#item", "kind", "worker", "#tries", "what follows", "error"], failures) : null,
  );
}

export async function page({ params, signal }) {
  const entity = params.get("entity") ?? "";
  const [all, runners, letters, audit, drift, work] = await Promise.all([
    read("/api/overview", {}, signal),
    read("/api/runners", {}, signal),
    read("/api/dead-letters", { limit: 100 }, signal),
    read("/api/audit", { limit: LIMIT, entity }, signal),
    read("/api/drift-alerts", { limit: 100 }, signal),
    read("/api/work", {}, signal),
  ]);
  const again = () => dispatchEvent(new HashChangeEvent("hashchange"));
  const may = all.may_act;
  const rests = new Map(runners.pauses.map((p) => [p.runner, p]));
  const runnerRows = runners.items.map((r) => {
    const pause = rests.get(r.name);
    const button =
      may &&
      ["continuous", "shadow"].includes(r.name) &&
      h(
        "button",
        {
          type: "button",
          onclick: () =>
            ask(
              pause ? `Resume ${r.name}` : `Pause ${r.name}`,
              `/api/runners/${r.name}/${pause ? "resume" : "pause"}`,
              again,
            ),
        },
        pause ? "Resume …" : "Pause …",
      );
    return h(
      "tr",
      {},
      h("td", {}, r.name),
      h(
        "td",
        { class: `wide${pause ? " warn" : ""}` },
        pause ? `rests: ${pause.why} (${pause.actor})` : (r.detail?.did ?? "–"),
      ),
      h("td", { class: "when" }, since(r.last_succeeded_at)),
      cell(number(r.consecutive_failures), r.consecutive_failures ? "down" : ""),
      h("td", { class: `wide ${r.last_error ? "error" : "soft"}` }, r.last_error ?? "none"),
      h("td", {}, button || ""),
    );
  });
  const letterRows = letters.items.map((l) =>
    h(
      "tr",
      {},
      cell(l.id),
      h("td", {}, l.kind),
      h("td", {}, h("code", { title: l.subject }, l.subject.slice(0, 16))),
      h("td", { class: l.status === "open" ? "warn" : "" }, l.status),
      cell(number(l.occurrences)),
      h("td", { class: "when" }, time(l.last_seen_at)),
      h("td", { class: "wide" }, l.error),
      h(
        "td",
        {},
        may && l.kind === "backtest" && l.status !== "resolved"
          ? h(
              "button",
              {
                type: "button",
                onclick: () => ask(`Retry failed job ${l.id}`, `/api/dead-letters/${l.id}/retry`, again),
              },
              "Retry …",
            )
          : "",
      ),
    ),
  );
  const auditRow = (e) =>
    h(
      "tr",
      {},
      cell(e.id),
      h("td", { class: "when" }, time(e.at)),
      h("td", {}, e.event.replaceAll("_", " ")),
      h(
        "td",
        {},
        e.entity_type === "strategy" ? h("a", { href: `#/strategy/${e.entity_id}` }, e.entity_type) : e.entity_type,
      ),
      h("td", {}, e.actor),
      h("td", { class: "wide" }, e.metadata?.summary ?? e.metadata?.why ?? e.metadata?.name ?? ""),
      h("td", {}, h("code", { title: e.hash }, e.hash.slice(0, 10))),
    );
  const auditHeads = ["#no.", "at (UTC)", "event", "about", "who", "what", "hash"];
  const auditTable = table(auditHeads, audit.items.map(auditRow), "No entry.");
  let offset = audit.items.length;
  const more = h(
    "button",
    {
      type: "button",
      disabled: offset < LIMIT,
      onclick: async () => {
        const next = await read("/api/audit", { limit: LIMIT, offset, entity });
        offset += next.items.length;
        auditTable.querySelector("tbody").append(...next.items.map((e) => label(auditRow(e), auditHeads)));
        more.disabled = next.items.length < LIMIT;
      },
    },
    "Earlier entries",
  );
  const health = Object.entries(all.health.checks)
    .filter(([, c]) => c.status !== "healthy")
    .map(([name, c]) =>
      h(
        "tr",
        {},
        h("td", {}, h("span", { class: `dot ${c.status}` }, h("span", {}, name))),
        h("td", {}, c.status),
        h("td", {}, c.detail),
      ),
    );
  const alerts = [
    card("w6", "Alerts of health", table(["part", "status", "detail"], health, "Everything is healthy.")),
  ];
  const driftRows = drift.items.map((d) =>
    h(
      "tr",
      {},
      cell(d.id),
      h("td", {}, h("a", { href: `#/strategy/${d.strategy_id}` }, "strategy")),
      h("td", {}, d.type),
      h("td", { class: d.severity === "critical" ? "down" : "warn" }, d.severity),
      cell(number(d.expected, 3)),
      cell(number(d.observed, 3)),
      cell(d.delta_pct === null ? number(d.delta, 3) : `${number(d.delta, 3)} (${number(d.delta_pct, 1)} %)`),
      h("td", {}, d.recommended_action.replaceAll("_", " ")),
      h("td", { class: "when" }, time(d.at_market_ms)),
      h(
        "td",
        {},
        d.acknowledged_by ??
          (may
            ? h(
                "button",
                {
                  type: "button",
                  onclick: () => ask(`Acknowledge alert ${d.id}`, `/api/drift-alerts/${d.id}/acknowledge`, again),
                },
                "Acknowledge …",
              )
            : ""),
      ),
    ),
  );
  return {
    title: "Operations",
    content: [
      h("h1", {}, "Operations"),
      may ? null : h("p", { class: "soft" }, "Actions are off: http.action_token is not set."),
      h(
        "div",
        { class: "grid" },
        alerts,
        card(
          "w6",
          "Notifications",
          h("p", {}, `Queued: ${number(all.stats.outbox.pending)}. Given up: ${number(all.stats.outbox.dead)}.`),
          h("p", {}, `Failed jobs: ${number(all.stats.open_dead_letters)} queued.`),
        ),
        card(
          "",
          "Drift of live strategies",
          table(
            [
              "#no.",
              "strategy",
              "figure",
              "severity",
              "#expected",
              "#observed",
              "#difference",
              "recommended",
              "as of (UTC)",
              "acknowledged by",
            ],
            driftRows,
            "No open alert.",
          ),
        ),
        card(
          "",
          "Runners",
          table(
            ["runner", "activity", "last success", "#consecutive failures", "last error", ""],
            runnerRows,
            "No runner has run yet.",
          ),
        ),
        workCard(work),
        card(
          "",
          "Failed jobs",
          h(
            "div",
            { class: "tall" },
            table(
              ["#no.", "kind", "what", "status", "#times", "last (UTC)", "error", ""],
              letterRows,
              "Nothing ever failed.",
            ),
          ),
        ),
        card(
          "",
          entity ? "Audit trail of one thing" : "Audit trail",
          entity ? h("p", {}, h("code", {}, entity), " ", h("a", { href: "#/operations" }, "all entries")) : null,
          auditTable,
          more,
          h("p", { class: "small soft" }, "Whether the chain holds: ", h("code", {}, "sg-ai audit verify")),
        ),
      ),
    ].filter(Boolean),
  };
}
