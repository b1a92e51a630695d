// The slices: wheel, keys, slider, dragging, and the findings marked beside the slider.
import { fill } from "./common.js";

const KEEP = 250; // pictures held in memory
const AHEAD = 4;

export function makeViewer(study, words, onMark) {
  const picture = document.getElementById("picture");
  const image = document.getElementById("slice");
  const missing = document.getElementById("slice-missing");
  const slider = document.getElementById("slider");
  const label = document.getElementById("slice-label");
  const outlines = document.getElementById("outlines");
  const marks = [...document.querySelectorAll(".mark")];
  const held = new Map(); // url -> promise of an object URL, oldest first
  let wanted = Number(image.dataset.first);
  let drawing = false;
  let verdicts = 0; // given here; each may change which outlines are drawn

  const url = (k) => `/studies/${encodeURIComponent(study.study)}/slices/${k}.png`
    + `?revision=${study.revision}&outlines=${outlines.checked}`;

  // A picture is let go some time after it left the screen: the image element may still be
  // decoding it, or be about to.
  function release(coming) {
    coming.then((source) => setTimeout(() => {
      if (image.src !== source) URL.revokeObjectURL(source);
    }, 10000), () => {});
  }

  function load(address) {
    const had = held.get(address);
    if (had) return had;
    const coming = fetch(address, { headers: { "X-Requested-With": "fetch" } }).then(async (answer) => {
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      return URL.createObjectURL(await answer.blob());
    });
    held.set(address, coming);
    coming.catch(() => held.delete(address)); // the next look asks again
    if (held.size > KEEP) {
      const [oldest, old] = held.entries().next().value;
      held.delete(oldest);
      release(old);
    }
    return coming;
  }

  async function draw() {
    if (drawing) return;
    drawing = true;
    const goal = () => `${url(wanted)} ${verdicts}`;
    let drawn = "";
    while (drawn !== goal()) { // what is wanted may change while a picture is on its way
      drawn = goal();
      try {
        image.src = await load(url(wanted));
        missing.hidden = true;
      } catch {
        missing.hidden = drawn !== goal();
      }
    }
    drawing = false;
    for (let step = 1; step <= AHEAD; step += 1) {
      for (const k of [wanted + step, wanted - step]) {
        if (k >= 0 && k < study.slices) load(url(k)).catch(() => {});
      }
    }
  }

  function show(k) {
    wanted = Math.max(0, Math.min(study.slices - 1, k));
    slider.value = String(wanted);
    const sentence = fill(words["slice-of"], { n: wanted + 1, all: study.slices });
    label.textContent = sentence;
    slider.setAttribute("aria-valuetext", sentence);
    picture.setAttribute("aria-label", sentence);
    for (const mark of marks) {
      const reach = (Number(mark.dataset.extent) - 1) / 2;
      mark.classList.toggle("here", Math.abs(wanted - Number(mark.dataset.slice)) <= reach + 0.5);
    }
    draw();
  }

  // marks that would hide one another stand in two lanes
  let last = -1;
  for (const mark of [...marks].sort((a, b) => a.dataset.slice - b.dataset.slice)) {
    const place = study.slices > 1 ? Number(mark.dataset.slice) / (study.slices - 1) : 0.5;
    mark.style.top = `${place * 100}%`;
    if (last >= 0 && place - last < 0.045) mark.dataset.lane = "1";
    last = mark.dataset.lane ? -1 : place;
    mark.addEventListener("click", () => onMark(mark.dataset.uid));
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  outlines.addEventListener("change", draw);
  let rolled = 0;
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    rolled += event.deltaMode === 0 ? event.deltaY / 40 : event.deltaY;
    const steps = Math.trunc(rolled);
    rolled -= steps;
    if (steps) show(wanted + Math.max(-10, Math.min(10, steps)));
  }, { passive: false });
  let dragged = null;
  picture.addEventListener("pointerdown", (event) => {
    dragged = { y: event.clientY, k: wanted };
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointermove", (event) => {
    if (dragged) show(dragged.k + Math.round((event.clientY - dragged.y) / 5));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    picture.addEventListener(end, () => { dragged = null; });
  }
  image.addEventListener("error", () => { missing.hidden = false; });

  show(wanted);
  return {
    show,
    step: (by) => show(wanted + by),
    ends: (last_one) => show(last_one ? study.slices - 1 : 0),
    toggleOutlines() { outlines.checked = !outlines.checked; draw(); },
    mark(uid, verdict) {
      for (const mark of marks) if (mark.dataset.uid === uid) mark.dataset.verdict = verdict;
      for (const old of held.values()) release(old);
      verdicts += 1;
      held.clear(); // the outline of a rejected finding is no longer drawn
      draw();
    },
  };
}
