// One message, or one album, as DOM.

import { el, icon, time, fullTime, money, copy, toast } from "./dom.js";
import { formatted } from "./text.js";
import { visual, attached } from "./media.js";

// preview is one line about a message, for the list of people and for replies.
export function preview(m) {
  if (!m) return "";
  const words = m.text || m.caption;
  const kind = m.photo ? "🖼 Photo" : m.animation ? "GIF" : m.video ? "🎬 Video" : m.voice ? "🎤 Voice message" :
    m.audio ? "🎵 Audio" : m.document ? `📎 ${m.document.file_name || "File"}` : m.invoice ? `🧾 ${m.invoice.title}` :
    m.successful_payment ? `⭐ Paid ${money(m.successful_payment.total_amount, m.successful_payment.currency)}` :
    m.refunded_payment ? "Payment refunded" : "";
  return [kind, words].filter(Boolean).join(" ").replace(/\s+/g, " ").slice(0, 160);
}

// service returns what is told in the middle of the chat rather than said, or null.
export function service(m, botName) {
  const paid = m.successful_payment, back = m.refunded_payment;
  if (paid) return el("li.service", {}, `You paid ${money(paid.total_amount, paid.currency)} to ${botName}`);
  if (back) return el("li.service", {}, `${botName} gave back ${money(back.total_amount, back.currency)}`);
  return null;
}

// block draws messages that belong together: one, or an album.
export function block(messages, context) {
  const main = messages[0];
  const mine = !main.from.is_bot;
  const rows = keysOf(main);
  const caption = messages.find((m) => m.caption) || main;
  const bubble = el("div.bubble", {});
  const node = el(`li.msg.${mine ? "out" : "in"}`, { "data-id": main.message_id });
  if (context.first) node.classList.add("first");
  if (context.last) node.classList.add("last");
  if (rows.length) node.classList.add("keys");
  node.append(el("span.sr", {}, mine ? "You: " : `${context.botName}: `), bubble);

  const meta = metaOf(messages[messages.length - 1], mine, context);
  const text = main.text ? formatted(main.text, main.entities, context.act) :
    formatted(caption.caption || "", caption.caption_entities, context.act);
  const head = main.reply_to_message ? replyTo(main.reply_to_message, context) : null;
  const seen = messages.length > 1 && visual(main, true) ? album(messages) : visual(main);
  const files = messages.map(attached).filter(Boolean);
  // Words below a picture must not make it wider.
  if (seen) node.style.width = seen.style.getPropertyValue("--width") || "420px";

  if (main.invoice) bubble.append(invoice(main.invoice));
  if (head && (seen || files.length)) bubble.append(el("div.body", {}, head));
  if (seen) bubble.append(seen);
  bubble.append(...files);
  const plain = text.length > 0 || (!seen && !main.invoice);
  if (plain || files.length || main.invoice) {
    const bare = text.length === 0 ? ".bare" : ""; // only the time, which finds room beside what is above
    bubble.append(el(`div.body${bare}`, {}, head && !seen && !files.length ? head : null, ...text, meta));
  } else {
    meta.classList.add("over");
    bubble.append(meta);
  }
  if (caption.show_caption_above_media && seen && text.length) bubble.append(seen);
  const reactions = messages.flatMap((m) => context.reactions[m.message_id] || []);
  if (reactions.length) bubble.append(el("div.reactions", {}, ...reactions.map((r) => el("span", {}, r.emoji))));
  if (rows.length) node.append(keyboard(main, rows, context));
  return node;
}

function metaOf(m, mine, context) {
  const parts = [];
  if (m.edit_date) parts.push("edited");
  parts.push(time(m.date));
  const meta = el("span.meta", { title: fullTime(m.date) }, parts.join(" "));
  if (mine) {
    const read = m.message_id <= context.readUpTo;
    const marks = icon(read ? "checks" : "check");
    marks.setAttribute("aria-hidden", "false");
    marks.setAttribute("role", "img");
    marks.setAttribute("aria-label", read ? "taken by the bot" : "sent");
    meta.append(marks);
  }
  return meta;
}

function replyTo(m, context) {
  return el("button.reply", { type: "button", onclick: () => context.act.goto(m.message_id) },
    el("b", {}, m.from && m.from.is_bot ? context.botName : "You"), preview(m));
}

function album(messages) {
  return el("div.album", { "data-n": messages.length }, ...messages.map((m) => visual(m, true)));
}

function invoice(i) {
  return el("div.invoice", {}, el("h3", {}, i.title), el("p", {}, i.description),
    el("div.sum", {}, money(i.total_amount, i.currency)));
}

function keysOf(m) {
  if (m.reply_markup) return m.reply_markup.inline_keyboard;
  if (m.invoice) return [[{ text: `Pay ${money(m.invoice.total_amount, m.invoice.currency)}`, pay: true }]];
  return [];
}

function keyboard(m, rows, context) {
  return el("div.keyboard", { role: "group", "aria-label": "Buttons" },
    ...rows.map((row) => el("div", {}, ...row.map((b) => key(m, b, context)))));
}

function key(m, b, context) {
  const cls = `.key${b.style ? `.${b.style}` : ""}`;
  if (b.disabled) return el(`button${cls}`, { type: "button", disabled: true }, b.text);
  if (b.url || b.web_app) {
    const url = b.url || b.web_app.url;
    return el(`a${cls}`, {
      href: url, target: "_blank", rel: "noopener noreferrer", title: url,
      onclick: (e) => { if (context.act.link(url)) e.preventDefault(); },
    }, b.text, icon("link", "mark"));
  }
  const button = el(`button${cls}`, { type: "button" }, b.pay ? b.text.replaceAll("XTR", "⭐") : b.text);
  if (b.copy_text) {
    button.append(icon("copy", "mark"));
    button.addEventListener("click", () => copy(b.copy_text.text, "Copied to the clipboard"));
  } else if (b.pay) {
    button.addEventListener("click", () => context.act.pay(m));
  } else if (b.callback_data) {
    button.dataset.data = b.callback_data;
    button.addEventListener("click", () => context.act.press(m, b.callback_data));
  } else {
    button.addEventListener("click", () => toast("Inline mode is not part of the simulator"));
  }
  return button;
}
