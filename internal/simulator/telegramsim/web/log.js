// The messages of a chat on the page. Elements are kept as long as what they show stays the same, so that a player
// goes on playing while the chat grows.

import { $, el, dayOf, dayName } from "./dom.js";
import { block, service } from "./message.js";

const gap = 600; // seconds between messages that still belong together

export class Log {
  constructor(act) {
    this.act = { ...act, goto: (id) => this.goto(id) };
    this.messages = new Map();
    this.nodes = new Map();
    this.spinning = new Map(); // callback query id -> {message, data}
    this.ctx = { botName: "", readUpTo: 0, reactions: {} };
    this.unread = 0;
    this.sticky = true;
    this.box = $("history");
    this.list = $("log");
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    $("jump").addEventListener("click", () => this.toBottom(true));
    new ResizeObserver(() => { if (this.sticky) this.toBottom(); }).observe(this.list);
    new ResizeObserver(() => { if (this.sticky) this.toBottom(); }).observe(this.box);
  }

  clear() {
    this.messages.clear();
    this.nodes.clear();
    this.spinning.clear();
    this.list.replaceChildren();
    this.list.setAttribute("aria-live", "off");
    this.unread = 0;
  }

  context({ botName, readUpTo, reactions, presses }) {
    Object.assign(this.ctx, { botName, readUpTo, reactions });
    this.spinning = new Map(presses.map((p) => [p.callback_query_id, { message: p.message_id, data: p.data }]));
    this.draw();
  }

  show(messages) {
    this.messages = new Map(messages.map((m) => [m.message_id, m]));
    this.sticky = true;
    this.draw();
    this.toBottom();
    // From here on new messages are read out; the old ones were not.
    requestAnimationFrame(() => this.list.setAttribute("aria-live", "polite"));
  }

  add(m) {
    const known = this.messages.has(m.message_id);
    this.messages.set(m.message_id, m);
    if (!m.from.is_bot) this.sticky = true;
    this.draw(known ? 0 : m.message_id);
    if (this.sticky) this.toBottom();
    else if (!known) this.count(this.unread + 1);
  }

  replace(m) {
    if (!this.messages.has(m.message_id)) return;
    this.messages.set(m.message_id, m);
    this.draw();
  }

  remove(id) {
    this.messages.delete(id);
    this.draw();
  }

  read(id) {
    this.ctx.readUpTo = Math.max(this.ctx.readUpTo, id);
    this.draw();
  }

  react(id, reactions) {
    this.ctx.reactions = { ...this.ctx.reactions, [id]: reactions };
    this.draw();
  }

  pressed(query, message, data) {
    this.spinning.set(query, { message, data });
    if (this.early === query) this.spinning.delete(query);
    this.spin();
  }

  // released ends a spinner. The answer may overtake the reply to the press itself.
  released(query) {
    if (!this.spinning.delete(query)) this.early = query;
    this.spin();
  }

  // spin paints spinners on the buttons that wait for an answer.
  spin() {
    const waiting = new Set([...this.spinning.values()].map((p) => `${p.message} ${p.data}`));
    for (const key of this.list.querySelectorAll(".key[data-data]")) {
      const busy = waiting.has(`${key.closest(".msg").dataset.id} ${key.dataset.data}`);
      key.classList.toggle("busy-key", busy);
      key.toggleAttribute("aria-busy", busy);
    }
  }

  // draw makes the list show what it should, reusing every element that is still right.
  draw(fresh = 0) {
    const wanted = [];
    const kept = new Map();
    const blocks = this.blocks();
    blocks.forEach((messages, i) => {
      const m = messages[0];
      const day = dayOf(m.date);
      if (i === 0 || dayOf(blocks[i - 1][0].date) !== day) {
        wanted.push(this.node(`day ${day}`, "", kept, () => el("li.day", {}, dayName(day))));
      }
      wanted.push(this.draws(messages, blocks[i - 1], blocks[i + 1], kept, fresh));
    });
    this.nodes = kept;
    let at = this.list.firstChild;
    for (const node of wanted) {
      if (node === at) at = at.nextSibling;
      else this.list.insertBefore(node, at);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    this.spin();
  }

  draws(messages, before, after, kept, fresh) {
    const m = messages[0];
    const together = (other) => other && other[0].from.id === m.from.id && !service(other[0], "") &&
      dayOf(other[0].date) === dayOf(m.date) && Math.abs(other[0].date - m.date) < gap;
    const context = {
      ...this.ctx, act: this.act,
      first: !together(before), last: !together(after),
    };
    const read = !m.from.is_bot && messages[messages.length - 1].message_id <= this.ctx.readUpTo;
    const reactions = messages.map((x) => this.ctx.reactions[x.message_id] || []);
    const signature = JSON.stringify([messages, context.first, context.last, read, reactions, this.ctx.botName]);
    const node = this.node(`m ${m.message_id}`, signature, kept, () => service(m, this.ctx.botName) || block(messages, context));
    if (messages.some((x) => x.message_id === fresh)) node.classList.add("fresh");
    return node;
  }

  node(key, signature, kept, make) {
    const old = this.nodes.get(key);
    const entry = old && old.signature === signature ? old : { signature, node: make() };
    kept.set(key, entry);
    return entry.node;
  }

  // blocks joins the messages of an album.
  blocks() {
    const out = [];
    for (const m of [...this.messages.values()].sort((a, b) => a.message_id - b.message_id)) {
      const last = out[out.length - 1];
      const group = m.media_group_id;
      if (group && last && last[0].media_group_id === group) last.push(m);
      else out.push([m]);
    }
    return out;
  }

  goto(id) {
    const node = this.list.querySelector(`[data-id="${id}"]`);
    if (node) node.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  stick() { this.sticky = true; }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const below = scrollHeight - scrollTop - clientHeight;
    // Only a person who scrolls lets go of the bottom, not a chat that changes its height.
    const moved = scrollHeight === this.height && clientHeight === this.window;
    [this.height, this.window] = [scrollHeight, clientHeight];
    if (below < 60) this.sticky = true;
    else if (moved) this.sticky = false;
    else if (this.sticky) return this.toBottom();
    if (this.sticky) this.count(0);
    $("jump").hidden = below < 160;
    this.floatDays();
  }

  // floatDays shows the date at the top while the chat moves, and gets it out of the way a moment later.
  floatDays() {
    for (const day of this.list.querySelectorAll(".day.stuck")) day.classList.remove("stuck");
    clearTimeout(this.dayTimer);
    this.dayTimer = setTimeout(() => {
      for (const day of this.list.querySelectorAll(".day")) {
        const next = day.nextElementSibling;
        day.classList.toggle("stuck", next !== null && day.offsetTop + day.offsetHeight > next.offsetTop);
      }
    }, 900);
  }

  count(n) {
    this.unread = n;
    $("unread").textContent = n;
    $("unread").hidden = n === 0;
    if (n) $("jump").hidden = false;
  }

  toBottom(smooth = false) {
    this.box.scrollTo({ top: this.box.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    this.count(0);
  }
}
