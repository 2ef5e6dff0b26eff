// The panel that tells the simulators to fail.

import * as api from "./api.js";
import { $, el, toast } from "./dom.js";

const provider = (label, message) => ({
  label, root: api.providerFaults, fault: { method: "generate", action: "fail", count: 1, code: 501, message },
});
const call = (label, fault) => ({ label, root: "/sim/faults", fault: { method: "*", count: 1, ...fault } });
const send = (label, fault) => call(label, { method: "sendMessage", ...fault });
const hook = (label, fault) => call(label, { method: "webhook", ...fault });

const groups = [
  ["The next generation", [provider("Fails", "internal error")], "provider"],
  ["The next sendMessage", [
    send("429, wait 3 s", { action: "fail", code: 429, retry_after: 3 }),
    send("502 with HTML", { action: "html" }),
    send("Reply is lost", { action: "drop_after" }),
    send("Connection cut", { action: "drop_before" }),
    send("User blocked bot", { action: "blocked" }),
    send("3 s late", { action: "delay", delay_ms: 3000 }),
  ]],
  ["The next call of any kind", [
    call("429, wait 3 s", { action: "fail", code: 429, retry_after: 3 }),
    call("500", { action: "fail", code: 500 }),
    call("502 with HTML", { action: "html" }),
    call("Reply is lost", { action: "drop_after" }),
  ]],
  ["The next update to the bot", [
    hook("Comes twice", { action: "duplicate" }),
    hook("Overtaken", { action: "reorder" }),
    hook("Answer is lost", { action: "drop_after" }),
    hook("3 s late", { action: "delay", delay_ms: 3000 }),
  ]],
];

let withProvider = false;

export function setUpFaults() {
  $("faults").addEventListener("click", async () => {
    withProvider = await api.hasProvider();
    showPresets();
    await refresh();
    $("fault-panel").showModal();
  });
  $("clear-faults").addEventListener("click", async () => {
    await api.clearFaults();
    if (withProvider) await api.clearFaults(api.providerFaults);
    await refresh();
  });
}

function showPresets() {
  const shown = groups.filter(([, , needs]) => needs !== "provider" || withProvider);
  $("fault-presets").replaceChildren(...shown.flatMap(([title, presets]) => [
    el("h3", {}, title),
    el("div.presets", {}, ...presets.map((p) => el("button.preset", { type: "button", onclick: () => set(p) }, p.label))),
  ]));
}

async function set({ label, root, fault }) {
  try {
    await api.setFault(fault, root);
    toast(`Set: ${label}`);
    await refresh();
  } catch (error) {
    toast(error.message);
  }
}

async function refresh() {
  const faults = await api.faults().catch(() => []);
  $("faults-dot").hidden = faults.length === 0;
  const rows = faults.map((f) => el("li", {}, el("span", {}, `${f.method}: ${f.action}${f.code ? ` ${f.code}` : ""}`),
    el("small", {}, f.count ? `${f.count - f.hits} left` : "until cleared")));
  $("fault-list").replaceChildren(...(rows.length ? rows : [el("li", {}, el("small", {}, "Nothing"))]));
}
