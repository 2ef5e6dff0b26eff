// Writing: the text field, the menu of commands, and files by button, paste or drop.

import { $, el } from "./dom.js";

export class Composer {
  constructor({ send, sendFiles }) {
    this.sendText = send;
    this.sendFiles = sendFiles;
    this.commands = [];
    this.files = [];
    this.field = $("text");
    this.list = $("commands");
    this.wireText();
    this.wireCommands();
    this.wireFiles();
  }

  setCommands(commands) {
    this.commands = commands;
    $("menu").hidden = commands.length === 0;
  }

  wireText() {
    this.field.addEventListener("input", () => { this.grow(); this.suggest(); });
    this.field.addEventListener("keydown", (e) => {
      if (this.navigate(e)) return;
      if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
      e.preventDefault();
      $("composer").requestSubmit();
    });
    $("composer").addEventListener("submit", async (e) => {
      e.preventDefault();
      const text = this.field.value.trim();
      if (!text) return;
      this.field.value = "";
      this.grow();
      this.hide();
      if (!await this.sendText(text)) this.field.value ||= text;
    });
  }

  // grow is for browsers that do not know field-sizing.
  grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight}px`;
  }

  wireCommands() {
    $("menu").addEventListener("click", () => {
      if (!this.list.hidden) return this.hide();
      this.offer(this.commands);
      this.field.focus();
    });
    document.addEventListener("click", (e) => {
      if (!e.target.closest(".foot")) this.hide();
    });
  }

  suggest() {
    const typed = this.field.value;
    const fitting = /^\/\w*$/.test(typed) ? this.commands.filter((c) => `/${c.command}`.startsWith(typed)) : [];
    if (fitting.length) this.offer(fitting);
    else this.hide();
  }

  offer(commands) {
    this.list.replaceChildren(...commands.map((c, i) => el("li", {
      role: "option", id: `command-${i}`, "aria-selected": "false",
      onclick: () => this.choose(c.command),
    }, el("b", {}, `/${c.command}`), el("span", {}, c.description))));
    this.list.hidden = commands.length === 0;
    $("menu").setAttribute("aria-expanded", "true");
  }

  hide() {
    this.list.hidden = true;
    $("menu").setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  choose(command) {
    this.hide();
    this.field.value = "";
    this.sendText(`/${command}`);
  }

  // navigate moves through the offered commands and says whether it took the key.
  navigate(e) {
    if (this.list.hidden) return false;
    const items = [...this.list.children];
    const at = items.findIndex((li) => li.getAttribute("aria-selected") === "true");
    if (e.key === "Escape") this.hide();
    else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      const next = (at + (e.key === "ArrowDown" ? 1 : -1) + items.length) % items.length;
      items.forEach((li, i) => li.setAttribute("aria-selected", String(i === Math.max(0, next))));
      items[Math.max(0, next)].scrollIntoView({ block: "nearest" });
      this.field.setAttribute("aria-activedescendant", items[Math.max(0, next)].id);
    } else if ((e.key === "Enter" || e.key === "Tab") && at >= 0) items[at].click();
    else return false;
    e.preventDefault();
    return true;
  }

  wireFiles() {
    const zone = $("chat");
    $("attach").addEventListener("click", () => $("files").click());
    $("files").addEventListener("change", (e) => { this.ask([...e.target.files]); e.target.value = ""; });
    this.field.addEventListener("paste", (e) => {
      const files = [...e.clipboardData.files];
      if (!files.length) return;
      e.preventDefault();
      this.ask(files);
    });
    const carriesFiles = (e) => !$("composer").hidden && [...e.dataTransfer.types].includes("Files");
    zone.addEventListener("dragover", (e) => {
      if (!carriesFiles(e)) return;
      e.preventDefault();
      $("drop").hidden = false;
    });
    zone.addEventListener("dragleave", (e) => { if (!zone.contains(e.relatedTarget)) $("drop").hidden = true; });
    zone.addEventListener("drop", (e) => {
      $("drop").hidden = true;
      if (!carriesFiles(e)) return;
      e.preventDefault();
      this.ask([...e.dataTransfer.files]);
    });
    $("outbox-form").addEventListener("submit", (e) => { e.preventDefault(); this.sendChosen(); });
    $("outbox").addEventListener("close", () => $("previews").replaceChildren());
  }

  // ask shows what was chosen before it is sent, ten at most as in an album.
  ask(files) {
    this.files = files.slice(0, 10);
    if (!this.files.length) return;
    $("outbox-title").textContent = this.files.length === 1 ? "Send 1 file" : `Send ${this.files.length} files`;
    $("as-files").checked = false;
    $("caption").value = this.field.value;
    $("previews").replaceChildren(...this.files.map(thumbnail));
    $("outbox").showModal();
    $("caption").focus();
  }

  async sendChosen() {
    const asFiles = $("as-files").checked;
    const files = this.files.map((file) => ({ kind: asFiles ? "document" : kindOf(file), file }));
    $("outbox").close();
    if (await this.sendFiles(files, $("caption").value.trim())) this.field.value = "";
  }
}

function kindOf(file) {
  if (file.type === "image/gif") return "animation";
  const family = file.type.split("/")[0];
  if (family === "image" && file.type !== "image/svg+xml") return "photo";
  return family === "video" || family === "audio" ? family : "document";
}

function thumbnail(file) {
  const kind = kindOf(file);
  if (kind !== "photo" && kind !== "animation") return el("span", {}, file.name);
  const url = URL.createObjectURL(file);
  return el("img", { src: url, alt: file.name, onload: () => URL.revokeObjectURL(url) });
}
