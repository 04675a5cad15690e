// Reading, numbers and elements: what every page uses. Text goes in as text, never as HTML.

import { TERMS } from "./terms.js";

export const UNDEFINED = "–";

export class Trouble extends Error {
  constructor(problem, status) {
    super(problem.detail || "the daemon does not answer");
    this.status = status;
    this.field = problem.field;
  }
}

async function answer(response) {
  const text = await response.text();
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    /* told by the status */
  }
  if (!response.ok) throw new Trouble(body, response.status);
  return body;
}

/** An address of this server as the page reaches it, under whichever path a proxy serves it. */
export const address = (path) => path.replace(/^\//, "");

/** Reads a path; parameters that are empty are left out. */
export async function read(path, params = {}, signal) {
  const query = new URLSearchParams(
    Object.entries(params).filter(([, v]) => v !== undefined && v !== null && v !== ""),
  );
  const text = query.toString();
  let response;
  try {
    response = await fetch(address(path) + (text ? `?${text}` : ""), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble({ detail: "the daemon does not answer" }, 0);
  }
  return answer(response);
}

/** A name for a request: sent again with the same one, it is the same request. */
export function requestName() {
  // Not randomUUID, which pages have on HTTPS and localhost alone.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function act(path, token, reason, name) {
  const headers = {
    "content-type": "application/json",
    authorization: `Bearer ${token}`,
    "idempotency-key": name,
  };
  return answer(await fetch(address(path), { method: "POST", headers, body: JSON.stringify(reason) }));
}

/** An element: attributes, `on...` handlers, children that are elements, texts or lists of them. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "background") element.style.background = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

const phone = matchMedia("(max-width: 40rem)");
// Cards that the reader opened or closed, by page and title.
const chosen = new Map();

/** On a phone a page shows its first cards, where they are not too long, and of the others the titles. */
function fold(element, frames = 30) {
  if (!element.isConnected) {
    if (frames) requestAnimationFrame(() => fold(element, frames - 1));
    return;
  }
  const place = [...document.querySelectorAll(".card")].indexOf(element);
  element.open = place < 2 && element.offsetHeight < 2 * innerHeight;
}

/** A part of a page; on a phone it opens and closes by its title. */
export function card(width, title, ...children) {
  const head = title && h("h2", {}, title);
  if (!head || !phone.matches) return h("section", { class: `card ${width}` }, head, ...children);
  const key = `${location.hash.split("?")[0]} ${title}`;
  const summary = h("summary", { onclick: () => chosen.set(key, !element.open) }, head);
  const element = h("details", { class: `card ${width}`, open: chosen.get(key) ?? true }, summary, ...children);
  if (!chosen.has(key)) requestAnimationFrame(() => fold(element));
  return element;
}

/** Attributes of something that is called by a term of the glossary: its line is told when it is pointed at or focused. */
export function explained(name) {
  const line = TERMS[name.toLowerCase()];
  return line ? { "data-tip": line, tabindex: 0, "aria-description": line } : {};
}

const plain = (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
// Made once: making one costs a hundred times as much as using it.
const forms = [0, 1, 2, 3, 4].map(plain);
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const significant = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
export const isNumber = (v) => typeof v === "number" && Number.isFinite(v);
export const number = (v, digits = 0) => (isNumber(v) ? forms[digits].format(Object.is(v, -0) ? 0 : v) : UNDEFINED);
export const ratio = (v) => number(v, 2);
export const percent = (v, digits = 1) => (isNumber(v) ? `${number(100 * v, digits)} %` : UNDEFINED);
export const short = (v) => (isNumber(v) ? compact.format(v) : UNDEFINED);
export const sign = (v) => (!isNumber(v) || v === 0 ? "" : v > 0 ? "up" : "down");
export const price = (v) => (isNumber(v) ? significant.format(v) : UNDEFINED);

/** `2025-01-31 12:45`, UTC. */
export function time(value) {
  if (value === null || value === undefined) return UNDEFINED;
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? UNDEFINED : at.toISOString().slice(0, 16).replace("T", " ");
}
export const day = (value) => time(value).slice(0, 10);

export function ago(value) {
  if (!value) return "never";
  const s = Math.max(0, (Date.now() - new Date(value)) / 1000);
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  return s < 172800 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`;
}

/** The same as an element that goes on counting. */
export const since = (value) => h("time", { class: "ago", datetime: value ?? "" }, ago(value));

/** Brings every age on the page up to date. */
export function countAges() {
  for (const age of document.querySelectorAll("time.ago")) age.textContent = ago(age.getAttribute("datetime"));
}

/** `40 min`, `3 h`, `12 days`. */
export function span(seconds) {
  if (!isNumber(seconds)) return UNDEFINED;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** An E-value from its logarithm: three digits, and powers of ten once it is huge. */
export function evalue(log) {
  if (!isNumber(log)) return UNDEFINED;
  if (log > 13.8) return `10^${number(log / Math.LN10, 1)}`;
  const e = Math.exp(log);
  return e >= 100 ? number(e) : e >= 10 ? number(e, 1) : number(e, 2);
}

export const state = (name, reason) => h("span", { class: `state ${name}` }, reason ? `${name} (${reason})` : name);
export const cell = (text, kind = "") => h("td", { class: `n ${kind}`.trim() }, text);

export function label(row, heads) {
  heads.forEach((head, i) => {
    if (row.children[i]) row.children[i].dataset.label ??= head.replace("#", "");
  });
  return row;
}

export function table(heads, rows, empty = "nothing yet", many = heads.length > 5) {
  if (!rows.length) return h("p", { class: "soft" }, empty);
  const head = heads.map((head) => {
    const name = head.replace("#", "");
    const attributes = { class: head.startsWith("#") ? "n" : "", ...explained(name) };
    // A head without a name heads nothing.
    return name ? h("th", { scope: "col", ...attributes }, name) : h("td", {});
  });
  // Where there is no room for many columns, a row is a card whose cells carry their headings.
  if (many) for (const row of rows) label(row, heads);
  return h(
    "div",
    { class: "scroll" },
    h("table", { class: many ? "cards" : null }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
  );
}

export function toast(text) {
  const shown = h("div", { class: "toast" }, text);
  const toasts = document.getElementById("toasts");
  toasts.append(shown);
  // Many at once would hide the page.
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => shown.remove(), 6000);
}

/**
 * Asks for reason and token, acts, and tells what came of it. `from` is the state in which a strategy was seen: in another
 * one nothing is done. Sent twice, or again after an error, it is one request.
 */
export function ask(title, path, done, from) {
  const name = requestName();
  let kept = "";
  try {
    kept = sessionStorage.getItem("token") ?? "";
  } catch {
    /* nothing is kept, then */
  }
  const why = h("textarea", { required: true, rows: 2, maxlength: 500 });
  const by = h("input", { maxlength: 64, autocomplete: "username" });
  const token = h("input", { type: "password", required: true, value: kept, autocomplete: "current-password" });
  const error = h("p", { class: "error", role: "alert" });
  const go = h("button", { class: "main", type: "submit" }, title);
  const dialog = h(
    "dialog",
    {},
    h(
      "form",
      {
        onsubmit: async (event) => {
          event.preventDefault();
          go.disabled = true;
          try {
            const reason = { why: why.value, by: by.value || undefined, from };
            const outcome = await act(path, token.value, reason, name);
            try {
              sessionStorage.setItem("token", token.value);
            } catch {
              /* asked for again */
            }
            dialog.close();
            toast(outcome.outcome ?? "It waits for the daemon.");
            done?.();
          } catch (trouble) {
            error.textContent = trouble.message;
          }
          go.disabled = false;
        },
      },
      h("h2", {}, title),
      h("label", {}, "Why, for the record", why),
      h("label", {}, "Who (optional)", by),
      h("label", {}, "Action token (http.action_token)", token),
      error,
      h("div", { class: "buttons" }, go, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  why.focus();
}
