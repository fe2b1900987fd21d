// The report with the marked words of all findings as coloured lines below them, those of the chosen finding also
// tinted; above it what can be done with words, beneath it the marks of the chosen finding. The lines take no room: the text never moves.

const LANES = 3; // marks above each other that are told apart

function drawReport() {
  parts.key = el("div", { class: "ma-key", "aria-live": "polite" });
  parts.text = el("div", {
    class: "ma-text", tabindex: "0", lang: "de", role: "textbox", "aria-readonly": "true", "aria-multiline": "true",
    "aria-label": say("Befundtext", "Report text"), onpointerup: onTextPointer,
  });
  parts.mark = button(say("Markieren", "Mark"), toggleMarking, "ma-plain ma-mark-toggle", "6", {
    title: say("Wörter markieren, die einen Befund belegen", "Mark the words that justify a finding"),
  });
  parts.model = button(say("Modell", "Model"), toggleModel, "ma-plain ma-model-toggle", "7", {
    title: say("Zeigen, worauf das Modell achtet", "Show what the model looks at"),
  });
  parts.explain = button(say("Erklärung", "Explanation"), toggleSheet, "ma-plain ma-explain", "8", {
    "aria-controls": "ma-sheet", "aria-expanded": "false",
  });
  parts.whole = button(say("ganze Wörter", "whole words"), toggleWhole, "ma-plain ma-whole", null, {
    title: say("Mit der Maus Markiertes bis zu den Wortgrenzen erweitern", "Extend what the mouse marks to whole words"),
  });
  parts.chips = el("div", { class: "ma-chips" });
  parts.proposals = el("div", {});
  parts.figures = el("p", { class: "ma-figures", role: "status" });
  parts.sheet = el("aside", { class: "ma-sheet", id: "ma-sheet", hidden: true, tabindex: "-1" });
  return el("section", { class: "ma-report" }, parts.key,
    el("div", { class: "ma-tools" }, parts.mark, onlySpans() ? null : parts.model, parts.explain),
    el("div", { class: "ma-paper" }, parts.text, parts.sheet),
    el("div", { class: "ma-under" }, parts.chips, parts.whole), parts.proposals, onlySpans() ? null : parts.figures);
}

function paintReport(item) {
  const remark = item.saved ? say("gespeichert", "saved")
    : item.bare ? say("zum Vergleich ohne Vorschlag", "without a suggestion, to compare") : "";
  parts.key.textContent = remark ? `${item.key} · ${remark}` : item.key;
  paintText(item);
  parts.mark.setAttribute("aria-pressed", String(marking.on));
  parts.model.setAttribute("aria-pressed", String(model.on));
  parts.whole.setAttribute("aria-pressed", String(marking.whole));
  parts.text.classList.toggle("ma-marking", marking.on);
  const label = selectedLabel();
  const marks = onlySpans() ? [] : item.marks.filter((mark) => mark.label === label.id);
  const hint = marks.length ? "" : markingHint(label);
  refill(parts.chips, [item, hint, ...marks], () =>
    hint ? [el("p", { class: "ma-quietly" }, hint)] : marks.map((mark) => drawChip(item, mark)));
  refill(parts.proposals, [item, item.saved, ...(onlySpans() ? openMarks(item) : proposalsOf(item, label.id))], () =>
    onlySpans() ? drawOpenNote(item) : drawProposals(item, label));
  parts.figures.textContent = modelSentence(item);
}

function markingHint(label) {
  const name = tell(label.name);
  if (!marking.on) return say(`Keine Wörter für ${name} markiert.`, `No words marked for ${name}.`);
  if (marking.tapped) return say("Jetzt das letzte Wort antippen.", "Now tap the last word.");
  return matchMedia("(pointer: coarse)").matches
    ? say(`Für ${name}: erstes Wort antippen, dann das letzte.`, `For ${name}: tap the first word, then the last.`)
    : say(`Für ${name}: Wörter überstreichen, oder Pfeiltasten und Leertaste.`, `For ${name}: drag over words, or arrows and space.`);
}

