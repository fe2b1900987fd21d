// What comes up on demand: the explanation of the chosen finding, help, the reasons for skipping, own decisions.

const SKIP_REASONS = [
  { id: "unreadable", de: "Text unvollständig oder unlesbar", en: "Text incomplete or unreadable" },
  { id: "wrong_kind", de: "Passt nicht zu dieser Untersuchung", en: "Does not belong to this kind of examination" },
  { id: "duplicate", de: "Doppelt oder fast gleich", en: "Duplicate or nearly the same" },
  { id: "identifying", de: "Enthält Angaben zur Person", en: "Identifies a person" },
  { id: "not_my_field", de: "Kann ich fachlich nicht beurteilen", en: "Outside my field" },
  { id: "other", de: "Anderer Grund", en: "Other reason" },
];
let guidelines = {}; // by schema id, fetched when first wanted

function drawPanels() {
  parts.help = el("dialog", { class: "ma-help" });
  parts.recentList = el("ul", { class: "ma-recent-list" });
  parts.recent = el("details", { class: "ma-recent", ontoggle: () => parts.recent.open && fetchRecent() },
    el("summary", {}, say("Zuletzt gespeichert", "Saved last")), parts.recentList);
  parts.agreementBody = el("div", {});
  parts.agreementButton = button(say("Berechnen", "Compute"), computeAgreement, "ma-plain");
  parts.agreement = el("details", { class: "ma-recent" },
    el("summary", {}, say("Markierte Wörter und Modell im Vergleich", "Marked words and model compared")),
    el("p", { class: "ma-quietly" }, say(
      "Über alle gespeicherten Befundtexte mit markierten Wörtern: Wie gut treffen die Wörter, auf die das Modell achtet, die "
        + "markierten? Token-F1 und IoU nehmen so viele Wörter des Modells, wie markiert sind; AUPRC wertet alle. Wo ein "
        + "Vorschlag des Modells übernommen wurde, zählt der Einzelbefund nicht mit.",
      "Over all saved reports with marked words: how well do the words that the model looks at meet these? Token F1 and IoU "
        + "take as many of the model's words as are marked; AUPRC rates all of them. A finding for which a proposal of a "
        + "model was accepted does not count.")),
    parts.agreementButton, parts.agreementBody);
}

// ------------------------------------------------------------------------------------------ explanation and guideline

function toggleSheet() {
  if (parts.sheet.contains(document.activeElement)) parts.explain.focus(); // what is hidden would lose the focus
  parts.sheet.hidden = !parts.sheet.hidden;
  parts.explain.setAttribute("aria-expanded", String(!parts.sheet.hidden));
  paint();
}

function paintSheet() {
  if (parts.sheet.hidden) return;
  const label = selectedLabel();
  const guideline = guidelines[settings.schema];
  if (guideline === undefined) fetchGuideline();
  const drawn = `${label.id}|${settings.language}|${guideline?.version}`;
  if (parts.sheet.dataset.drawn === drawn) return;
  parts.sheet.dataset.drawn = drawn;
  parts.sheet.setAttribute("aria-label", tell(label.name));
  const rules = guideline?.sections[label.id];
  parts.sheet.replaceChildren(
    el("div", { class: "ma-help-head" }, el("h3", {}, tell(label.name)),
      button(say("Schließen", "Close"), toggleSheet, "ma-plain", "8")),
    el("p", {}, tell(label.definition)),
    el("p", { class: "ma-phrasings" }, label.phrasings.join(" · ")),
    rules ? el("div", { class: "ma-rules", lang: "de" }, drawMarkdown(rules)) : "",
    guideline ? el("details", { class: "ma-general" },
      el("summary", {}, say("Allgemeine Regeln", "General rules")), el("div", { lang: "de" }, drawMarkdown(guideline.general)),
      el("p", { class: "ma-quietly" }, say(`Leitlinie, Fassung ${guideline.version}`, `Guideline, version ${guideline.version} (in German)`))) : "");
  parts.sheet.scrollTop = 0;
}

async function fetchGuideline() {
  const wanted = settings.schema;
  guidelines[wanted] = null;
  const answer = await server.fetch_guideline(request());
  if (!answer?.ok) delete guidelines[wanted];
  else guidelines[wanted] = answer.guideline;
  if (answer?.ok && answer.guideline) settings.schemas.find((one) => one.id === wanted).guideline = answer.guideline.version;
  paint();
}

// A save tells which version its annotator could read: when the rules change, the next reports bring the new one.
function noteGuideline(version) {
  if (!version || version === schema().guideline) return;
  schema().guideline = version;
  delete guidelines[settings.schema];
  desk().notice = say("Die Leitlinie wurde geändert. Taste 8 zeigt die neue Fassung.",
    "The guideline was changed. Key 8 shows the new version.");
}

