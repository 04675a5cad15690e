// Which page is shown, what is told live, and the keys.

import { address, ago, countAges, h, read, Trouble, toast } from "./base.js";
import * as book from "./book.js";
import { themeChanged } from "./charts.js";
import * as compare from "./compare.js";
import * as data from "./data.js";
import * as evolution from "./evolution.js";
import * as media from "./media.js";
import * as models from "./models.js";
import * as operations from "./operations.js";
import * as optimizations from "./optimizations.js";
import * as overview from "./overview.js";
import * as settings from "./settings.js";
import * as strategies from "./strategies.js";
import * as strategy from "./strategy.js";

const PAGES = {
  "": overview,
  strategies,
  strategy,
  compare,
  book,
  evolution,
  optimizations,
  models,
  data,
  operations,
  media,
  settings,
};
const main = document.getElementById("main");
const root = document.documentElement;
let leaving = new AbortController();
let live = {};

/** `#/strategy/12?sort=name` to page, argument and parameters. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  return { name, argument: decodeURIComponent(rest.join("/")), params: new URLSearchParams(query ?? "") };
}

async function show() {
  const { name, argument, params } = place();
  const page = PAGES[name] ?? overview;
  leaving.abort();
  leaving = new AbortController();
  const signal = leaving.signal;
  live = {};
  const tab = page === overview ? "overview" : page === strategy || page === compare ? "strategies" : name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    const shown = await page.page({ argument, params, signal });
    if (signal.aborted) return;
    main.replaceChildren(...shown.content);
    live = shown.live ?? {};
    document.title = `${shown.title ? `${shown.title} – ` : ""}sg-ai`;
    shown.ready?.();
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    const text = error instanceof Trouble ? error.message : `This page has a defect: ${error.message}`;
    main.replaceChildren(
      h(
        "section",
        { class: "card" },
        h("h1", {}, "This cannot be shown"),
        h("p", { class: "error", role: "alert" }, text),
        h("button", { type: "button", onclick: show }, "Try again"),
      ),
    );
  }
}

/** What scrolls is reached by the keyboard, too; what fits is no stop on the way. */
function reachable() {
  for (const part of main.querySelectorAll(".scroll, .tall, ul.feed")) {
    const scrolls = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
    if (scrolls === part.hasAttribute("tabindex")) continue;
    if (scrolls) {
      part.tabIndex = 0;
      // A list stays one.
      if (part.matches("div")) part.setAttribute("role", "group");
      part.setAttribute("aria-label", part.closest(".card")?.querySelector("h2")?.textContent ?? document.title);
    } else for (const name of ["tabindex", "role", "aria-label"]) part.removeAttribute(name);
  }
}
// Whatever changes the page may change what fits.
new MutationObserver(() => requestAnimationFrame(reachable)).observe(main, { childList: true, subtree: true });
addEventListener("resize", reachable);

/** Whether somebody is at something that a new page would take away. */
const busy = () =>
  document.querySelector("dialog[open]") !== null ||
  !getSelection().isCollapsed ||
  (main.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));

/** What is scrolled and opened on the page, so that the same page made anew stands as the old one did. */
function standing() {
  const all = (selector) => [...main.querySelectorAll(selector)];
  const focus = all("a, button").indexOf(document.activeElement);
  return {
    opened: all("details").map((d) => d.open),
    scrolled: all(".scroll, .tall").map((s) => [s.scrollLeft, s.scrollTop]),
    focus,
    top: scrollY,
    again({ opened, scrolled, focus, top }) {
      all("details").forEach((d, i) => {
        d.open = opened[i] ?? d.open;
      });
      all(".scroll, .tall").forEach((s, i) => {
        [s.scrollLeft, s.scrollTop] = scrolled[i] ?? [0, 0];
      });
      if (focus >= 0) all("a, button")[focus]?.focus({ preventScroll: true });
      scrollTo(0, top);
    },
  };
}

/** The same page with what is known now; what cannot be read now stays as it is. */
async function refresh() {
  if (busy() || document.hidden) return false;
  const { name, argument, params } = place();
  const signal = leaving.signal;
  try {
    const shown = await (PAGES[name] ?? overview).page({ argument, params, signal, again: true });
    if (signal.aborted || busy()) return false;
    const stood = standing();
    main.replaceChildren(...shown.content);
    live = shown.live ?? {};
    shown.ready?.();
    stood.again(stood);
    return true;
  } catch {
    return false;
  }
}

addEventListener("hashchange", () => {
  show().then(() => {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  });
});
show();

