// A study's page: keys, and keeping in touch with the server.
import { ask, every, help, read, typing } from "./common.js";
import { makeEditor } from "./editor.js";
import { watchPancreas } from "./pancreas.js";
import { makeViewer } from "./viewer.js";

const study = read("study");
const words = read("words");
const cards = [...document.querySelectorAll(".card")];
let current = -1;

for (const image of document.querySelectorAll(".thumb img")) {
  const failed = () => { image.nextElementSibling.hidden = false; };
  if (image.complete && image.src && !image.naturalWidth && image.loading !== "lazy") failed();
  image.addEventListener("error", failed);
}

function select(index, { focus = true } = {}) {
  if (!cards.length) return;
  current = Math.max(0, Math.min(cards.length - 1, index));
  cards.forEach((card, at) => {
    card.classList.toggle("current", at === current);
    if (at === current) card.setAttribute("aria-current", "true");
    else card.removeAttribute("aria-current");
  });
  const card = cards[current];
  if (focus) {
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  }
  viewer?.show(Number(card.dataset.slice));
}

const viewer = document.getElementById("viewer")
  ? makeViewer(study, words, (uid) => select(cards.findIndex((card) => card.dataset.uid === uid)))
  : null;
const editor = study.editable
  ? makeEditor(study, words, cards, (uid, verdict) => viewer?.mark(uid, verdict), derive)
  : null;

if (editor) watchPancreas(editor);
for (const button of document.querySelectorAll("[data-go-slice]")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[data-go-slice]")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    viewer?.show(Number(button.dataset.goSlice));
  });
}

// guidelines, draft and the contacts measured of the lesion that is asked about follow from
// verdicts and answers: our own template's, with open parts left open
async function derive() {
  if (!document.querySelector("[data-derived]")) return;
  const answer = await ask(`/studies/${encodeURIComponent(study.study)}/derived?revision=${study.revision}`);
  const fresh = document.createElement("template");
  fresh.innerHTML = await answer.text();
  for (const place of document.querySelectorAll("[data-derived]")) {
    const now = fresh.content.getElementById(place.id);
    if (!now) continue; // its lesion was rejected
    const open = [...place.querySelectorAll("details")].map((details) => details.open);
    place.innerHTML = now.innerHTML;
    place.querySelectorAll("details").forEach((details, at) => { details.open = open[at] ?? false; });
  }
}

cards.forEach((card, index) => {
  for (const button of card.querySelectorAll("[data-role=go]")) {
    button.addEventListener("click", () => select(index, { focus: false }));
  }
  card.addEventListener("focusin", (event) => {
    if (event.target !== card && index !== current) select(index, { focus: false });
  });
});
const anchored = cards.findIndex((card) => `#${card.id}` === decodeURIComponent(location.hash));
if (anchored >= 0) select(anchored);

const keys = {
  j: () => select(current + 1),
  k: () => select(current - 1),
  a: () => editor?.decide(cards[Math.max(current, 0)], "accepted"),
  r: () => editor?.decide(cards[Math.max(current, 0)], "rejected"),
  u: () => editor?.decide(cards[Math.max(current, 0)], "pending"),
  e: () => cards[Math.max(current, 0)]?.querySelector("textarea")?.focus(),
  t: () => editor?.takeDraft("impression"),
  d: () => {
    const details = cards[Math.max(current, 0)]?.querySelector("[data-role=character]");
    if (details) details.open = !details.open;
  },
  i: () => document.getElementById("impression")?.focus(),
  s: () => editor?.toSignature(),
  o: () => viewer?.toggleOutlines(),
  "?": help,
  ArrowUp: () => viewer?.step(-1),
  ArrowDown: () => viewer?.step(1),
  PageUp: () => viewer?.step(-10),
  PageDown: () => viewer?.step(10),
  Home: () => viewer?.ends(false),
  End: () => viewer?.ends(true),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") {
      const card = event.target.closest(".card");
      if (card) card.focus(); else event.target.blur();
    }
    return;
  }
  const moves = event.key.length > 1;
  if (moves && (!viewer || event.target.id === "slider")) return; // the slider moves itself
  const act = keys[event.key];
  if (!act) return;
  if (current < 0 && "aru".includes(event.key)) select(0); // never decide what is not shown
  else act();
  event.preventDefault();
});

// anything that changed elsewhere: load again where nothing can be lost, else say so
const again = () => location.replace(document.querySelector("#changed a").href); // also after a form
let deliveries = null;
every(4, async () => {
  let now;
  try {
    const answer = await ask(`/api/studies/${encodeURIComponent(study.study)}/status?revision=${study.revision}`);
    now = await answer.json();
  } catch (error) {
    if (error.status === 401 && !editor?.dirty()) again();
    return; // no answer: the next change says so, and this asks again
  }
  if (editor?.leaving()) return;
  const moved = now.state !== study.state || now.newest !== study.newest || now.revision !== study.revision;
  if (moved && !editor) again();
  else if (moved || editor?.differs(now.versions)) document.getElementById("changed").hidden = false;
  if (deliveries !== null && now.deliveries !== deliveries) {
    const answer = await ask(`/studies/${encodeURIComponent(study.study)}/deliveries?revision=${study.revision}`);
    document.getElementById("deliveries").innerHTML = await answer.text();
  }
  deliveries = now.deliveries;
});
