// Spans that an explanation proposes as evidence (sent from the tab "Klassifikation"). They are shown apart from the marks
// and never saved: only what the annotator accepts becomes a mark. A proposal is {label, state, start, end} in units.

const proposalsOf = (item, label) => item.proposals.filter((one) => one.label === label);

// Take in what the server proposes; what was there before, also if it was turned down, does not come again.
function takeProposals(item, found) {
  const key = (one) => `${one.label} ${one.start} ${one.end} ${one.model_version}`;
  const news = found.filter((one) => !item.proposed.has(key(one)));
  if (!news.length) return false;
  news.forEach((one) => item.proposed.add(key(one)));
  const marked = ({ label, start, end }) =>
    item.marks.some((mark) => mark.label === label && mark.start <= start && end <= mark.end);
  const fresh = news.map((one) => placed(item.text, one));
  const labelled = new Set(news.map(({ label }) => label)); // a newer proposal of a finding takes the place of the older
  item.proposals = [...item.proposals.filter(({ label }) => !labelled.has(label)), ...fresh.filter((one) => !marked(one))];
  return true;
}

function acceptProposal(one) {
  addMark(one.label, one.start, one.end);
  const { item } = desk();
  item.proposals = item.proposals.filter((other) => other !== one);
  paint();
}

// Turning one down is no change of the labels: nothing has to be saved for it, but it can be undone.
function keepProposals(stays) {
  change((item) => { item.proposals = item.proposals.filter(stays); });
}

const rejectProposal = (one) => keepProposals((other) => other !== one);

function acceptProposals() {
  const { item } = desk();
  proposalsOf(item, selectedLabel().id).forEach(acceptProposal);
}

function rejectProposals() {
  const { id } = selectedLabel();
  if (proposalsOf(desk().item, id).length) keepProposals(({ label }) => label !== id);
}

// Reports in hand may have got proposals while another tab was in front.
async function fetchProposals() {
  const waiting = inHand().filter((item) => !item.bare);
  if (!waiting.length || onlySpans()) return;
  const answer = await server.fetch_proposals({ ...request(), reports: waiting.map((item) => item.id) });
  if (!answer?.ok) return;
  const changed = waiting.filter((item) => takeProposals(item, answer.proposals[item.id] ?? []));
  if (changed.length) paint();
}

// A span that waits for a yes or no: its words with `more` behind them, and a cross.
function drawOffer(item, span, accept, reject, more) {
  const text = quoteOf(item, span);
  const node = el("span", { class: "ma-proposal" },
    el("button", { type: "button", class: "ma-accept", onclick: accept,
      "aria-label": say(`„${text}“ als Markierung übernehmen`, `Accept “${text}” as a mark`) },
    el("span", { class: "ma-chip-text" }, text), more),
    el("button", { type: "button", class: "ma-reject", onclick: reject,
      "aria-label": say(`Vorschlag „${text}“ verwerfen`, `Turn down the proposal “${text}”`) }, "×"));
  node.style.setProperty("--ma-own", colourOf(span.label));
  return node;
}

const quoteOf = (item, { start, end }) => item.text.slice(start, end).replace(/\s+/g, " ");
const colourOf = (label) => schema().labels.find(({ id }) => id === label).colour;

// The proposed spans of the chosen finding, each to be accepted or turned down.
function drawProposals(item, label) {
  const found = proposalsOf(item, label.id);
  if (!found.length) return [];
  const { de, en } = VALUES.find((one) => one.state === found[0].state);
  const chip = (one) => drawOffer(item, one, () => acceptProposal(one), () => rejectProposal(one), el("kbd", {}, "+"));
  const said = el("span", { class: "ma-quietly" }, say(
    `Vom Modell als Begründung für „${de}“ vorgeschlagen, noch nicht bestätigt:`,
    `Proposed by the model as evidence for “${en}”, not confirmed yet:`));
  return [el("div", { class: "ma-proposals", title: found[0].model_version }, said, found.map(chip))];
}
