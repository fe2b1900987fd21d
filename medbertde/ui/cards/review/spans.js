// Spans: everyone's marks as lines below the words and side by side in the rows; the decision takes one reader's marks of a
// kind, or none, or what the curator marks in the text. Positions are units of the text; the server counts code points.

const LANES = 4; // readers whose lines are told apart
const spansOf = (side, label) => side.marks[label] ?? [];
const equal = (one, other) => one[0] === other[0] && one[1] === other[1];
const overlap = (one, other) => one[0] < other[1] && other[0] < one[1];
const sameSpans = (some, others) => some.length === others.length && some.every((one) => others.some((other) => equal(one, other)));
const inOrder = (spans) => [...spans].sort((one, other) => one[0] - other[0] || one[1] - other[1]);
const quote = ([start, end]) => {
  const [left, right] = settings.language === "en" ? "“”" : "„“";
  return left + open.item.text.slice(start, end).replace(/\s+/g, " ") + right;
};

// By kind, in units: {label: [[start, end], …]}.
function byKind(text, marks) {
  const found = {};
  for (const [label, start, end] of marks) (found[label] ??= []).push([toUnits(text, start), toUnits(text, end)]);
  for (const label of Object.keys(found)) found[label] = inOrder(found[label]);
  return found;
}

// What is decided of a kind, undefined while it is open.
const decidedSpans = (label) => (label in open.chosen ? open.chosen[label] : differs(label) ? undefined : spansOf(open.item.held, label));

// What all readers mark alike: where marking anew begins.
function undisputed(label) {
  const [first, ...others] = open.item.readers;
  return first ? spansOf(first, label).filter((span) => others.every((reader) => spansOf(reader, label).some((one) => equal(one, span)))) : [];
}

const SPANS = {
  mentions: (reader, label) => spansOf(reader, label).length > 0,
  begin(item) {
    item.held = { marks: byKind(item.text, item.held) };
    for (const reader of item.readers) reader.marks = byKind(item.text, reader.marks);
    caret.on = caret.tapped = false;
    caret.anchor = caret.head = 0;
    return Object.fromEntries(Object.keys(item.decided).map((label) => [label, spansOf(item.held, label)]));
  },
  sent() {
    const { text } = open.item;
    const changed = Object.keys(open.chosen).filter((label) => differs(label) || !sameSpans(open.chosen[label], spansOf(open.item.held, label)));
    const place = (label) => ([start, end]) => [label, toPoints(text, start), toPoints(text, end)];
    return {
      values: Object.fromEntries(changed.map((label) => [label, null])),
      marks: changed.flatMap((label) => open.chosen[label].map(place(label))),
    };
  },
  action(event, label) {
    const reader = open.item.readers[Number(event.key) - 1];
    if (label && reader) return () => choose(label, spansOf(reader, label));
    if (label && event.key === "0") return () => choose(label, []);
    return event.target.closest(".mr-text") ? caretAction(event) : null;
  },
  dispute: (count) => (count === 1 ? say("1 Art strittig", "1 kind in dispute") : say(`${count} Arten strittig`, `${count} kinds in dispute`)),
  heading: () => say("Art", "Kind"),
  more: () => (open.all ? say("Weniger Arten", "Fewer kinds") : say("Alle Arten", "All kinds")),
  text: () => [spanText(), spanLegend()],
  row: (label) => [
    el("th", { scope: "row", onclick: () => select(rows().findIndex((one) => one.id === label.id)) }, rowName(label), likeness(label.id)),
    open.item.readers.map((reader) => el("td", { class: "mr-spans", "data-column": reader.name }, readerSpans(reader, label.id))),
    el("td", { class: "mr-decision" }, spanButtons(label), decisionChips(label), reason(label))],
};

// ------------------------------------------------------------------------------------------ rows

const figureOf = (part, total) => {
  const value = (part / total).toFixed(2);
  return settings.language === "en" ? value : value.replace(".", ",");
};

// How alike the readers mark a kind: F1, with equal ends and with overlap (`mark_agreement.py` counts).
function likeness(label) {
  const counts = open.item.agreement[label];
  if (!counts?.total || open.item.readers.length < 2) return null;
  return el("span", { class: "mr-likeness", title: say("F1 zwischen den Lesungen", "F1 between the readings") },
    el("span", {}, `${say("F1 genau", "F1 strict")} ${figureOf(counts.equal, counts.total)}`),
    el("span", {}, `${say("überlappend", "overlap")} ${figureOf(counts.touching, counts.total)}`));
}

