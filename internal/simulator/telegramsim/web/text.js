// Text with entities as DOM. Offsets count UTF-16 units, as JavaScript's own strings do.

import { el, icon, copy } from "./dom.js";

// formatted returns nodes; act gets what a person does: act.command(text), act.link(url).
export function formatted(text, entities, act) {
  const sorted = [...(entities || [])].sort((a, b) => a.offset - b.offset || b.length - a.length);
  return build(text, 0, text.length, sorted, act);
}

const stands = new Set(["pre", "blockquote", "expandable_blockquote"]);

function build(text, from, to, entities, act) {
  const nodes = [];
  let at = from;
  for (let i = 0; i < entities.length;) {
    const entity = entities[i];
    const end = Math.min(entity.offset + entity.length, to);
    let next = i + 1;
    while (next < entities.length && entities[next].offset < end) next++;
    if (entity.offset >= at && end > at) {
      // What stands on lines of its own needs no line break on either side.
      const alone = stands.has(entity.type);
      const before = text.slice(at, entity.offset);
      nodes.push(alone && before.endsWith("\n") ? before.slice(0, -1) : before);
      const inner = build(text, entity.offset, end, entities.slice(i + 1, next), act);
      nodes.push(wrap(entity, inner, text.slice(entity.offset, end), act));
      at = end;
      if (alone && text[at] === "\n") at++;
    }
    i = next;
  }
  if (at < to) nodes.push(text.slice(at, to));
  return nodes;
}

const simple = { bold: "strong", italic: "em", underline: "u", strikethrough: "s" };

function wrap(entity, inner, text, act) {
  if (simple[entity.type]) return el(simple[entity.type], {}, ...inner);
  switch (entity.type) {
    case "code":
      return el("code", { title: "Copy", onclick: () => copy(text, "Copied") }, ...inner);
    case "pre":
      return preformatted(entity, inner, text);
    case "spoiler":
      return spoiler(inner);
    case "blockquote":
      return el("blockquote", {}, ...inner);
    case "expandable_blockquote":
      return foldable(inner, text);
    case "text_link":
      return link(entity.url, inner, act);
    case "url":
      return link(/^\w+:\/\//.test(text) ? text : `http://${text}`, inner, act);
    case "email":
      return link(`mailto:${text}`, inner, act);
    case "bot_command":
      return el("a", { href: "#", onclick: (e) => { e.preventDefault(); act.command(text); } }, ...inner);
    case "mention": case "text_mention": case "hashtag": case "cashtag":
      return el("span.mention", {}, ...inner);
  }
  return el("span", {}, ...inner);
}

function link(url, inner, act) {
  return el("a", {
    href: url, target: "_blank", rel: "noopener noreferrer", title: url,
    onclick: (e) => { if (act.link(url)) e.preventDefault(); },
  }, ...inner);
}

function preformatted(entity, inner, text) {
  const head = el("header", {}, entity.language || "code",
    el("button.icon", { type: "button", title: "Copy", "aria-label": "Copy the code", onclick: () => copy(text, "Code copied") }, icon("copy")));
  return el("pre", {}, head, el("div", {}, ...inner));
}

function spoiler(inner) {
  const node = el("span.spoiler", { tabIndex: 0, role: "button", "aria-label": "Hidden text" }, ...inner);
  const show = (e) => {
    if (e.type === "keydown" && e.key !== "Enter" && e.key !== " ") return;
    node.classList.add("shown");
    node.removeAttribute("aria-label");
    node.removeAttribute("role");
  };
  node.addEventListener("click", show);
  node.addEventListener("keydown", show);
  return node;
}

function foldable(inner, text) {
  const long = text.length > 150 || text.split("\n").length > 3;
  if (!long) return el("blockquote", {}, ...inner);
  const fold = el("button.unfold", { type: "button", "aria-expanded": "false", "aria-label": "Show all" }, icon("down"));
  const quote = el("blockquote.folded", {}, ...inner, fold);
  quote.addEventListener("click", (e) => {
    if (e.target.closest("a")) return;
    const folded = quote.classList.toggle("folded");
    fold.setAttribute("aria-expanded", String(!folded));
  });
  return quote;
}
