// In a schema of spans, what the active model suggests: marks that are there already, drawn open (dashed) until someone
// confirms them. Saving confirms all as shown; an own mark takes the place of the open ones that it touches.

const suggestedMarks = (raw) => (raw.suggestion?.spans ?? []).map(([label, start, end, confidence]) =>
  placed(raw.text, { label, start, end, confidence, open: true }));

const isOpen = (item, mark) => Boolean(mark.open) && !item.saved;
const openMarks = (item) => item.marks.filter((mark) => isOpen(item, mark));

const confirmMarks = (chosen) => change((item) => {
  item.marks = item.marks.map((mark) => (chosen.includes(mark) ? { ...mark, open: false } : mark));
});

function confirmAllMarks() {
  const open = openMarks(desk().item);
  if (open.length) confirmMarks(open);
}

function dropAllMarks() {
  const open = openMarks(desk().item);
  if (open.length) change((item) => { item.marks = item.marks.filter((mark) => !open.includes(mark)); });
}

// In the row of its label: how sure the model is, a yes and a no.
const drawOpenMark = (item, mark) => drawOffer(item, mark, () => confirmMarks([mark]), () => removeMark(mark),
  el("span", { class: "ma-quietly" }, percent(mark.confidence)));

// Beneath the report: what is still open, and what saving means. The note keeps its room once all is confirmed.
function drawOpenNote(item) {
  if (!item.suggestion || item.saved) return [];
  const open = openMarks(item).length;
  return [el("div", { class: "ma-proposals ma-open-note", title: item.suggestion.model_version },
    el("span", { class: "ma-quietly" }, openSentence(item, open)),
    ...(open ? [button(say("Alle bestätigen", "Confirm all"), confirmAllMarks, "ma-plain ma-confirm-all", "+"),
      button(say("Alle verwerfen", "Turn down all"), dropAllMarks, "ma-plain ma-drop-all", "−")] : []))];
}

function openSentence(item, open) {
  if (!item.suggestion.spans.length) return say("Das Modell schlägt hier nichts vor.", "The model suggests nothing here.");
  if (!open) return say("Kein Vorschlag ist mehr offen.", "No suggestion is open any more.");
  const counted = open === 1
    ? say("1 Vorschlag des Modells, noch nicht bestätigt.", "1 suggestion of the model, not confirmed yet.")
    : say(`${open} Vorschläge des Modells, noch nicht bestätigt.`, `${open} suggestions of the model, not confirmed yet.`);
  return counted + say(" Speichern bestätigt alle wie gezeigt.", " Saving confirms all as shown.");
}
