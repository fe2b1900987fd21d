// Nothing counts as saved before the server said so. Until then a save or skip stays in `pending`, in memory only, and
// is sent again under the same uuid: {uuid, schema, desk, item, call, payload: () => object, message, kind,
// unreachable, tries}; a save also has what was `shown`.

const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000]; // after an answer that never came
let sending = false;
const isSaving = () => pending.some((entry) => entry.desk === desk() && !entry.message);

const unreachable = () => say(
  "Der Server antwortet nicht. Ihre Angaben sind noch da und werden von selbst noch einmal gesendet.",
  "The server does not answer. Your values are still here and will be sent again by themselves.");
const signedOutSentence = () => say(
  "Ihre Anmeldung ist abgelaufen. Bitte melden Sie sich in einem zweiten Fenster neu an; Ihre Angaben bleiben hier und "
    + "werden dann gesendet.",
  "You are signed out. Please sign in again in a second window; your values stay here and will be sent then.");

function save() {
  const { item } = desk();
  if (!item) return;
  if (performance.now() - item.shownAt < TOO_SOON_MS) return remark(say(
    "Zweimal kurz hintereinander gespeichert: Das zweite Mal wurde übergangen, dieser Befundtext ist noch offen.",
    "Saved twice in a row: the second time was ignored, this report is still open."));
  const odd = contradiction(item);
  if (odd) {
    selectLabel(odd.id);
    return remark(say(
      `Für ${odd.name.de} sind Wörter markiert, aber kein Wert gewählt. Bitte 1, 2 oder 3 wählen oder die Markierung entfernen.`,
      `Words are marked for ${odd.name.en}, but no value is chosen. Please choose 1, 2 or 3 or remove the mark.`));
  }
  noteActivity();
  finish(item);
  if (!item.saved || isDirty(item)) {
    pending = pending.filter((entry) => entry.item !== item || entry.sent); // the newer values of a report win
    pending.push({
      uuid: uuid(), schema: settings.schema, desk: desk(), item, message: "", call: "save_report",
      payload: frozenDecision(item), shown: shown(item, true),
    });
  }
  advance();
  send();
}

// What is on the screen now; only the number of the save it builds on is looked up when it is sent.
function frozenDecision(item) {
  const decision = {
    report: item.id, values: { ...item.values }, comment: item.comment, flagged: item.flagged,
    model_version: item.saved ? null : (item.suggestion?.model_version ?? null), active_ms: Math.round(item.activeMs),
    schema_version: schema().version, guideline_version: schema().guideline,
    rationales: item.marks.map(({ label, start, end }) => [label, toPoints(item.text, start), toPoints(item.text, end)]),
  };
  return () => ({ decision: { ...decision, seen: item.submission } });
}

async function send() {
  const entry = pending.find((one) => !one.message);
  if (sending || !entry) return paintStatus();
  sending = entry.sent = true;
  paintStatus();
  const wanted = entry.desk === desk() ? wantedNow() : 0;
  const answer = await server[entry.call]({
    ...wish(wanted), schema: entry.schema, uuid: entry.uuid, ...entry.payload(),
  });
  sending = entry.sent = false;
  if (answer?.ok) acknowledge(entry, answer);
  else await refuse(entry, answer);
  paint();
  send();
}

function acknowledge(entry, answer) {
  pending = pending.filter((one) => one !== entry);
  for (const other of pending) if (other.unreachable) other.message = ""; // the server is back: send the others too
  if (entry.call === "save_report") {
    entry.item.saved = everSaved = true;
    entry.item.kept = entry.shown;
    entry.item.submission = answer.submission;
  }
  if (entry.desk === desk()) {
    if (answer.work) receive(answer.work);
    else if (desk().buffer.length < PREFETCH) fetchReports();
  }
  if (parts.recent?.open) fetchRecent();
}

async function refuse(entry, answer) {
  entry.unreachable = !answer;
  entry.kind = answer?.kind ?? "retry";
  if (entry.unreachable) {
    entry.message = (await isSignedOut()) ? signedOutSentence() : unreachable();
    entry.tries = (entry.tries ?? 0) + 1;
    const pause = RETRY_MS[Math.min(entry.tries, RETRY_MS.length) - 1];
    setTimeout(() => pending.includes(entry) && entry.unreachable && retry(), pause);
    return;
  }
  entry.message = answer.message;
  if (entry.kind === "schema") return adoptSchemas(entry, answer);
  if (!desk().item) fetchReports();
}

async function isSignedOut() {
  try {
    const probe = await fetch(`${window.gradio_config?.root ?? ""}/gradio_api/queue/status`, { cache: "no-store" });
    return probe.status === 401;
  } catch {
    return false;
  }
}

function retry() {
  for (const entry of pending) entry.message = "";
  send();
}

// The schema changed under the page: take the new one, and put the report back with the values that still exist, on its own
// desk where another schema is on the screen.
function adoptSchemas(entry, answer) {
  pending = pending.filter((one) => one !== entry);
  settings.schemas = answer.schemas;
  guidelines = {};
  const { kind, labels: present } = settings.schemas.find((one) => one.id === entry.schema);
  const known = new Set(present.map((label) => label.id));
  for (const item of [...desksOf(entry.schema).flatMap((one) => [...inHand(one), ...one.done]), entry.item]) {
    const dirty = isDirty(item);
    item.values = kind === "spans" ? {} : Object.fromEntries(Array.from(known, (id) => [id, item.values[id] ?? null]));
    item.marks = item.marks.filter((mark) => known.has(mark.label));
    item.undo = [];
    item.kept = dirty ? "" : shown(item);
  }
  draw();
  const target = entry.schema === settings.schema ? desk() : entry.desk;
  reopen(entry.item, target);
  entry.item.kept = ""; // differs from all that can be on the card
  target.notice = answer.message;
  remark(answer.message);
}

const refused = () => pending.find((entry) => entry.message);

function discardRefused() {
  pending = pending.filter((entry) => entry !== refused());
  if (!desk().item) fetchReports();
  paint();
}

function openRefused() {
  const entry = refused();
  if (entry.schema === settings.schema) reopen(entry.item);
  else openIn(entry.schema, entry.item.id);
}

// The same person saved the report in another tab: these values on top of it, as a further revision …
async function overwriteSaved() {
  const entry = refused();
  const answer = await server.reopen_report({ ...request(), schema: entry.schema, report: entry.item.id });
  if (!answer?.ok) return complain(answer);
  entry.item.submission = answer.item.saved.submission;
  Object.assign(entry, { message: "", uuid: uuid() });
  send();
}

// … or what was saved there.
async function takeSaved() {
  const entry = refused();
  pending = pending.filter((one) => one !== entry);
  entry.desk.done = entry.desk.done.filter((one) => one.id !== entry.item.id);
  paint();
  await openIn(entry.schema, entry.item.id);
}

function remark(sentence) {
  desk().notice = sentence;
  paint();
}