// Redrawn only when something in it has changed: text, marks, chosen finding, caret or model.
function paintText(item) {
  const caret = marking.on ? chosenWords(item) : null;
  const weighed = model.on && model.weighed && JSON.parse(model.key)[0] === item.id ? model.weighed.units : [];
  const chosen = selectedLabel().id;
  const coloured = item.marks.length || item.proposals.length ? chosen : "";
  const drawn = JSON.stringify([item.id, item.saved, item.marks, item.proposals, coloured, caret, weighed.length ? model.key : ""]);
  if (parts.text.dataset.drawn === drawn) return;
  const other = parts.text.dataset.report !== String(item.id);
  Object.assign(parts.text.dataset, { drawn, report: item.id });
  parts.text.replaceChildren(...pieces(item, caret, weighed, chosen));
  if (other) parts.text.scrollTop = 0;
}

// The text cut wherever a mark, the caret or a weighed word begins or ends.
function pieces(item, caret, weighed, chosen) {
  const { text } = item;
  const marks = item.marks.filter((mark) => !isOpen(item, mark));
  const proposed = [...proposalsOf(item, chosen), ...openMarks(item)];
  const cuts = new Set([0, text.length, ...(caret ?? []), ...[...marks, ...proposed].flatMap(({ start, end }) => [start, end]),
    ...weighed.flatMap(([start, end]) => [start, end])]);
  const ends = [...cuts].sort((one, other) => one - other);
  const lanes = lanesOf(marks);
  return ends.slice(1).map((end, index) => {
    const start = ends[index];
    const covering = marks.filter((mark) => mark.start < end && start < mark.end);
    const word = weighed.find(([from, to]) => from < end && start < to);
    const inCaret = caret && caret[0] <= start && end <= caret[1];
    const share = word?.[2] ?? 0;
    const piece = text.slice(start, end);
    const offered = proposed.find((one) => one.start < end && start < one.end);
    if (!covering.length && !inCaret && !offered && Math.abs(share) < 0.04) return document.createTextNode(piece);
    return drawPiece(piece, { covering, lanes, inCaret, share, chosen, offered });
  });
}

function drawPiece(piece, { covering, lanes, inCaret, share, chosen, offered }) {
  const node = el(covering.length ? "mark" : "span", {
    class: ["ma-piece", inCaret && "ma-caret", offered && "ma-offered", covering.some(({ label }) => label === chosen) && "ma-chosen"].filter(Boolean).join(" "),
    "data-labels": covering.length ? covering.map(({ label }) => label).join(" ") : null,
    title: [...covering, ...(offered && onlySpans() ? [offered] : [])].map(({ label }) => tell(nameOf(label))).join(", ") || null,
  }, piece);
  for (const mark of covering) {
    const colour = colourOf(mark.label);
    node.style.setProperty(`--ma-lane-${lanes.get(mark)}`, `color-mix(in srgb, ${colour} var(--ma-mix), white)`);
    if (mark.label === chosen) node.style.setProperty("--ma-own", colour);
  }
  if (offered) node.style.setProperty("--ma-own", colourOf(offered.label));
  if (Math.abs(share) >= 0.04) {
    const towards = share > 0 ? "var(--mb-for)" : "var(--mb-against)";
    node.style.setProperty("background-color", `color-mix(in srgb, ${towards} ${Math.round(60 * Math.abs(share))}%, transparent)`);
  }
  return node;
}

const nameOf = (label) => schema().labels.find(({ id }) => id === label).name;

// Marks that overlap get different lines.
function lanesOf(marks) {
  const lanes = new Map();
  for (const mark of marks) {
    const taken = new Set(marks.filter((one) => lanes.has(one) && one.start < mark.end && mark.start < one.end).map((one) => lanes.get(one)));
    let lane = 0;
    while (taken.has(lane) && lane < LANES - 1) lane += 1;
    lanes.set(mark, lane);
  }
  return lanes;
}
