// The report in one piece: sentences as coloured stretches that open into their words, the strongest ones as a list.
const wordNodes = (pieces) => pieces.map((piece) => (piece.shown === undefined ? document.createTextNode(piece.text)
  : tinted(el("mark", { title: piece.shown }, piece.text), piece.tint)));

// A sentence runs on with the text around it, which no browser lets a <button> do. `node.known` is what is known of it.
function sentenceNode(part, toggle) {
  const node = el("span", { class: "mb-sentence", role: "button", tabindex: 0, "aria-expanded": "false", title: part.said,
    "data-shown": part.shown, "data-start": part.span[0], onclick: () => toggle(node),
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle(node);
    } });
  node.known = part;
  node.isOpen = () => node.getAttribute("aria-expanded") === "true";
  node.fill = (open) => {
    const worded = open && !node.known.later;
    node.setAttribute("aria-expanded", String(open));
    node.setAttribute("aria-busy", String(open && node.known.later));
    node.style.removeProperty("background-color");
    if (!worded) tinted(node, node.known.tint);
    node.replaceChildren(...(worded ? wordNodes(node.known.pieces) : [textOf(node.known)]));
  };
  node.fill(false);
  return node;
}

const textOf = (part) => (typeof part === "string" ? part : part.pieces.map((piece) => piece.text).join(""));

// Whether only words were added since.
function sameExplanation(before, after) {
  const known = ({ title, facts, parts }) => JSON.stringify([title, facts, parts.map(textOf)]);
  return known(before) === known(after);
}

// What an opened sentence says in numbers, word by word; a word or the sentence can be struck from here.
function detail(part, words) {
  const chips = part.pieces.filter((piece) => piece.shown !== undefined).map((piece) =>
    el("li", {}, tinted(el("button", { type: "button", class: "mb-chip", title: words.strike_word,
      onclick: () => trigger("strike", { span: piece.span }) },
      piece.text, el("span", { class: "mb-number" }, piece.shown)), piece.tint)));
  return [
    el("p", { class: "mb-hint" }, part.said, part.heading ? ` · ${words.heading}: ${part.heading}` : ""),
    part.later ? el("p", { class: "mb-hint mb-waiting" }, words.waiting) : el("ul", { class: "mb-chips", "aria-label": words.words }, chips),
    el("button", { type: "button", class: "mb-small", "data-do": "strike", onclick: () => trigger("strike", { span: part.span }) },
      words.strike),
  ];
}

function strongestSide({ title, side, sentences, words }, wording, open) {
  const row = (item) => el("li", {}, el("button", { type: "button", class: "mb-reason", onclick: () => open(item.start) },
    el("span", { class: `mb-sign mb-${side}` }, item.shown), el("span", { class: "mb-word", lang: "de" }, item.text),
    item.share ? el("span", { class: "mb-number" }, `${wording.share} ${item.share}`) : null));
  return el("section", { class: "mb-side", "data-side": side },
    el("h4", {}, title),
    sentences.length ? el("ul", { class: "mb-list" }, sentences.map(row)) : el("p", { class: "mb-hint" }, wording.none),
    words.length ? el("ul", { class: "mb-strongest", lang: "de" }, words.map((word) =>
      el("li", {}, el("span", { class: `mb-sign mb-${side}` }, word.shown), word.text))) : null);
}

// The sentences of a report, and below them what the one opened last says. `update` takes words in that came later: what is
// open stays open, the focus stays where it is. Answers come in the order of the questions.
function openable(value) {
  const below = el("div", { class: "mb-detail", "aria-live": "polite" }), asked = [];
  let looked = null;
  const look = (node) => below.replaceChildren(...((looked = node) ? detail(node.known, value.words) : []));
  const ask = (wanted) => {
    const starts = wanted.filter((node) => node.known.later && !asked.flat().includes(node)).map((node) => node.known.span[0]);
    if (!starts.length) return;
    asked.push(wanted.filter((node) => starts.includes(node.known.span[0])));
    trigger("words", { starts });
  };
  const toggle = (node) => {
    node.fill(!node.isOpen());
    look(node.isOpen() ? node : null);
    if (node.isOpen()) ask([node]);
  };
  const nodes = value.parts.map((part) => (typeof part === "string" ? part : sentenceNode(part, toggle)));
  const sentences = nodes.filter((node) => typeof node !== "string");
  const all = (open) => {
    look(null);
    sentences.forEach((node) => node.fill(open));
    if (open) ask(sentences);
  };
  const update = (parts) => {
    const answered = asked.shift() ?? [], busy = asked.flat();
    parts.filter((part) => typeof part !== "string").forEach((part, place) => {
      const node = sentences[place], news = node.known.later && !part.later;
      node.known = part;
      const refused = answered.includes(node) && part.later && !busy.includes(node);
      if (node.isOpen() && (news || refused)) node.fill(news); // refused: as if never opened
      if (node === looked && (news || refused)) look(news ? node : null);
    });
  };
  return { report: el("div", { class: "mb-report", lang: "de" }, nodes), below, sentences, all, update };
}

function explained(value) {
  const { title, legend, hint, strongest, facts, notices, words } = value;
  const view = { value }, { report, below, sentences, all, update } = openable(value);
  view.update = (next) => update((view.value = next).parts);
  const open = (start) => {
    const node = sentences.find((each) => each.known.span[0] === start);
    if (!node.isOpen()) node.click();
    node.focus();
  };
  const every = el("button", { type: "button", class: "mb-small", "aria-pressed": "false", onclick: () => {
    const shown = every.getAttribute("aria-pressed") !== "true";
    every.setAttribute("aria-pressed", String(shown));
    all(shown);
  } }, words.all_words);
  if (sentences.length === 1) every.click(); // one sentence: the words are what there is to see
  const saves = ["html", "png", "csv", "json"].map((kind) =>
    el("button", { type: "button", class: "mb-small", "data-kind": kind,
      onclick: () => (kind === "png" ? savePicture(view.value) : trigger("save", { kind })) }, kind.toUpperCase()));
  view.nodes = [
    el("div", { class: "mb-line-up" }, el("h3", {}, title), every),
    report, below,
    el("div", { class: "mb-legend" }, el("span", {}, legend.against),
      el("span", { class: "mb-scale", "aria-hidden": "true" }), el("span", {}, legend.for)),
    el("p", { class: "mb-hint" }, `${legend.about} ${hint}`),
    el("div", { class: "mb-pair" }, strongest.map((side) => strongestSide(side, words, open))),
    el("dl", { class: "mb-facts" }, facts.map((fact) => el("div", {}, el("dt", {}, fact.name), el("dd", {}, fact.value)))),
    notices.map((notice) => el("p", { class: "mb-notice" }, notice)),
    el("div", { class: "mb-saves" }, el("span", { class: "mb-hint" }, words.export), saves),
  ].flat();
  return view;
}
