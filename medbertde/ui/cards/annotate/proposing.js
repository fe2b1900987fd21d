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
  const placed = news.map((one) => ({ ...one, start: toUnits(item.text, one.start), end: toUnits(item.text, one.end) }));
  const labelled = new Set(news.map(({ label }) => label)); // a newer proposal of a finding takes the place of the older
  item.proposals = [...item.proposals.filter(({ label }) => !labelled.has(label)), ...placed.filter((one) => !marked(one))];
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
  const { dirty } = desk().item;
  change((item) => { item.proposals = item.proposals.filter(stays); });
  desk().item.dirty = dirty;
  paint();
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

// The proposed spans of the chosen finding, each to be accepted or turned down.
function drawProposals(item, label) {
  const found = proposalsOf(item, label.id);
  if (!found.length) return [];
  const { de, en } = VALUES.find((one) => one.state === found[0].state);
  const quote = (one) => item.text.slice(one.start, one.end).replace(/\s+/g, " ");
  const chip = (one) => {
    const text = quote(one);
    const node = el("span", { class: "ma-proposal" },
      el("button", { type: "button", class: "ma-accept", onclick: () => acceptProposal(one),
        "aria-label": say(`„${text}“ als Markierung übernehmen`, `Accept “${text}” as a mark`) },
      el("span", { class: "ma-chip-text" }, text), el("kbd", {}, "+")),
      el("button", { type: "button", class: "ma-reject", onclick: () => rejectProposal(one),
        "aria-label": say(`Vorschlag „${text}“ verwerfen`, `Turn down the proposal “${text}”`) }, "×"));
    node.style.setProperty("--ma-own", label.colour);
    return node;
  };
  const said = el("span", { class: "ma-quietly" }, say(
    `Vom Modell als Begründung für „${de}“ vorgeschlagen, noch nicht bestätigt:`,
    `Proposed by the model as evidence for “${en}”, not confirmed yet:`));
  return [el("div", { class: "ma-proposals", title: found[0].model_version }, said, found.map(chip))];
}
