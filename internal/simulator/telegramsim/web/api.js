// The control calls and the stream of events of the simulator.

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `${response.status} ${response.statusText}`);
  return body;
}

const get = async (path) => answer(await fetch(path));
const post = async (path, body) =>
  answer(await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }));

export const users = () => get("/sim/users");
export const addUser = (user) => post("/sim/users", user);
export const view = (id) => get(`/sim/users/${id}`);
export const messages = (id) => get(`/sim/users/${id}/messages`);
export const sendText = (id, text) => post(`/sim/users/${id}/messages`, { text });
export const press = (id, message, data) => post(`/sim/users/${id}/press`, { message_id: message, data });
export const pay = (id, what) => post(`/sim/users/${id}/pay`, what);
export const setBlocked = (id, blocked) => post(`/sim/users/${id}/${blocked ? "block" : "unblock"}`, {});
export const faults = () => get("/sim/faults");
export const setFault = (fault, root = "/sim/faults") => post(root, fault);
export const clearFaults = async (root = "/sim/faults") => fetch(root, { method: "DELETE" });
export const fileURL = (id) => `/sim/files/${encodeURIComponent(id)}`;

export async function sendFiles(id, files, caption) {
  const form = new FormData();
  if (caption) form.set("caption", caption);
  for (const { kind, file } of files) form.append(kind, file, file.name || `${kind}.bin`);
  return answer(await fetch(`/sim/users/${id}/messages`, { method: "POST", body: form }));
}

// The generation provider's simulator may live on the same origin; without it its faults are not offered.
export const providerFaults = "/kie/sim/faults";
export async function hasProvider() {
  const response = await fetch(providerFaults).catch(() => null);
  return response !== null && response.status !== 404;
}

// watch follows a chat. on.hello comes with every connection, and the page loads the chat then if it has to.
export function watch(id, on) {
  const source = new EventSource(`/sim/users/${id}/events`);
  source.addEventListener("hello", () => on.hello());
  source.addEventListener("reset", () => on.reset());
  source.addEventListener("users", () => on.users());
  source.addEventListener("chat", (e) => on.chat(JSON.parse(e.data)));
  source.addEventListener("error", () => on.lost());
  return () => source.close();
}
