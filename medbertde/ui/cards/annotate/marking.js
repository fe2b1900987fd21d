// Marking the words that justify a finding. While the mode is on, the arrows move over the words, Shift and an arrow
// choose several, Space marks them for the chosen finding and a letter for the finding with this letter. With the mouse:
// drag over words. By touch: tap the first word, then the last one.

const marking = { on: false, anchor: 0, head: 0, tapped: false, whole: true };

function startMarking(item) {
  Object.assign(marking, { on: Boolean(item) && onlySpans(), anchor: 0, head: 0, tapped: false });
}

function toggleMarking() {
  const { item } = desk();
  if (!item) return;
  const chosen = selectionIn(parts.text);
  marking.on = !marking.on;
  marking.tapped = false;
  if (marking.on && chosen) markSpan(...chosen);
  if (marking.on) parts.text.focus({ preventScroll: true });
  paint();
}

function toggleWhole() {
  marking.whole = !marking.whole;
  paint();
}

// The words between anchor and head as a span, null in a text without words.
function chosenWords(item) {
  const words = wordsOf(item);
  if (!words.length) return null;
  const [first, last] = [marking.anchor, marking.head].sort((one, other) => one - other);
  return [words[first][0], words[last][1]];
}

function moveCaret(head, extend) {
  const last = wordsOf(desk().item).length - 1;
  marking.head = Math.max(0, Math.min(last, head));
  if (!extend) marking.anchor = marking.head;
  paint();
  parts.text.querySelector(".ma-caret")?.scrollIntoView({ block: "nearest" });
}

// The word above or below: on the nearest other line, the one whose middle is closest.
function moveLine(down, extend) {
  const words = wordsOf(desk().item);
  const boxes = words.map(([start, end]) => rangeOf(start, end).getBoundingClientRect());
  const here = boxes[marking.head];
  const away = (box) => (down ? box.top - here.top : here.top - box.top);
  const others = boxes.map((box, index) => ({ box, index })).filter(({ box }) => away(box) > here.height / 2);
  if (!others.length) return;
  const line = Math.min(...others.map(({ box }) => away(box)));
  const middle = (box) => (box.left + box.right) / 2;
  const near = others.filter(({ box }) => away(box) < line + here.height / 2);
  near.sort((one, other) => Math.abs(middle(one.box) - middle(here)) - Math.abs(middle(other.box) - middle(here)));
  moveCaret(near[0].index, extend);
}

function markWords(label = selectedLabel().id) {
  const chosen = chosenWords(desk().item);
  if (!chosen) return;
  addMark(label, ...chosen);
  marking.anchor = marking.head;
  paint();
}

function markSpan(start, end) {
  const { item } = desk();
  const span = marking.whole ? wholeWords(item, start, end) : trimmed(item, start, end);
  if (!span) return;
  marking.head = marking.anchor = wordAt(item, span[1] - 1);
  addMark(selectedLabel().id, ...span);
}

// The marks under the caret: those of the chosen finding, else the topmost of any.
function unmark() {
  const { item } = desk();
  const chosen = chosenWords(item);
  const under = item.marks.filter((mark) => chosen && mark.start < chosen[1] && chosen[0] < mark.end);
  const own = under.find((mark) => mark.label === selectedLabel().id) ?? under[under.length - 1];
  if (own) removeMark(own);
}

function markingAction(event) {
  const { key, shiftKey } = event;
  const moves = {
    ArrowRight: () => moveCaret(marking.head + 1, shiftKey), ArrowLeft: () => moveCaret(marking.head - 1, shiftKey),
    ArrowDown: () => moveLine(true, shiftKey), ArrowUp: () => moveLine(false, shiftKey),
    " ": () => markWords(), Delete: unmark, Backspace: unmark, Escape: toggleMarking,
  };
  if (moves[key]) return moves[key];
  const value = onlySpans() ? null : VALUES.find((one) => one.key === key);
  if (value) return () => setValue(selectedLabel().id, value.state, false);
  const label = labels().find((one) => one.key === key.toLowerCase());
  return label ? () => markWords(label.id) : null;
}

// ------------------------------------------------------------------------------------------ mouse and touch

function rangeOf(start, end) {
  const range = document.createRange();
  const walker = document.createTreeWalker(parts.text, NodeFilter.SHOW_TEXT);
  let passed = 0;
  let open = false;
  while (walker.nextNode()) {
    const { length } = walker.currentNode;
    if (!open && start < passed + length) range.setStart(walker.currentNode, start - passed), (open = true);
    if (open && end <= passed + length) {
      range.setEnd(walker.currentNode, end - passed);
      break;
    }
    passed += length;
  }
  return range;
}

function onTextPointer(event) {
  if (!desk().item || event.button > 0) return;
  if (!marking.on) {
    const mark = event.target.closest("[data-labels]");
    if (mark && !selectionIn(parts.text)) selectLabel(mark.dataset.labels.split(" ")[0]);
    return;
  }
  const chosen = selectionIn(parts.text);
  if (chosen) {
    getSelection().removeAllRanges();
    return markSpan(...chosen);
  }
  const word = wordUnder(parts.text, desk().item, event);
  if (word === null) return;
  if (event.pointerType === "touch") return onTap(word);
  moveCaret(word, event.shiftKey);
}

function onTap(word) {
  moveCaret(word, marking.tapped);
  if (marking.tapped) markWords();
  marking.tapped = !marking.tapped;
  paint();
}
