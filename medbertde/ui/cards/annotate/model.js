// What the model looks at for the chosen finding, over the same text as the marked words, and how well both agree: for
// this report, and as a table per model version. Asked for, never shown by itself: it would lead the reader.

const model = { on: false, key: "", weighed: null, message: "" };

// Turned on again it asks anew, also after an answer that never came.
function toggleModel() {
  Object.assign(model, { on: !model.on, key: "", weighed: null });
  paint();
}

const weighedState = (item) => item.values[selectedLabel().id];
const spansOf = (item, label) => item.marks.filter((mark) => mark.label === label)
  .map(({ start, end }) => [toPoints(item.text, start), toPoints(item.text, end)]);

// Ask again whenever the finding, its value or its marks have changed since the last answer, which is dropped at once.
async function weigh(item) {
  const label = selectedLabel().id;
  const state = weighedState(item);
  const spans = spansOf(item, label);
  const key = JSON.stringify([item.id, label, state, spans]);
  if (!model.on || onlySpans() || model.key === key) return;
  Object.assign(model, { key, weighed: null, message: state ? say("Wird berechnet …", "Computing …") : "" });
  if (!state) return;
  const answer = await server.weigh_words({ ...request(), report: item.id, label, state, spans });
  if (model.key !== key) return;
  Object.assign(model, answer?.ok ? { weighed: answer, message: "" } : { message: answer?.message ?? noAnswer() });
  if (answer?.ok) {
    const most = Math.max(...answer.words.map(([, , score]) => Math.abs(score)), 1e-9);
    answer.units = answer.words.map(([start, end, score]) => [toUnits(item.text, start), toUnits(item.text, end), score / most]);
  }
  paint();
}

const decimal = (value) => value.toFixed(2).replace(".", settings.language === "de" ? "," : ".");
const figures = ({ f1, iou, auprc, chance }) => [
  `F1 ${decimal(f1)}`, `IoU ${decimal(iou)}`,
  say(`AUPRC ${decimal(auprc)} (Zufall ${decimal(chance)})`, `AUPRC ${decimal(auprc)} (chance ${decimal(chance)})`),
].join(" · ");

function modelSentence(item) {
  if (!model.on) return "";
  if (!weighedState(item)) return say("Zuerst einen Wert wählen: Gezeigt wird, worauf das Modell ihn stützt.",
    "Choose a value first: shown is what the model rests it on.");
  if (!model.weighed) return model.message;
  const { agreement, model_version } = model.weighed;
  if (!agreement) return say(`${model_version}. Für den Vergleich Wörter markieren.`,
    `${model_version}. Mark words to compare.`);
  return `${model_version}: ${figures(agreement)}`;
}

async function computeAgreement() {
  const box = parts.agreementBody;
  parts.agreementButton.disabled = true;
  let answer;
  do {
    answer = await server.span_agreement(request());
    if (!answer?.ok) break;
    const left = answer.missing === 1 ? say("noch 1 Einzelbefund zu rechnen", "1 finding left to compute")
      : say(`noch ${answer.missing} Einzelbefunde zu rechnen`, `${answer.missing} findings left to compute`);
    box.replaceChildren(...drawAgreement(answer), answer.missing ? el("p", { class: "ma-quietly" }, left) : "");
  } while (answer.missing && parts.agreement.open);
  parts.agreementButton.disabled = false;
  if (!answer?.ok) box.replaceChildren(el("p", {}, answer?.message ?? noAnswer()));
}

function drawAgreement({ versions, marked }) {
  if (!marked) return [el("p", {}, say("Noch sind in keinem gespeicherten Befundtext Wörter markiert.",
    "No saved report has marked words yet."))];
  const head = [say("Modellversion", "Model version"), say("Befundtexte", "Reports"), say("Einzelbefunde", "Findings"),
    "Token-F1", "IoU", "AUPRC", say("Zufall", "Chance")];
  const row = (one) => [
    one.active ? say(`${one.version} (aktiv)`, `${one.version} (active)`) : one.version,
    one.reports, one.n, decimal(one.f1), decimal(one.iou), decimal(one.auprc), decimal(one.chance),
  ];
  const cells = (tag, values) => el("tr", {}, values.map((value, index) =>
    el(index || tag === "th" ? tag : "th", { scope: tag === "th" ? "col" : index ? null : "row" }, String(value))));
  return [el("div", { class: "ma-table" }, el("table", {},
    el("thead", {}, cells("th", head)), el("tbody", {}, versions.map((one) => cells("td", row(one))))))];
}
