// What an annotator changes in a report: values, marked words, flag and remark; every step can be undone.
// A mark is {label, start, end} in units of the text; marks of one label that overlap become one. In a schema of spans
// what the model suggests comes as marks that are still open: {…, open: true, confidence}, see suggesting.js.

function prepare(raw) {
  const values = {};
  if (!onlySpans()) {
    for (const { id } of schema().labels) {
      values[id] = raw.saved ? (raw.saved.values[id] ?? null) : (raw.suggestion?.findings[id]?.state ?? null);
    }
  }
  const { proposals = [], ...rest } = raw;
  const marks = raw.saved
    ? raw.saved.rationales.map(([label, start, end]) => placed(raw.text, { label, start, end }))
    : suggestedMarks(raw);
  const item = {
    ...rest, values, marks, touched: new Set(), undo: [], kept: "", activeMs: 0, shownAt: 0, weighed: null,
    comment: raw.saved?.comment ?? "", flagged: raw.saved?.flagged ?? false, saved: Boolean(raw.saved),
    submission: raw.saved?.submission ?? 0, proposals: [], proposed: new Set(),
  };
  takeProposals(item, proposals);
  item.kept = shown(item);
  return item;
}

// What is on the card, in a form that can be compared. What is confirmed without a change counts until the first save.
function shown(item, saved = item.saved) {
  const marks = item.marks.map(({ label, start, end, open }) => [label, start, end, !saved && Boolean(open)].join(" ")).sort();
  return JSON.stringify([item.values, item.comment, item.flagged, marks, saved ? [] : [...item.touched]]);
}

// Whether what is on the card differs from what was saved last, or from what the server sent where nothing was. A save on
// its way counts as saved.
function isDirty(item) {
  const sent = pending.findLast((entry) => entry.item === item && entry.shown);
  return sent ? shown(item, true) !== sent.shown : shown(item) !== item.kept;
}

const placed = (text, span) => ({ ...span, start: toUnits(text, span.start), end: toUnits(text, span.end) });

function change(apply) {
  const { item } = desk();
  if (!item) return;
  const { values, touched, marks, flagged, proposals } = item;
  item.undo.push({ values: { ...values }, touched: new Set(touched), marks: [...marks], flagged, proposals, selected: desk().selected });
  if (item.undo.length > KEPT_UNDO) item.undo.shift();
  apply(item);
  desk().notice = "";
  paint();
}

function setValue(label, state, moveOn) {
  change((item) => {
    item.values[label] = state;
    item.touched.add(label);
    if (state === null) item.marks = item.marks.filter((mark) => mark.label !== label);
    desk().selected = labels().findIndex((one) => one.id === label);
  });
  if (moveOn) select(desk().selected + 1);
}

function addMark(label, start, end) {
  change((item) => {
    const overlapping = item.marks.filter((mark) => mark.start < end && start < mark.end);
    const touching = overlapping.filter((mark) => mark.label === label && !isOpen(item, mark));
    const merged = touching.reduce(
      (one, other) => ({ label, start: Math.min(one.start, other.start), end: Math.max(one.end, other.end) }),
      { label, start, end });
    const stays = (mark) => !touching.includes(mark) && !(isOpen(item, mark) && overlapping.includes(mark));
    item.marks = [...item.marks.filter(stays), merged];
    item.marks.sort((one, other) => one.start - other.start || one.end - other.end);
    desk().selected = labels().findIndex((one) => one.id === label);
  });
}

const removeMark = (mark) => change((item) => { item.marks = item.marks.filter((one) => one !== mark); });
const toggleFlag = () => change((item) => { item.flagged = !item.flagged; });

// The remark has the undo of its text field.
function setComment(comment) {
  const { item } = desk();
  if (!item) return;
  item.comment = comment;
  paint();
}

// The last step of this report; where there is none, the report before comes back with its own steps.
function undo() {
  const { item } = desk();
  const last = item?.undo.pop();
  if (!last) return back();
  const { selected, ...before } = last;
  Object.assign(item, before);
  select(selected);
}

function select(index) {
  desk().selected = Math.max(0, Math.min(labels().length - 1, index));
  paint();
  parts.rows[desk().selected]?.row.scrollIntoView({ block: "nearest" });
}

const selectLabel = (id) => select(labels().findIndex((label) => label.id === id));

// A finding whose words are marked although its value is "not mentioned".
const contradiction = (item) =>
  onlySpans() ? null : labels().find(({ id }) => item.values[id] === null && item.marks.some((mark) => mark.label === id));
