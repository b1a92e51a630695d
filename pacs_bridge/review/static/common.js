// What both pages share: words, the help dialog, answers of the server, filled-in sentences.

export const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const fill = (sentence, values) =>
  sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));

export const typing = (target) => target.matches("input:not([type=range], [type=checkbox]), textarea, select");

export function help() {
  const dialog = document.getElementById("help");
  if (!dialog.open) dialog.showModal();
}
document.getElementById("help-button")?.addEventListener("click", help);

let hiding = 0;
export function toast(sentence) {
  const place = document.getElementById("toast");
  place.textContent = sentence;
  place.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { place.hidden = true; }, 8000);
}

/** Asks the server; an answer that is no success is thrown with its status and sentence. */
export async function ask(url, options = {}) {
  const headers = { "X-Requested-With": "fetch", ...options.headers };
  const answer = await fetch(url, { ...options, headers, redirect: "error" });
  if (answer.ok) return answer;
  let problem = "";
  try { problem = (await answer.json()).problem; } catch { /* no JSON: the status must do */ }
  throw Object.assign(new Error(problem || `HTTP ${answer.status}`), { status: answer.status });
}

/** Calls `step` every `seconds` while the page is visible, one call at a time. */
export function every(seconds, step) {
  const again = async () => {
    if (!document.hidden) await step();
    setTimeout(again, seconds * 1000);
  };
  setTimeout(again, seconds * 1000);
}

/** Keeps the element `id` as `url` shows it, unless somebody is about to press a button in it. */
export function fresh(id, url, seconds) {
  const words = read("words");
  const place = document.getElementById(id);
  const offline = document.getElementById("offline");
  let freshAt = new Date();
  every(seconds, async () => {
    let now;
    try {
      now = await (await ask(url)).text();
    } catch (error) {
      if (error.status === 401) location.reload();
      offline.textContent = fill(words.offline, { time: freshAt.toLocaleTimeString() });
      offline.hidden = false;
      return;
    }
    offline.hidden = true;
    freshAt = new Date();
    if (!place.contains(document.activeElement)) place.innerHTML = now; // our own template's
  });
}
