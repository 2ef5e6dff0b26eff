// The page: who is here, whose chat is open, and what happens in it.

import * as api from "./api.js";
import { $, el, initial, tint, time, toast, alertBox } from "./dom.js";
import { preview } from "./message.js";
import { Log } from "./log.js";
import { Composer } from "./composer.js";
import { setUpFaults } from "./faults.js";

const page = { people: [], id: 0, view: null, stop: () => {}, loading: false, loaded: false };

const log = new Log({
  command: (text) => send(text),
  link: (url) => followLink(url),
  press: (m, data) => press(m, data),
  pay: (m) => askToPay({ message_id: m.message_id }, m.invoice),
});
const composer = new Composer({ send, sendFiles: (files, caption) => attempt(() => api.sendFiles(page.id, files, caption)) });
setUpFaults();

async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}

function send(text) {
  log.stick();
  return attempt(() => api.sendText(page.id, text));
}

async function press(m, data) {
  const done = await attempt(async () => {
    const { callback_query_id: query } = await api.press(page.id, m.message_id, data);
    log.pressed(query, m.message_id, data);
  });
  if (!done) load();
}

// followLink keeps links to this bot in the page: deep links say /start, invoice links pay.
function followLink(url) {
  let u;
  try { u = new URL(url); } catch { return false; }
  const bot = page.view.bot.username.toLowerCase();
  const [, name = ""] = u.pathname.split("/");
  if (u.hostname !== "t.me" && u.hostname !== "telegram.me") return false;
  if (name.startsWith("$")) {
    askToPay({ link: url }, null);
    return true;
  }
  if (name.toLowerCase() !== bot) return false;
  const start = u.searchParams.get("start");
  send(start ? `/start ${start}` : "/start");
  return true;
}

let payment = null;

function askToPay(what, invoice) {
  payment = what;
  $("pay-error").textContent = "";
  $("pay-button").disabled = false;
  $("pay-text").textContent = invoice ? `${invoice.title} from ${page.view.bot.first_name}` : "An invoice by link";
  $("pay-button").textContent = invoice && invoice.currency === "XTR" ? `Pay ⭐ ${invoice.total_amount}` : "Pay";
  $("pay").showModal();
}

$("pay-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  $("pay-button").disabled = true;
  $("pay-error").textContent = "";
  try {
    await api.pay(page.id, payment);
    $("pay").close();
  } catch (error) {
    $("pay-error").textContent = error.message;
  }
  $("pay-button").disabled = false;
});

// ---- people

async function loadPeople() {
  page.people = await api.users();
  const rows = page.people.map((p) => personRow(p));
  $("people").replaceChildren(...rows);
  $("nobody").hidden = page.people.length > 0;
}

function personRow(p) {
  const row = el("a.row", { href: `#${p.id}` },
    el("span.avatar", { "data-tint": tint(p.id), "aria-hidden": "true" }, initial(p.first_name)),
    el("div", {},
      el("div.row-top", {}, el("span.row-name", {}, [p.first_name, p.last_name].filter(Boolean).join(" ")),
        p.last_message ? el("small", {}, time(p.last_message.date)) : null),
      el("div.row-last", {}, el("span", {}, p.blocked ? "has blocked the bot" : preview(p.last_message) || "has not started the bot"),
        p.language_code ? el("span.tag", {}, p.language_code) : null)));
  if (p.id === page.id) row.setAttribute("aria-current", "page");
  return row;
}

let peopleTimer = 0;
function peopleSoon() {
  clearTimeout(peopleTimer);
  peopleTimer = setTimeout(() => loadPeople().catch(() => {}), 150);
}

// ---- the open chat

function open(id) {
  if (id === page.id) return;
  page.stop();
  Object.assign(page, { id, view: null, loaded: false });
  log.clear();
  setStatus("");
  $("app").classList.toggle("open", id !== 0);
  $("chat").hidden = id === 0;
  for (const row of $("people").children) {
    if (row.hash === `#${id}`) row.setAttribute("aria-current", "page");
    else row.removeAttribute("aria-current");
  }
  if (!id) return;
  page.stop = api.watch(id, {
    hello: () => { setStatus(""); if (!page.loaded) load(); },
    reset: load,
    users: peopleSoon,
    lost: () => setStatus("connecting…"),
    chat: (event) => { if (page.loaded) apply(event); },
  });
}

