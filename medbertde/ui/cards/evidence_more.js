// Below an explanation: how reliable it is, its words as a proposed rationale, the method. value: {} or {label, ask, check,
// running, propose, proposed, methods}; check: {title, verdict, tests: [{title, wish, bars, said}], notes}; running: a progress
// (see dom.js); proposed: {said, quotes, report, schema, open} or {said, add}; methods: {title, name, about, items, baseline,
// baselines}, each item {id, name, said, chosen}.
let unfolded = false;
let wants = ""; // the button or choice that gets the focus back after it was drawn anew

const asking = (name, text, next = `[data-do=${name}]`) => el("button", { type: "button", class: "mb-small", "data-do": name,
  onclick: () => { wants = next; trigger(name, {}); } }, text);

function bar({ name, share, shown }, index) {
  return el("div", { class: "me-bar" }, el("span", {}, name),
    el("span", { class: "mb-track", "aria-hidden": "true" },
      el("span", { class: `mb-fill ${index ? "mb-absent" : ""}`, style: { width: `${100 * Math.min(1, share)}%` } })),
    el("span", { class: "mb-number" }, shown));
}

const checked = ({ title, verdict, tests, notes }) => el("section", { class: "me-check", "aria-label": title },
  el("p", { class: "me-verdict", role: "status" }, verdict),
  el("div", { class: "me-tests" }, tests.map((test) => el("div", {},
    el("h4", {}, test.title, el("span", { class: "mb-count" }, test.wish)), test.bars.map(bar), el("p", { class: "mb-hint" }, test.said)))),
  notes.map((note) => el("p", { class: "mb-hint" }, note)));

// The card there may not exist yet: it looks for what is wanted when it comes up, and listens for it afterwards.
function openOnCard({ report, schema }) {
  window.medbertdeWanted = { report, schema };
  Array.from(document.querySelectorAll("#mb-tabs > .tab-wrapper [role=tab]")).find((tab) => tab.textContent.trim() === "Annotation")?.click();
  document.dispatchEvent(new CustomEvent("medbertde-open", { detail: { report, schema } }));
}

const proposal = (value) => el("section", { class: "me-proposed" }, el("p", { role: "status" }, value.said),
  value.quotes ? el("ul", { class: "me-quotes", lang: "de" }, value.quotes.map((quote) => el("li", {}, quote))) : null,
  value.add ? asking("take_in", value.add, "[data-do=open]") : el("button", { type: "button", class: "mb-small", "data-do": "open", onclick: () => openOnCard(value) }, value.open));

function choices(kind, items, name) {
  const choose = (item) => {
    wants = `input[name=${kind}]:checked`;
    trigger("method", { [kind]: item.id });
  };
  return el("fieldset", { class: "me-choices" }, el("legend", {}, name), items.map((item) => el("label", {},
    el("input", { type: "radio", name: kind, value: item.id, checked: item.chosen, onchange: () => choose(item) }),
    el("span", {}, el("b", {}, item.name), el("span", { class: "me-said" }, item.said)))));
}

function methodPart({ title, name, about, items, baseline, baselines }) {
  const details = el("details", { class: "me-methods", ontoggle: () => { unfolded = details.open; } },
    el("summary", {}, `${title}: `, el("span", {}, name)), el("p", { class: "mb-hint" }, about), choices("method", items, title),
    baselines.length ? choices("baseline", baselines, baseline) : null);
  details.open = unfolded;
  return details;
}

// Drawing anew takes the focus from what was pressed; it comes back once, unless the user has gone elsewhere.
function refocus() {
  const focused = document.activeElement;
  if (focused && focused !== document.body) {
    if (!root()?.contains(focused)) wants = "";
    return;
  }
  const target = wants && root()?.querySelector(wants);
  if (!target) return;
  wants = "";
  target.focus({ preventScroll: true });
}

drawing((value) => {
  if (!value.label) return null;
  requestAnimationFrame(refocus);
  return [
    el("div", { class: "mb-saves" }, value.running ? null : asking("check", value.ask),
      value.propose && !value.proposed ? asking("propose", value.propose, "[data-do=open], [data-do=take_in]") : null),
    value.running ? el("div", { class: "me-running" }, progressView(value.running)) : null,
    value.check ? checked(value.check) : null,
    value.proposed ? proposal(value.proposed) : null,
    methodPart(value.methods),
  ];
});
