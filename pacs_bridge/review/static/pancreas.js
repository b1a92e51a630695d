// What the reader says of a pancreatic lesion: every answer is kept at once, and the guidelines
// are applied again.

const TYPED_MS = 900; // after the last key before words are kept

function valueOf(field) {
  if (field.dataset.kind === "text") return field.value.trim();
  if (field.value === "") return null;
  if (field.dataset.kind === "yes-no") return field.value === "yes";
  return field.dataset.kind === "number" ? Number(field.value) : field.value;
}

function said(form) {
  const all = { vessels: [] };
  const vessels = new Map();
  for (const field of form.querySelectorAll("[data-kind]")) {
    const [vessel, item] = field.name.split(".");
    const value = valueOf(field);
    if (!item) {
      all[vessel] = value;
    } else if (value !== null && value !== "") {
      if (!vessels.has(vessel)) vessels.set(vessel, { vessel });
      vessels.get(vessel)[item] = value;
    }
  }
  all.vessels = [...vessels.values()];
  return all;
}

export function watchPancreas(editor) {
  const form = document.getElementById("pancreas-form");
  if (!form) return;
  const place = document.getElementById("pancreas-saved");
  let timer = 0;
  const keep = () => {
    clearTimeout(timer);
    editor.keepFacts("pancreas", () => said(form), place);
  };
  form.addEventListener("change", (event) => {
    const label = event.target.closest("label");
    label?.classList.toggle("known", event.target.value !== "");
    keep();
  });
  form.addEventListener("input", (event) => {
    if (event.target.dataset.kind !== "text") return;
    clearTimeout(timer);
    timer = setTimeout(keep, TYPED_MS);
  });
  form.addEventListener("submit", (event) => { // Enter in a text field
    event.preventDefault();
    event.stopPropagation();
    keep();
  });
}