// The Markdown that guidelines use: paragraphs, lists, ### headings, **bold** and *italic*. Anything else stays text.
function drawMarkdown(text) {
  return text.split(/\n{2,}/).map((block) => {
    const lines = block.split("\n");
    if (lines[0].startsWith("### ")) return el("h4", {}, inline(block.slice(4)));
    if (!/^[-*] /.test(lines[0])) return el("p", {}, inline(lines.join(" ")));
    const points = block.split(/\n(?=[-*] )/).map((point) => point.slice(2).replace(/\n\s*/g, " "));
    return el("ul", {}, points.map((point) => el("li", {}, inline(point))));
  });
}

const inline = (text) => text.split(/(\*\*[^*]+\*\*|\*[^*]+\*)/).map((piece) => {
  if (piece.startsWith("**") && piece.endsWith("**") && piece.length > 4) return el("strong", {}, piece.slice(2, -2));
  if (piece.startsWith("*") && piece.endsWith("*") && piece.length > 2) return el("em", {}, piece.slice(1, -1));
  return piece;
});

// ------------------------------------------------------------------------------------------ help

function openHelp() {
  const label = selectedLabel();
  const define = (one) => [
    el("dt", { class: one === label ? "ma-current" : null }, el("kbd", {}, one.key.toUpperCase()), tell(one.name)),
    el("dd", {}, tell(one.definition), el("span", { class: "ma-phrasings" }, ` ${one.phrasings.join(" · ")}`)),
  ];
  const list = (keys) =>
    el("dl", { class: "ma-keys" }, keys.flatMap(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)]));
  parts.help.replaceChildren(
    el("div", { class: "ma-help-head" }, el("h3", {}, say("Tasten", "Keys")),
      button(say("Schließen", "Close"), () => parts.help.close(), "ma-plain", "Esc")),
    list(keyList()),
    el("h3", {}, say("Beim Markieren von Wörtern", "While marking words")), list(markingKeyList()),
    el("h3", {}, say("Gewählter Befund", "Chosen finding")),
    el("dl", { class: "ma-definitions" }, define(label)),
    el("h3", {}, say("Alle Befunde", "All findings")),
    el("dl", { class: "ma-definitions" }, labels().flatMap(define)));
  parts.help.showModal();
  parts.help.scrollTop = 0;
}

// ------------------------------------------------------------------------------------------ skipping

function openSkip() {
  if (!desk().item || desk().item.saved) return;
  parts.skipComment = el("textarea", {
    class: "ma-comment", rows: "2", maxlength: "2000", "aria-label": say("Bemerkung", "Remark"),
    placeholder: say("Bemerkung (freiwillig)", "Remark (optional)"),
    onkeydown: (event) => event.key === "Escape" && leaveField(event),
  });
  const reasons = SKIP_REASONS.map((reason, index) => el("li", {},
    button(say(reason.de, reason.en), () => chooseSkip(reason), "ma-plain ma-reason", String(index + 1))));
  parts.skip = el("dialog", { class: "ma-help ma-skip-dialog", onclose: (event) => event.target.remove() },
    el("div", { class: "ma-help-head" }, el("h3", {}, say("Warum überspringen?", "Why skip it?")),
      button(say("Abbrechen", "Cancel"), () => parts.skip.close(), "ma-plain", "Esc")),
    el("ul", { class: "ma-reasons" }, reasons), parts.skipComment,
    el("p", { class: "ma-quietly" }, say("Grund und Bemerkung erscheinen in der Durchsicht.", "Reason and remark appear in the review.")));
  root().append(parts.skip);
  parts.skip.showModal();
}

function chooseSkip(reason) {
  parts.skip.close();
  skip(reason.id, parts.skipComment.value);
}

function onSkipKey(event) {
  if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  const reason = SKIP_REASONS[Number(event.key) - 1];
  if (!reason) return;
  event.preventDefault();
  chooseSkip(reason);
}

// ------------------------------------------------------------------------------------------ own decisions

function paintRecent() {
  const time = new Intl.DateTimeFormat(settings.language, { dateStyle: "short", timeStyle: "short" });
  const line = (one) => el("li", {},
    el("button", { type: "button", class: "ma-plain", onclick: () => reopenById(one.id) },
      el("span", {}, one.key), el("span", { class: "ma-when" }, time.format(new Date(one.saved_at))),
      one.flagged ? el("span", { class: "ma-flagged" }, say("zur Klärung", "needs review")) : null));
  const none = el("li", {}, say("Noch nichts gespeichert.", "Nothing saved yet."));
  parts.recentList.replaceChildren(...(recent?.length ? recent.map(line) : [none]));
}
