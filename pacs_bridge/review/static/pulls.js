// The page of what is fetched: fresh every few seconds, unless somebody is about to press a button.
import { ask, every, fill, read } from "./common.js";

const words = read("words");
const place = document.getElementById("pulls");
const offline = document.getElementById("offline");
let freshAt = new Date();

async function refresh() {
  let fresh;
  try {
    fresh = await (await ask("/pulls/state")).text();
  } catch (error) {
    if (error.status === 401) location.reload();
    offline.textContent = fill(words.offline, { time: freshAt.toLocaleTimeString() });
    offline.hidden = false;
    return;
  }
  offline.hidden = true;
  freshAt = new Date();
  if (!place.contains(document.activeElement)) place.innerHTML = fresh; // our own template's
}

every(5, refresh);