// How a mark stands to what the other readers mark: nothing where all have it.
function beside(reader, label, span) {
  const others = open.item.readers.filter((one) => one !== reader);
  const same = others.filter((one) => spansOf(one, label).some((other) => equal(other, span)));
  if (same.length === others.length) return "";
  if (same.length) return say(`auch ${same.map(({ name }) => name).join(", ")}`, `also ${same.map(({ name }) => name).join(", ")}`);
  if (others.some((one) => spansOf(one, label).some((other) => overlap(other, span)))) return say("andere Grenzen", "other ends");
  for (const { id, name } of schema().labels) {
    const other = id === label ? null : others.find((one) => spansOf(one, id).some((found) => overlap(found, span)));
    if (other) return `${other.name}: ${tell(name)}`;
  }
  return others.length ? say("nur hier", "only here") : "";
}

function readerSpans(reader, label) {
  const spans = spansOf(reader, label);
  if (!spans.length) return el("span", { class: "mr-nothing" }, say("nichts markiert", "nothing marked"));
  const noted = spans.map((span) => ({ span, note: beside(reader, label, span) }));
  const alike = noted.filter(({ note }) => !note).map(({ span }) => span);
  const folded = differs(label) && alike.length > 2 ? alike : []; // what all have alike stands in the text
  return el("ul", {},
    noted.filter(({ span }) => !folded.includes(span)).map(({ span, note }) => el("li", { class: note ? "mr-odd" : null }, quote(span), note ? el("span", { class: "mr-beside" }, note) : null)),
    folded.length ? el("li", { class: "mr-nothing", title: folded.map(quote).join(", ") }, say(`${folded.length} gleiche`, `${folded.length} alike`)) : null);
}

function spanButtons(label) {
  const now = decidedSpans(label.id);
  const offer = (key, name, spans) => el("button", {
    type: "button", class: "mr-value", "data-state": key, "aria-pressed": String(Boolean(now && sameSpans(now, spans))),
    onclick: () => choose(label.id, spans),
  }, el("kbd", {}, key), ` ${name}`);
  return el("div", { class: "mr-values", role: "group", "aria-label": tell(label.name) },
    open.item.readers.map((reader, index) => offer(String(index + 1), say(`wie ${reader.name}`, `as ${reader.name}`), spansOf(reader, label.id))),
    offer("0", say("nichts", "nothing"), []));
}

function decisionChips(label) {
  const now = decidedSpans(label.id);
  if (!now) return el("p", { class: "mr-open-kind" }, say("noch nicht entschieden", "not decided yet"));
  return el("div", { class: "mr-chips" }, now.map((span) => el("button", {
    type: "button", class: "mr-chip", style: { borderBottomColor: label.colour }, "data-span": span.join("-"),
    "aria-label": say(`${quote(span)} entfernen`, `Remove ${quote(span)}`), onclick: () => setSpans(label.id, now.filter((one) => one !== span)),
  }, el("span", {}, quote(span)), el("span", { "aria-hidden": "true" }, "×"))));
}

// ------------------------------------------------------------------------------------------ text

const laneColour = (index) => ["var(--mb-present)", "var(--mb-uncertain)", "var(--mb-absent)", "var(--body-text-color)"][Math.min(index, LANES - 1)];

function spanText() {
  const { item } = open;
  const box = el("div", {
    class: "mb-report mr-text mr-marking", tabindex: 0, lang: "de", role: "textbox", "aria-readonly": "true", "aria-multiline": "true",
    "aria-label": say("Befundtext", "Report text"), onfocus: showCaret, onblur: hideCaret, onpointerdown: press, onpointerup: onPointer,
  });
  const kind = rows()[open.selected]?.id;
  const chosen = kind ? decidedSpans(kind) ?? [] : [];
  const words = caret.on ? caretWords(item) : null;
  const lanes = item.readers.map(({ marks }) => Object.entries(marks).flatMap(([label, spans]) => spans.map((span) => ({ label, span }))));
  const cuts = [0, item.text.length, ...lanes.flat().flatMap(({ span }) => span), ...chosen.flat(), ...(words ?? [])];
  const ends = [...new Set(cuts)].sort((one, other) => one - other);
  box.append(...ends.slice(1).map((end, index) => piece(item, [ends[index], end], { lanes, kind, chosen, words })));
  return box;
}

function piece(item, place, { lanes, kind, chosen, words }) {
  const text = item.text.slice(...place);
  const marked = lanes.map((marks) => marks.filter(({ span }) => overlap(span, place)));
  const decided = chosen.some((span) => overlap(span, place));
  const inCaret = words && overlap(words, place);
  if (!marked.some((marks) => marks.length) && !decided && !inCaret) return document.createTextNode(text);
  const told = marked.map((marks, index) => marks.map(({ label }) => `${item.readers[index].name}: ${tell(schema().labels.find(({ id }) => id === label).name)}`));
  const node = el("mark", { class: ["mr-piece", decided && "mr-decided", inCaret && "mr-caret"].filter(Boolean).join(" "), title: told.flat().join(", ") || null }, text);
  marked.forEach((marks, index) => {
    if (!marks.length) return;
    const strength = marks.some(({ label }) => label === kind) ? "100%" : "30%";
    node.style.setProperty(`--mr-lane-${Math.min(index, LANES - 1)}`, `color-mix(in srgb, ${laneColour(index)} ${strength}, transparent)`);
  });
  return node;
}