async function load() {
  if (page.loading) return;
  page.loading = true;
  const id = page.id;
  try {
    const [view, messages] = await Promise.all([api.view(id), api.messages(id)]);
    if (id !== page.id) return;
    page.loaded = true;
    showView(view);
    log.show(messages);
  } catch (error) {
    if (id === page.id) toast(error.message);
  } finally {
    page.loading = false;
    if (id !== page.id && page.id) load();
  }
}

function showView(view) {
  page.view = view;
  const name = view.bot.first_name;
  document.title = `${view.user.first_name} → ${name}`;
  $("bot-name").textContent = name;
  for (const a of document.querySelectorAll(".avatar.bot")) a.textContent = initial(name);
  $("description").textContent = view.description || "It has not described itself yet. Press START to find out.";
  $("block").title = view.blocked ? "Unblock the bot" : "Block the bot";
  $("block").setAttribute("aria-label", $("block").title);
  log.context({ botName: name, readUpTo: view.read_up_to, reactions: view.reactions, presses: view.presses });
  composer.setCommands(view.commands);
  showFoot();
}

// showFoot offers what a person can do: start, write, or unblock.
function showFoot() {
  const { started, blocked } = page.view;
  $("start").hidden = started || blocked;
  $("unblock").hidden = !blocked;
  $("composer").hidden = !started || blocked;
  $("about").hidden = started;
}

const actions = {
  typing: "typing", upload_photo: "sending a photo", record_video: "recording a video", upload_video: "sending a video",
  record_voice: "recording audio", upload_voice: "sending audio", upload_document: "sending a file",
  choose_sticker: "choosing a sticker", find_location: "looking for a place",
};

let statusTimer = 0;
function setStatus(text, busy = false) {
  clearTimeout(statusTimer);
  $("status").textContent = text || "bot";
  $("status").classList.toggle("busy", busy);
}

function apply(event) {
  switch (event.kind) {
    case "message":
      if (event.message.from.is_bot) setStatus("");
      else if (!page.view.started) { page.view.started = true; showFoot(); }
      log.add(event.message);
      break;
    case "edit":
      log.replace(event.message);
      break;
    case "delete":
      log.remove(event.message_id);
      break;
    case "read":
      log.read(event.message_id);
      break;
    case "reaction":
      log.react(event.message_id, event.reactions || []);
      break;
    case "action":
      setStatus(actions[event.action] || event.action, true);
      statusTimer = setTimeout(() => setStatus(""), 5000); // As long as Telegram shows one.
      break;
    case "answer":
      answered(event.answer);
      break;
    case "profile":
      api.view(page.id).then(showView).catch(() => {});
      break;
  }
}

function answered(answer) {
  log.released(answer.callback_query_id);
  if (answer.url) followLink(answer.url);
  if (!answer.text) return;
  if (answer.show_alert) alertBox(answer.text);
  else toast(answer.text);
}

// ---- buttons of the page

$("start").addEventListener("click", () => {
  const start = new URLSearchParams(location.hash.split("?")[1] || "").get("start");
  send(start ? `/start ${start}` : "/start");
});
$("unblock").addEventListener("click", () => attempt(() => api.setBlocked(page.id, false)));
$("block").addEventListener("click", () => attempt(() => api.setBlocked(page.id, !page.view.blocked)));
$("back").addEventListener("click", () => { location.hash = ""; });
for (const id of ["add-person", "add-first"]) $(id).addEventListener("click", () => $("person").showModal());
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
$("viewer").addEventListener("click", () => $("viewer").close());

$("person-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  const form = e.target;
  const done = await attempt(async () => {
    const user = await api.addUser(Object.fromEntries(new FormData(form)));
    await loadPeople();
    location.hash = `#${user.id}`;
  });
  if (!done) return;
  form.reset();
  $("person").close();
});

const fromHash = () => Number.parseInt(location.hash.slice(1), 10) || 0;
window.addEventListener("hashchange", () => open(fromHash()));

await attempt(loadPeople);
const phone = matchMedia("(max-width: 760px)").matches;
if (!fromHash() && page.people.length && (!phone || page.people.length === 1)) {
  history.replaceState(null, "", `#${page.people[0].id}`);
}
open(fromHash());
