// Which page is shown, what is told live, and the keys.

import { ago, h, Trouble, toast } from "./base.js";
import { themeChanged } from "./charts.js";
import * as book from "./book.js";
import * as data from "./data.js";
import * as evolution from "./evolution.js";
import * as media from "./media.js";
import * as operations from "./operations.js";
import * as optimizations from "./optimizations.js";
import * as overview from "./overview.js";
import * as strategies from "./strategies.js";
import * as strategy from "./strategy.js";

const PAGES = { "": overview, strategies, strategy, book, evolution, optimizations, data, operations, media };
const main = document.getElementById("main");
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
  const tab = page === overview ? "overview" : page === strategy ? "strategies" : name;
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

addEventListener("hashchange", () => {
  show().then(() => {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  });
});
show();

const pulse = document.getElementById("pulse");
let heard = null;
function listen() {
  const source = new EventSource("/api/events");
  const on = (kind, handle) =>
    source.addEventListener(kind, (event) => {
      heard = Date.now();
      handle(JSON.parse(event.data));
    });
  source.onopen = () => {
    pulse.className = "pulse on";
    pulse.textContent = "live";
  };
  source.onerror = () => {
    pulse.className = "pulse off";
    pulse.textContent = "no connection";
  };
  on("transition", (t) => {
    if (t.to !== "disabled" || t.from !== "candidate") toast(`${t.strategy}: ${t.from} → ${t.to}`);
    live.transition?.(t);
  });
  on("generation", (g) => live.generation?.(g));
  on("stats", (s) => live.stats?.(s));
  on("behind", () => show());
}
listen();
setInterval(() => {
  if (heard && pulse.classList.contains("on")) pulse.title = `last event ${ago(heard)}`;
}, 5000);

const root = document.documentElement;
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
  1: "#/",
  2: "#/strategies",
  3: "#/evolution",
  4: "#/data",
  5: "#/operations",
  6: "#/optimizations",
  7: "#/media",
  8: "#/book",
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (KEYS[event.key]) location.hash = KEYS[event.key];
  else if (event.key === "t") switchTheme();
  else if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    } else location.hash = "#/strategies";
  }
});
