// Small helpers to build and find elements.

export const $ = (id) => document.getElementById(id);

// el builds an element: el("p.note", {title: "x"}, "text", child).
export function el(spec, props = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export function icon(name, cls = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  if (cls) svg.setAttribute("class", cls);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

let toastTimer = 0;
export function toast(text) {
  const box = $("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { box.hidden = true; }, Math.min(6000, 2200 + text.length * 40));
}

export function alertBox(text) {
  $("alert-text").textContent = text;
  $("alert").showModal();
}

export async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    alertBox(text);
  }
}

export const tint = (id) => String(Math.abs(id) % 7);
export const initial = (name) => [...(name || "?")][0].toUpperCase();

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
export const time = (unix) => clock.format(unix * 1000);
export const fullTime = (unix) => full.format(unix * 1000);

const midnight = (ms) => new Date(ms).setHours(0, 0, 0, 0);
export const dayOf = (unix) => midnight(unix * 1000);
export function dayName(day) {
  const today = midnight(Date.now());
  if (day === today) return "Today";
  if (day === midnight(today - 1)) return "Yesterday";
  const sameYear = new Date(day).getFullYear() === new Date(today).getFullYear();
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: sameYear ? undefined : "numeric" }).format(day);
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

export function length(seconds) {
  const s = Math.max(0, Math.round(seconds || 0));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

export function money(amount, currency) {
  if (currency === "XTR") return `⭐ ${amount}`;
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(amount / 100);
  } catch {
    return `${amount / 100} ${currency}`;
  }
}
