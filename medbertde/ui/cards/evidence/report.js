// The report in one piece: sentences as coloured stretches that open into their words, the strongest ones as a list.
const wordNodes = (pieces) => pieces.map((piece) => (piece.shown === undefined ? document.createTextNode(piece.text)
  : tinted(el("mark", { title: piece.shown }, piece.text), piece.tint)));

// A sentence runs on with the text around it, which no browser lets a <button> do.
function sentenceNode(part, toggle) {
  const node = el("span", { class: "mb-sentence", role: "button", tabindex: 0, "aria-expanded": "false", title: part.said,
    "data-shown": part.shown, "data-start": part.span[0], onclick: () => toggle(part, node),
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle(part, node);
    } });
  node.fill = (open) => {
    node.setAttribute("aria-expanded", String(open));
    node.style.removeProperty("background-color");
    if (!open) tinted(node, part.tint);
    node.replaceChildren(...(open ? wordNodes(part.pieces) : [part.pieces.map((piece) => piece.text).join("")]));
  };
  node.fill(false);
  return node;
}

// What an opened sentence says in numbers, word by word; a word or the sentence can be struck from here.
function detail(part, words) {
  const chips = part.pieces.filter((piece) => piece.shown !== undefined).map((piece) =>
    el("li", {}, tinted(el("button", { type: "button", class: "mb-chip", title: words.strike_word,
      onclick: () => trigger("strike", { span: piece.span }) },
      piece.text, el("span", { class: "mb-number" }, piece.shown)), piece.tint)));
  return [
    el("p", { class: "mb-hint" }, part.said, part.heading ? ` · ${words.heading}: ${part.heading}` : ""),
    el("ul", { class: "mb-chips", "aria-label": words.words }, chips),
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

function explained(value) {
  const { title, parts, legend, hint, strongest, facts, notices, words } = value;
  const nodes = [], below = el("div", { class: "mb-detail", "aria-live": "polite" });
  const toggle = (part, node) => {
    const open = node.getAttribute("aria-expanded") !== "true";
    node.fill(open);
    below.replaceChildren(...(open ? detail(part, words) : []));
  };
  const report = el("div", { class: "mb-report", lang: "de" }, parts.map((part) => {
    if (typeof part === "string") return part;
    const node = sentenceNode(part, toggle);
    nodes.push(node);
    return node;
  }));
  const open = (start) => {
    const node = nodes.find((each) => Number(each.dataset.start) === start);
    if (node.getAttribute("aria-expanded") !== "true") node.click();
    node.focus();
  };
  const every = el("button", { type: "button", class: "mb-small", "aria-pressed": "false", onclick: () => {
    const shown = every.getAttribute("aria-pressed") !== "true";
    every.setAttribute("aria-pressed", String(shown));
    below.replaceChildren();
    nodes.forEach((node) => node.fill(shown));
  } }, words.all_words);
  if (nodes.length === 1) every.click(); // one sentence: the words are what there is to see
  const saves = ["html", "png", "csv", "json"].map((kind) =>
    el("button", { type: "button", class: "mb-small", "data-kind": kind,
      onclick: () => (kind === "png" ? savePicture(value) : trigger("save", { kind })) }, kind.toUpperCase()));
  return [
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
}
