// Positions in a report, for the cards in which words are marked (annotate, review). The browser counts UTF-16 units, the server Unicode code points: they differ after characters
// like 🫁, so every span is translated on its way out and in. Inside the card all positions are units.

const WORD = /[\p{L}\p{M}\p{N}_]+(?:[-./'’][\p{L}\p{M}\p{N}_]+)*|[^\p{L}\p{M}\p{N}_\s]\p{M}*/gu;

const wordsOf = (item) =>
  (item.words ??= Array.from(item.text.matchAll(WORD), (found) => [found.index, found.index + found[0].length]));

const toPoints = (text, units) => Array.from(text.slice(0, units)).length;

function toUnits(text, points) {
  let units = 0;
  for (const character of text) {
    if (points-- <= 0) break;
    units += character.length;
  }
  return units;
}

// The span from the first to the last word that it touches; null where it touches none.
function wholeWords(item, start, end) {
  const touched = wordsOf(item).filter(([from, to]) => from < end && start < to);
  return touched.length ? [touched[0][0], touched[touched.length - 1][1]] : null;
}

// The span without outer space, and never half of a character.
function trimmed({ text }, start, end) {
  const low = (at) => /[\uDC00-\uDFFF]/.test(text[at] ?? "") || /^\p{M}/u.test(text.slice(at, at + 2));
  while (start > 0 && low(start)) start -= 1;
  while (end < text.length && low(end)) end += 1;
  while (start < end && /\s/.test(text[start])) start += 1;
  while (start < end && /\s/.test(text[end - 1])) end -= 1;
  return start < end ? [start, end] : null;
}

// The number of the word at a position, or of the nearest one after it (the last one at the end).
function wordAt(item, position) {
  const found = wordsOf(item).findIndex(([, end]) => position < end);
  return found < 0 ? wordsOf(item).length - 1 : found;
}

// ------------------------------------------------------------------------------------------ in the box of a text

// The position of a place in the box, in units.
function unitsAt(box, node, offset) {
  const range = document.createRange();
  range.setStart(box, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}

// What is selected in the box, null when nothing is or when the selection reaches beyond it.
function selectionIn(box) {
  const selection = getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  if (!box.contains(range.startContainer) || !box.contains(range.endContainer)) return null;
  return [unitsAt(box, range.startContainer, range.startOffset), unitsAt(box, range.endContainer, range.endOffset)];
}

// The number of the word under the pointer, null beside the text.
function wordUnder(box, item, event) {
  const caret = document.caretPositionFromPoint?.(event.clientX, event.clientY);
  const range = caret ? null : document.caretRangeFromPoint?.(event.clientX, event.clientY);
  const [node, offset] = caret ? [caret.offsetNode, caret.offset] : [range?.startContainer, range?.startOffset];
  return node && box.contains(node) ? wordAt(item, unitsAt(box, node, offset)) : null;
}