// Between two readings of a page because something happened.
const REFRESH_MS = 5000;
let due = 0;
let waiting = null;
/** Something happened: the page that is shown is read again soon, unless it keeps itself up to date. */
function happened() {
  if (waiting !== null) return;
  waiting = setTimeout(
    async () => {
      waiting = null;
      due = Date.now() + REFRESH_MS;
      if (live.tick) {
        if (!document.hidden) live.tick();
      } else if (!(await refresh())) happened();
    },
    Math.max(300, due - Date.now()),
  );
}

const pulse = document.getElementById("pulse");
const lost = document.getElementById("lost");
let heard = null;
let dropped = null;

/** Figures that nobody brings up to date any more are not shown as if they were. */
function drop() {
  dropped ??= Date.now();
  root.dataset.stale = "";
  pulse.className = "pulse off";
  pulse.textContent = "no connection";
  lost.hidden = false;
  lost.textContent = `The daemon does not answer: figures are as of ${new Date(heard ?? dropped).toISOString().slice(11, 19)} UTC, and nobody knows how it is now.`;
}

function found() {
  pulse.className = "pulse on";
  pulse.textContent = "live";
  lost.hidden = true;
  delete root.dataset.stale;
  if (dropped !== null) show();
  dropped = null;
}

function listen() {
  const source = new EventSource(address("/api/events"));
  const on = (kind, handle) =>
    source.addEventListener(kind, (event) => {
      heard = Date.now();
      handle(JSON.parse(event.data));
    });
  source.onopen = found;
  source.onerror = () => {
    drop();
    // A browser does not try again after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
  on("transition", (t) => {
    if (t.to !== "disabled" || t.from !== "candidate") toast(`${t.strategy}: ${t.from} → ${t.to}`);
    live.transition?.(t);
    happened();
  });
  on("generation", (g) => {
    live.generation?.(g);
    happened();
  });
  on("stats", (s) => {
    simulated(s.simulated);
    live.stats?.(s);
    happened();
  });
  on("health", (health) => live.health?.(health));
  on("behind", () => show());
}

function simulated(is) {
  document.getElementById("simulated").hidden = !is;
}
read("/sg-ai/stats").then(
  (stats) => simulated(stats.simulated),
  () => {},
);
listen();
setInterval(() => {
  countAges();
  if (heard && pulse.classList.contains("on")) pulse.title = `last event ${ago(heard)}`;
}, 5000);

// A line of the glossary beside what it explains: at a pointer, and without one where the focus is.
const tip = document.getElementById("tip");
let told = null;
function explain(target) {
  const of = target?.closest?.("[data-tip]") ?? null;
  if (of === told) return;
  told = of;
  tip.hidden = of === null;
  if (of === null) return;
  tip.textContent = of.dataset.tip;
  const at = of.getBoundingClientRect();
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(at.left, room))}px`;
  const below = at.bottom + 6 + tip.offsetHeight < innerHeight;
  tip.style.top = `${below ? at.bottom + 6 : at.top - tip.offsetHeight - 6}px`;
}
for (const event of ["pointerover", "focusin"]) addEventListener(event, (e) => explain(e.target));
addEventListener("focusout", () => explain(null));
addEventListener("scroll", () => explain(null), { capture: true, passive: true });

function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    /* it lasts until the page is left */
  }
  themeChanged();
}
document.getElementById("theme").addEventListener("click", switchTheme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);

const KEYS = {
  1: ["#/", "Overview"],
  2: ["#/strategies", "Strategies"],
  3: ["#/evolution", "Evolution"],
  4: ["#/data", "Data"],
  5: ["#/operations", "Operations"],
  6: ["#/optimizations", "Optimisation"],
  7: ["#/media", "Media"],
  8: ["#/book", "Book"],
  9: ["#/settings", "Settings"],
  0: ["#/models", "Models"],
};

function listKeys() {
  const rows = [
    ...Object.entries(KEYS).map(([key, [, name]]) => [key, name]),
    ["c", "Compare strategies"],
    ["/", "Search in lists"],
    ["t", "Light or dark"],
    ["?", "This list"],
    ["Esc", "Close"],
  ];
  const close = h("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close");
  const dialog = h(
    "dialog",
    { "aria-label": "Keys" },
    h("h2", {}, "Keys"),
    h(
      "dl",
      { class: "keys" },
      rows.map(([key, name]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, name)]),
    ),
    h("div", { class: "buttons" }, close),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
document.getElementById("help").addEventListener("click", listKeys);

addEventListener("keydown", (event) => {
  if (event.key === "Escape") explain(null);
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (KEYS[event.key]) location.hash = KEYS[event.key][0];
  else if (event.key === "t") switchTheme();
  else if (event.key === "c") location.hash = "#/compare";
  else if (event.key === "?") listKeys();
  else if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    } else location.hash = "#/strategies";
  }
});
