// The worklist: fresh rows every few seconds, search while typing, keys.
import { ask, every, fill, help, read, typing } from "./common.js";

const words = read("words");
const list = document.getElementById("list");
const search = document.getElementById("search");
const offline = document.getElementById("offline");
let shown = list.innerHTML;
let asked = 0;
let freshAt = new Date();

async function refresh() {
  const mine = ++asked;
  let fresh;
  try {
    const answer = await ask(`/worklist${location.search}`);
    fresh = await answer.text();
  } catch (error) {
    if (error.status === 401) location.reload();
    offline.textContent = fill(words.offline, { time: freshAt.toLocaleTimeString() });
    offline.hidden = false;
    return;
  }
  if (mine !== asked) return; // a later question is on its way
  offline.hidden = true;
  freshAt = new Date();
  if (fresh === shown) return;
  const key = document.activeElement?.dataset?.key;
  list.innerHTML = fresh; // made by our own template, every value escaped there
  shown = fresh;
  if (key) list.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

function go(parameters) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(parameters)) {
    if (value) query.set(name, value); else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, "", text ? `/?${text}` : "/");
  return refresh();
}

let waiting = 0;
search.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => go({ q: search.value.trim() }), 200);
});
document.getElementById("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  go({ q: search.value.trim() });
});
list.addEventListener("click", (event) => {
  const chip = event.target.closest("a[data-state]");
  if (!chip || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ state: chip.dataset.state });
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const links = [...list.querySelectorAll(".who a")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "j") links[Math.min(at + 1, links.length - 1)]?.focus();
  else if (event.key === "k") links[Math.max(at - 1, 0)]?.focus();
  else if (event.key === "/") search.focus();
  else if (event.key === "?") help();
  else return;
  event.preventDefault();
});

every(4, refresh);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
