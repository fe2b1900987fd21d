// The keyboard. Keys act on the card wherever the focus is, unless someone types, a dialog is open, or Enter and Space
// belong to a control that was reached with Tab.

const isVisible = () => element.isConnected && root().checkVisibility();

function isTyping(target) {
  if (target.isContentEditable || target.closest("textarea, select")) return true;
  const input = target.closest("input");
  return input !== null && !["radio", "checkbox", "button", "range"].includes(input.type);
}

// Enter and Space belong to a control that was reached with the keyboard, or that lies outside the card and does something
// with them: a chosen radio button, as of the language, does not.
function isForControl(event) {
  const control = event.target.closest("button, a, summary, input, [role=tab]");
  if (!control || !["Enter", " "].includes(event.key)) return false;
  return !byPointer || !(root().contains(control) || control.matches("[role=tab], input[type=radio]"));
}

function onKey(event) {
  if (event.key === "Tab") byPointer = false;
  if (!isVisible() || event.defaultPrevented) return;
  if (parts.skip?.open) return onSkipKey(event);
  if (isTyping(event.target) || document.querySelector("dialog[open]") || isForControl(event)) return;
  if (event.target.closest("input[type=radio], [role=tab]") && event.key.startsWith("Arrow") && !byPointer) return;
  const action = actionFor(event);
  if (!action) return;
  event.preventDefault();
  noteActivity();
  if (!event.repeat || event.key.startsWith("Arrow")) action();
}

function actionFor(event) {
  const control = event.ctrlKey || event.metaKey;
  if (control && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "z") return undo;
  if (control || event.altKey) return null;
  return (desk().item && marking.on && markingAction(event)) || plainAction(event.key);
}

function plainAction(key) {
  const always = {
    Enter: save, ArrowLeft: back, "?": openHelp,
    ArrowUp: () => select(desk().selected - 1), ArrowDown: () => select(desk().selected + 1),
    Escape: parts.sheet.hidden ? null : toggleSheet,
  };
  if (key in always) return always[key];
  if (!desk().item) return null;
  const named = {
    4: toggleFlag, 5: () => parts.comment.focus(), 6: toggleMarking, 7: onlySpans() ? null : toggleModel,
    8: toggleSheet, 9: openSkip, 
    "+": onlySpans() ? confirmAllMarks : acceptProposals, "-": onlySpans() ? dropAllMarks : rejectProposals,
    "/": parts.search.hidden ? null : () => parts.search.focus(),
  };
  if (key in named) return named[key];
  const value = onlySpans() ? null : VALUES.find((one) => one.key === key);
  if (value) return () => setValue(selectedLabel().id, value.state, true);
  const label = labels().find((one) => one.key === key.toLowerCase());
  return label ? () => selectLabel(label.id) : null;
}

function keyList() {
  const values = onlySpans() ? [] : VALUES.map((value) => [value.key, say(value.de, value.en)]);
  return [
    ["↑ ↓", say("Befund wählen", "Choose a finding")],
    ["A–Z", say("Befund mit diesem Buchstaben wählen", "Choose the finding with this letter")],
    ...values,
    ["⏎", say("Alles wie gezeigt bestätigen, speichern, weiter", "Confirm all as shown, save, next")],
    ["←", say("Zurück zum vorigen Befundtext", "Back to the previous report")],
    [say("Strg Z", "Ctrl Z"), say("Letzte Änderung zurücknehmen, auch im vorigen Befundtext",
      "Undo the last change, also in the report before")],
    ["4", say("Zur Klärung vormerken", "Ask for a second opinion")],
    ["5", say("Bemerkung schreiben, Esc beendet", "Write a remark, Esc ends")],
    ["6", say("Wörter markieren an und aus", "Marking words on and off")],
    ...(onlySpans() ? [] : [["7", say("Zeigen, worauf das Modell achtet", "Show what the model looks at")]]),
    ["8", say("Erklärung und Leitlinie zum gewählten Befund", "Explanation and guideline of the chosen finding")],
    ["+  −", onlySpans() ? say("Alle vorgeschlagenen Markierungen bestätigen, verwerfen", "Confirm or turn down all suggested marks")
      : say("Vorgeschlagene Begründung übernehmen, verwerfen", "Accept or turn down a proposed rationale")],
    ["9", say("Befundtext überspringen, mit Grund", "Skip the report, with a reason")],
    ...(parts.search.hidden ? [] : [["/", say("Befund suchen", "Search for a finding")]]),
    ["?", say("Diese Hilfe", "This help")],
  ];
}

const markingKeyList = () => [
  ["← → ↑ ↓", say("Wort wählen", "Choose a word")],
  [say("Umschalt ←→", "Shift ←→"), say("Mehrere Wörter wählen", "Choose several words")],
  [say("Leertaste", "Space"), say("Für den gewählten Befund markieren", "Mark for the chosen finding")],
  ["A–Z", say("Für den Befund mit diesem Buchstaben markieren", "Mark for the finding with this letter")],
  [say("Entf", "Del"), say("Markierung entfernen", "Remove the mark")],
  ["Esc", say("Markieren beenden", "Stop marking")],
];
