// Verdicts, texts and the signature. Every change is kept at once; one that could not be kept
// stays in its field and says so.
import { ask, fill, toast } from "./common.js";

const PAUSE_MS = 900; // after the last key before a text is kept

export function makeEditor(study, words, cards, onVerdict, onSaved) {
  const base = `/api/studies/${encodeURIComponent(study.study)}/revisions/${study.revision}`;
  const form = document.getElementById("sign");
  const impression = document.getElementById("impression");
  const problem = document.getElementById("problem");
  const confirm = document.getElementById("confirm");
  const fields = new Map(); // textarea -> {kept, timer, seen, place, url, body}
  let queue = Promise.resolve(); // changes go one after another, each made from the last answer
  let running = 0;
  let lost = null; // tries once more to keep the facts that could not be kept
  let confirmed = false;

  function put(field, extra = {}) {
    const change = async () => {
      const entry = fields.get(field);
      clearTimeout(entry.timer);
      const text = field.value;
      running += 1;
      say(entry, words.saving);
      try {
        const saved = await send(entry.url, { ...entry.body(), text, ...extra, seen: entry.seen });
        entry.kept = text;
        take(saved, field);
        say(entry, words.saved);
        calm();
        return true;
      } catch (error) {
        refused(entry, error);
        return false;
      } finally {
        running -= 1;
      }
    };
    queue = queue.then(change);
    return queue;
  }

  async function send(url, values) {
    const once = () => ask(url, {
      method: "PUT",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": study.csrf },
      body: JSON.stringify(values),
    });
    const answer = await once().catch(async (error) => {
      if (error.status !== 403) throw error;
      await freshToken(); // logged in again in another tab
      return once();
    });
    return answer.json();
  }

  function refused(entry, error) {
    const sentence = error.status === 401 ? words["session-over"] : error.message;
    say(entry, words["not-saved"], true);
    complain(error.status ? sentence : `${words["not-saved"]}: ${sentence}`);
  }

  function calm() {
    const wrong = [...fields.values()].some((other) => other.place.classList.contains("problem"));
    if (!wrong && lost === null) problem.hidden = true;
  }

  // What the guidelines go by. It was made from the version shown here, so that its answer is
  // the version shown from now on.
  function keepFacts(path, values, place) {
    queue = queue.then(async () => {
      running += 1;
      say({ place }, words.saving);
      try {
        const saved = await send(`${base}/${path}`, { ...values(), seen: study.facts });
        study.facts = saved.versions.facts;
        for (const input of document.querySelectorAll(".guidance input[name=seen]")) input.value = study.facts;
        agree(saved.versions);
        lost = null;
        say({ place }, words.saved);
        calm();
      } catch (error) {
        lost = () => keepFacts(path, values, place);
        refused({ place }, error);
        return;
      } finally {
        running -= 1;
      }
      try {
        await onSaved();
      } catch (error) {
        complain(error.message); // kept, but what follows from it could not be shown
      }
    });
    return queue;
  }

  async function freshToken() {
    study.csrf = (await (await ask("/api/session")).json()).csrf;
    for (const input of document.querySelectorAll("input[name=csrf]")) input.value = study.csrf;
  }

  function complain(sentence) {
    problem.textContent = sentence;
    problem.hidden = false;
    toast(sentence);
  }

  function say(entry, sentence, wrong = false) {
    entry.place.textContent = sentence;
    entry.place.classList.toggle("problem", wrong);
  }

  // A version is taken over only for what this page changed itself. Where anything else moved,
  // the old versions stay, so that a signature for what was never shown here is refused.
  function take(saved, field) {
    fields.get(field).seen = versionIn(saved.versions, field);
    const decided = document.getElementById("decided");
    if (decided) {
      decided.textContent = fill(words.decided, { done: cards.length - saved.pending.length, all: cards.length });
    }
    agree(saved.versions);
  }

  function agree(versions) {
    if (moved(versions)) {
      document.getElementById("changed").hidden = false;
      return;
    }
    form.elements.seen_reviews.value = versions.reviews;
    form.elements.seen_impression.value = versions.impression;
  }

  const versionIn = (versions, field) =>
    field === impression ? versions.impression : versions.by_finding[field.closest(".card").dataset.uid];
  const moved = (versions) => versions.facts !== study.facts
    || [...fields].some(([field, entry]) => entry.seen !== versionIn(versions, field));

  function watch(field, entry) {
    fields.set(field, { ...entry, kept: "unsaved" in field.dataset ? null : field.defaultValue, timer: 0 });
    field.addEventListener("input", () => {
      const own = fields.get(field);
      clearTimeout(own.timer);
      say(own, "");
      own.timer = setTimeout(() => keep(field), PAUSE_MS);
    });
    field.addEventListener("blur", () => keep(field));
  }

  function keep(field) {
    return field.value === fields.get(field).kept ? queue : put(field);
  }

  // The draft goes into an empty impression, else after what was written there.
  function takeDraft(whole) {
    const part = (role) => document.querySelector(`#draft [data-role=draft-${role}]`)?.textContent ?? "";
    const draft = whole === "all" ? `${part("findings")}\n\n${part("impression")}`.trim() : part("impression");
    const written = impression.value.trim();
    if (!draft || written.includes(draft)) return;
    impression.value = written ? `${written}\n\n${draft}` : draft;
    impression.focus();
    keep(impression);
  }

  async function decide(card, verdict) {
    if (!card) return;
    const field = card.querySelector("textarea");
    if (!(await put(field, { verdict }))) return;
    card.dataset.verdict = verdict;
    card.querySelector("[data-role=verdict]").textContent = words[`verdict-${verdict}`];
    for (const button of card.querySelectorAll("[aria-pressed]")) {
      button.setAttribute("aria-pressed", String(button.value === verdict));
    }
    onVerdict(card.dataset.uid, verdict);
    onSaved();
  }

  for (const card of cards) {
    const field = card.querySelector("textarea");
    watch(field, {
      seen: card.dataset.seen,
      place: card.querySelector("[data-role=saved]"),
      url: `${base}/findings/${encodeURIComponent(card.dataset.uid)}/review`,
      body: () => ({ verdict: card.dataset.verdict }),
    });
    card.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      decide(card, event.submitter?.value ?? card.dataset.verdict);
    });
  }
  watch(impression, {
    seen: study.impression,
    place: document.getElementById("impression-saved"),
    url: `${base}/impression`,
    body: () => ({}),
  });

  for (const button of form.querySelectorAll("[data-draft]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      takeDraft(button.dataset.draft);
    });
  }

  // forms that load the page again wait until what was typed elsewhere is kept
  for (const other of document.querySelectorAll(".guidance")) {
    other.addEventListener("submit", async (event) => {
      if (!("waits" in event.target.dataset) || event.target.dataset.waits === "over") return;
      event.preventDefault();
      for (const field of fields.keys()) keep(field);
      lost?.();
      await queue;
      if (dirty()) return;
      try {
        await freshToken();
      } catch (error) {
        complain(error.status === 401 ? words["session-over"] : error.message);
        return;
      }
      event.target.dataset.waits = "over";
      event.target.requestSubmit(event.submitter);
    });
  }

  const dirty = () => running > 0 || lost !== null || [...fields].some(([field, entry]) => field.value !== entry.kept);

  form.addEventListener("submit", async (event) => {
    if (confirmed) return; // on its way
    event.preventDefault();
    for (const field of fields.keys()) keep(field);
    lost?.();
    await queue;
    if (event.submitter?.value !== "sign" || dirty()) return;
    try {
      await freshToken();
    } catch (error) {
      complain(error.status === 401 ? words["session-over"] : error.message);
      return;
    }
    const open = cards.filter((card) => card.dataset.verdict === "pending");
    if (open.length) {
      complain(fill(words["pending-left"], { numbers: open.map((card) => card.dataset.number).join(", ") }));
      open[0].scrollIntoView({ block: "center" });
      open[0].focus({ preventScroll: true });
      return;
    }
    const count = (verdict) => cards.filter((card) => card.dataset.verdict === verdict).length;
    document.getElementById("confirm-summary").textContent =
      fill(words["sign-summary"], { accepted: count("accepted"), rejected: count("rejected") });
    const typed = document.getElementById("confirm-signer");
    if (typed) {
      typed.textContent = fill(words["sign-as"], {
        name: form.elements.name.value.trim() || "–",
        organization: form.elements.organization.value.trim() || "–",
      });
    }
    document.getElementById("confirm-empty").hidden = impression.value.trim() !== "";
    confirm.returnValue = "";
    confirm.showModal();
  });
  confirm.addEventListener("close", () => {
    if (confirm.returnValue !== "sign") return;
    confirmed = true;
    form.requestSubmit(document.getElementById("sign-button"));
  });
  window.addEventListener("beforeunload", (event) => {
    if (!confirmed && dirty()) event.preventDefault();
  });

  return {
    decide,
    keepFacts,
    takeDraft,
    dirty,
    leaving: () => confirmed,
    differs: (versions) => running === 0 && versions !== null && moved(versions),
    toSignature() {
      const name = document.getElementById("signer-name");
      const goal = name && !name.value ? name : document.getElementById("sign-button");
      form.scrollIntoView({ block: "center" });
      goal.focus({ preventScroll: true });
    },
  };
}
