// Shared by all cards. Text only ever becomes a text node: el("b", {}, text) cannot run or become markup.
const root = () => element.querySelector("[data-card]");

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Draw now and whenever the server sends a new value.
let nodesShown = [];
function drawing(draw) {
  const redraw = () => {
    if (!root()) return;
    nodesShown = [draw(props.value || {})].flat().filter(Boolean);
    const drawn = [...root().childNodes];
    if (drawn.length === nodesShown.length && drawn.every((node, place) => node === nodesShown[place])) return; // keeps the focus
    root().replaceChildren(...nodesShown);
  };
  watch("value", redraw);
  redraw();
}

// Brings what is new on the card into view, without a glide for those who want no motion.
function bringIntoView() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  requestAnimationFrame(() => root()?.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" }));
}

const percent = (share) => (share < 0.01 ? "< 1 %" : share > 0.99 ? "> 99 %" : `${Math.round(100 * share)} %`);

// A file made on the page goes straight to the user's downloads: no text of a report is written on the server.
function saveAs(content, name) {
  const link = el("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Colours a stretch of text by what it says: -1 (against) … 1 (for); what says next to nothing stays plain.
function tinted(node, tint) {
  if (Math.abs(tint ?? 0) < 0.04) return node;
  const colour = tint > 0 ? "var(--mb-for)" : "var(--mb-against)";
  const strength = Math.round(55 * Math.min(1, Math.abs(tint)));
  node.style.setProperty("background-color", `color-mix(in srgb, ${colour} ${strength}%, transparent)`);
  return node;
}

// How far a long answer is, with a way out. value: {run, progress: 0…1, said, cancel}. What a cancelled run still sends, which
// may come after the answer to the click, changes nothing any more.
const cancelledRuns = new Set();
function progressView({ run, progress, said, cancel }) {
  if (cancelledRuns.has(run)) return nodesShown;
  const stop = () => {
    cancelledRuns.add(run);
    trigger("cancel", {});
  };
  return [
    el("div", { class: "mb-track mb-bar", role: "progressbar", "aria-valuenow": Math.round(100 * progress),
      "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": said },
      el("span", { class: "mb-fill", style: { width: `${100 * progress}%` } })),
    el("p", { class: "mb-hint", role: "status" }, said),
    el("button", { type: "button", class: "mb-small", onclick: stop }, cancel),
  ];
}
