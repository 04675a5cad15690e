// Every setting: its value, who set it, what it means.

import { card, h, number, read } from "./base.js";

const shown = (value) => (value === null ? "not set" : typeof value === "string" ? value : JSON.stringify(value));

export async function page({ params, signal }) {
  const { items } = await read("/api/settings", {}, signal);
  const changed = (s) => s.origin !== "the built-in defaults";
  const rows = items.map((s) => {
    const row = h(
      "tr",
      { class: changed(s) ? "changed" : "" },
      h(
        "th",
        { scope: "row" },
        h(
          "code",
          {},
          s.key.split(".").flatMap((part, i) => (i ? [h("wbr"), `.${part}`] : [part])),
        ),
        // Broken where a word ends, if it must be.
        h(
          "div",
          { class: "small soft variable" },
          s.variable.split(/(?<=_)/).map((part) => [part, h("wbr")]),
        ),
      ),
      h("td", {}, h("code", {}, shown(s.value))),
      h("td", { class: changed(s) ? "" : "soft" }, s.origin.replace("the built-in ", "")),
      h("td", { class: "wide" }, s.meaning),
    );
    row.dataset.text = `${s.key} ${s.variable} ${s.meaning} ${s.origin}`.toLowerCase();
    return { row, section: s.key.includes(".") ? s.key.split(".")[0] : "general", changed: changed(s) };
  });
  const sections = [...new Set(rows.map((r) => r.section))].map((name) => {
    const own = rows.filter((r) => r.section === name);
    const element = card(
      "",
      name,
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "settings" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["setting", "value", "set by", "meaning"].map((head) => h("th", { scope: "col" }, head)),
            ),
          ),
          h(
            "tbody",
            {},
            own.map((r) => r.row),
          ),
        ),
      ),
    );
    return { element, own };
  });
  const count = h("span", { class: "soft", role: "status" });
  const narrow = h("input", {
    type: "search",
    name: "q",
    value: params.get("q") ?? "",
    size: 34,
    placeholder: "key, variable or meaning  ( / )",
    oninput: () => filter(),
  });
  const only = h("input", { type: "checkbox", name: "changed", onchange: () => filter() });
  function filter() {
    const words = narrow.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const { element, own } of sections) {
      let some = false;
      for (const r of own) {
        const fits = words.every((word) => r.row.dataset.text.includes(word)) && (!only.checked || r.changed);
        r.row.hidden = !fits;
        some ||= fits;
        left += fits;
      }
      element.hidden = !some;
      // What is looked for is shown, also where cards are folded.
      if (words.length || only.checked) element.open = true;
    }
    count.textContent = `${number(left)} of ${number(rows.length)}`;
  }
  filter();
  return {
    title: "Settings",
    content: [
      h("h1", {}, "Settings"),
      h(
        "p",
        { class: "soft" },
        "As the daemon runs with them; it reads them when it starts. Secrets that are set appear as ***.",
      ),
      h(
        "div",
        { class: "filters", role: "search" },
        h("label", {}, "Search", narrow),
        h("label", { class: "check" }, only, "only what was set by somebody"),
        count,
      ),
      h(
        "div",
        { class: "grid" },
        sections.map((s) => s.element),
      ),
    ],
    // They change with the next start alone.
    live: { tick: () => {} },
  };
}
