// Pictures, videos, players and files of a message.

import { el, icon, length, size, $ } from "./dom.js";
import { fileURL } from "./api.js";

const isGIF = (m) => m.mime_type === "image/gif";

// visual returns the picture or video of a message, or null.
export function visual(m, inAlbum = false) {
  if (m.photo) return picture(m, m.photo[m.photo.length - 1], inAlbum);
  if (m.animation) return isGIF(m.animation) ? picture(m, m.animation, inAlbum) : film(m, m.animation, true, inAlbum);
  if (m.video) return film(m, m.video, false, inAlbum);
  return null;
}

function picture(m, file, inAlbum) {
  const img = el("img", { src: fileURL(file.file_id), alt: m.caption ? "" : "Photo", loading: "lazy", draggable: false });
  const button = el("button.media", {
    type: "button", "aria-label": "Open the picture",
    onclick: () => { if (!unveil(button)) open(file.file_id); },
  }, img);
  fit(button, file, inAlbum);
  if (m.has_media_spoiler) button.classList.add("veiled");
  return button;
}

function film(m, file, loop, inAlbum) {
  const video = el("video", {
    src: fileURL(file.file_id), preload: "metadata", playsInline: true,
    controls: !loop, loop, muted: loop, autoplay: loop,
  });
  const box = el("div.media", { onclick: () => unveil(box) }, video);
  if (loop) box.append(el("span.length", {}, "GIF"));
  video.addEventListener("loadedmetadata", () => { if (!file.width) fit(box, { width: video.videoWidth, height: video.videoHeight }, inAlbum); });
  fit(box, file, inAlbum);
  if (m.has_media_spoiler) box.classList.add("veiled");
  return box;
}

function unveil(box) {
  if (!box.classList.contains("veiled")) return false;
  box.classList.remove("veiled");
  return true;
}

// fit reserves the place of a picture before it is loaded, so that the chat does not jump.
function fit(box, { width, height }, inAlbum) {
  if (inAlbum) return;
  const w = width || 320, h = height || 240;
  const scale = Math.min(420 / w, 440 / h, Math.max(1, 240 / w));
  box.style.setProperty("--width", `${Math.max(140, Math.round(w * scale))}px`);
  box.style.aspectRatio = `${Math.max(w, h * 0.4)} / ${Math.max(h, w * 0.3)}`;
}

function open(id) {
  $("viewer-image").src = fileURL(id);
  $("viewer").showModal();
}

// attached returns the row for a file that is heard or downloaded, or null.
export function attached(m) {
  if (m.voice) return player(m.voice, "Voice message", length(m.voice.duration));
  if (m.audio) {
    const a = m.audio;
    const by = [a.performer, length(a.duration), size(a.file_size || 0)].filter(Boolean).join(" · ");
    return player(a, a.title || a.file_name || "Audio", by);
  }
  if (m.document && !m.animation) return download(m.document);
  return null;
}

function download(file) {
  return el("a.file", { href: fileURL(file.file_id), download: file.file_name || "file" },
    el("span.round", {}, icon("file")), el("b", {}, file.file_name || "File"), el("small", {}, size(file.file_size || 0)));
}

// Only one thing is heard at a time.
let playing = null;

function player(file, title, note) {
  const audio = new Audio();
  audio.preload = "none";
  audio.src = fileURL(file.file_id);
  const button = el("button.round", { type: "button", "aria-label": `Play ${title}` }, icon("play"));
  const track = el("input.track", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Position" });
  const label = el("small", {}, note);
  const total = () => (Number.isFinite(audio.duration) ? audio.duration : file.duration) || 1;
  const show = () => {
    const at = Math.min(1, audio.currentTime / total());
    track.value = at * 1000;
    track.style.setProperty("--at", `${at * 100}%`);
    label.textContent = audio.currentTime > 0 ? `${length(audio.currentTime)} / ${length(total())}` : note;
  };
  const paint = () => {
    button.replaceChildren(icon(audio.paused ? "play" : "pause"));
    button.setAttribute("aria-label", `${audio.paused ? "Play" : "Pause"} ${title}`);
  };
  button.addEventListener("click", () => {
    if (!audio.paused) return audio.pause();
    if (playing && playing !== audio) playing.pause();
    playing = audio;
    audio.play().catch(() => { label.textContent = "This browser cannot play it"; });
  });
  track.addEventListener("input", () => { audio.currentTime = (track.value / 1000) * total(); show(); });
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, paint);
  for (const name of ["timeupdate", "ended", "loadedmetadata"]) audio.addEventListener(name, show);
  const isVoice = title === "Voice message";
  return el("div.file", {}, button, isVoice ? track : el("div.tune", {}, el("b", {}, title), track), label);
}