function spanLegend() {
  const label = rows()[open.selected];
  const name = label ? tell(label.name) : "";
  const lines = open.item.readers.map((reader, index) => el("span", {}, el("i", { style: { background: laneColour(index) } }), reader.name));
  return el("div", { class: "mr-legend" }, lines,
    label ? el("span", {}, el("i", { class: "mr-tint" }), say(`Entscheidung für ${name}`, `decision for ${name}`)) : null,
    el("p", {}, label ? caretHint(name) : ""));
}

// ------------------------------------------------------------------------------------------ marking anew

const caret = { on: false, anchor: 0, head: 0, tapped: false, pressed: false };

function caretHint(name) {
  if (caret.tapped) return say("Jetzt das letzte Wort antippen.", "Now tap the last word.");
  if (matchMedia("(pointer: coarse)").matches) return say(`Für ${name} neu markieren: erstes Wort antippen, dann das letzte.`, `To mark ${name} anew: tap the first word, then the last.`);
  return say(`Für ${name} neu markieren: Wörter im Text überstreichen, oder den Text anklicken, Wörter mit ← → wählen (mit Umschalt mehrere), Leertaste markiert, Entf entfernt.`,
    `To mark ${name} anew: drag over words in the text, or click into it, choose words with ← → (several with Shift), space marks, Del removes.`);
}

function caretWords(item) {
  const words = wordsOf(item);
  const [first, last] = [caret.anchor, caret.head].sort((one, other) => one - other);
  return words.length ? [words[first][0], words[last][1]] : null;
}

function setSpans(label, spans) {
  open.chosen[label] = inOrder(spans);
  [said, failed] = ["", false];
  paint();
}

// A new mark takes the place of those of its kind that it touches.
function markSpan(span) {
  const label = rows()[open.selected]?.id;
  if (!label || !span) return;
  const kept = (decidedSpans(label) ?? undisputed(label)).filter((one) => !overlap(one, span));
  setSpans(label, [...kept, span]);
}

function unmarkSpan(span) {
  const label = rows()[open.selected]?.id;
  if (label && span) setSpans(label, (decidedSpans(label) ?? undisputed(label)).filter((one) => !overlap(one, span)));
}

function moveCaret(step, extend) {
  caret.on = true;
  caret.head = Math.max(0, Math.min(wordsOf(open.item).length - 1, caret.head + step));
  if (!extend) caret.anchor = caret.head;
  paint();
  root().querySelector(".mr-caret")?.scrollIntoView({ block: "nearest" });
}

function caretAction(event) {
  const actions = {
    ArrowRight: () => moveCaret(1, event.shiftKey), ArrowLeft: () => moveCaret(-1, event.shiftKey),
    " ": () => markSpan(caretWords(open.item)), Delete: () => unmarkSpan(caretWords(open.item)), Backspace: () => unmarkSpan(caretWords(open.item)),
    Escape: () => event.target.blur(),
  };
  return actions[event.key] ?? null;
}

// While the button is down words are being chosen: the text is not drawn anew under the pointer.
function press() {
  caret.pressed = true;
  addEventListener("pointerup", () => { caret.pressed = false; }, { once: true });
}

function showCaret() {
  if (painting || caret.on || matchMedia("(pointer: coarse)").matches) return;
  caret.on = true;
  if (!caret.pressed) paint();
}

function hideCaret() {
  if (painting || !caret.on) return;
  caret.on = false;
  setTimeout(() => open && !caret.pressed && paint()); // after what took the focus has it
}

function onPointer(event) {
  if (event.button > 0) return;
  const box = event.currentTarget;
  const { item } = open;
  const chosen = selectionIn(box);
  if (chosen) {
    getSelection().removeAllRanges();
    return markSpan(wholeWords(item, ...chosen));
  }
  const word = wordUnder(box, item, event);
  if (word === null) return;
  caret.head = word;
  if (!(event.shiftKey || caret.tapped)) caret.anchor = word;
  if (event.pointerType === "touch") {
    caret.on = true;
    caret.tapped = !caret.tapped;
    if (!caret.tapped) return markSpan(caretWords(item));
  }
  paint();
}

const sides = () => (onlySpans() ? SPANS : FINDINGS);
