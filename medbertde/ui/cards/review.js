// The review card: reports that wait for a curator, what everyone said side by side, and the decision.
//
// value: what the page tells the card, merged into `settings`: {schemas}, {language}, {schema}, {project}, {refresh}.
// Server functions take one object and answer {ok: true, …} or {ok: false, message}. A decision counts once the server
// said so; until then it stays on the screen under the same uuid.

const VALUES = [
  { state: "present", key: "1", de: "vorhanden", en: "present" },
  { state: "uncertain", key: "2", de: "unsicher", en: "uncertain" },
  { state: "absent", key: "3", de: "verneint", en: "absent" },
  { state: null, key: "0", de: "nicht erwähnt", en: "not mentioned" },
];
const SKIPPED = {
  unreadable: { de: "nicht lesbar", en: "not readable" },
  wrong_kind: { de: "falsche Untersuchung", en: "wrong examination" },
  duplicate: { de: "doppelt", en: "duplicate" },
  identifying: { de: "enthält Personendaten", en: "identifies a person" },
  not_my_field: { de: "nicht mein Fachgebiet", en: "not my field" },
  other: { de: "anderer Grund", en: "other reason" },
};
const settings = { language: "de", project: null, ...props.value };
let waiting = null; // the list; null until the server told it
let open = null; // {item, chosen: {label: state}, reasons: {label: text}, all, selected, uuid, since}
let said = ""; // a refusal, or that the last decision is saved
let failed = false;
let busy = false;

const say = (de, en) => (settings.language === "en" ? en : de);
const tell = (text) => text[settings.language] ?? text.de;
const schema = () => settings.schemas.find((one) => one.id === settings.schema) ?? settings.schemas[0];
const hex = (byte) => byte.toString(16).padStart(2, "0");
const uuid = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");
const word = (state) => { const { de, en } = VALUES.find((one) => one.state === (state ?? null)); return say(de, en); };
const request = () => ({ schema: schema().id, language: settings.language, project: settings.project });
const unreachable = () => say("Der Server antwortet nicht. Bitte noch einmal versuchen.", "The server does not answer. Please try again.");

// The findings on the screen: those in dispute, or all that anyone mentions, or every finding of the schema.
function rows() {
  const { item, all } = open;
  const mentioned = ({ id }) => item.readers.some((reader) => reader.values[id]) || id in open.chosen;
  return schema().labels.filter((one) => all || item.differing.includes(one.id) || (!item.differing.length && mentioned(one)));
}

const agreed = (label) => open.item.readers[0]?.values[label] ?? null;
const current = (label) => (label in open.chosen ? open.chosen[label] : open.item.differing.includes(label) ? undefined : agreed(label));
const missing = () => schema().labels.filter(({ id }) => open.item.differing.includes(id) && !(id in open.chosen));

async function fetchWaiting() {
  const answer = await server.waiting_reviews(request());
  if (answer?.ok) waiting = answer.reports;
  else [said, failed] = [answer?.message ?? unreachable(), true];
  if (open && !waiting?.some((one) => one.id === open.item.id)) open = null;
  paint();
}

async function openReport(id) {
  const answer = await server.review_case({ ...request(), report: id });
  if (!answer?.ok) {
    [said, failed] = [answer?.message ?? unreachable(), true];
    return paint();
  }
  const item = answer.item;
  open = {
    item, chosen: { ...item.decided }, reasons: { ...item.reasons }, all: false, selected: 0,
    uuid: uuid(), since: performance.now(),
  };
  if (!item.readers.length) open.all = true;
  paint();
  root().querySelector(".mr-row")?.scrollIntoView({ block: "nearest" });
}

function choose(label, state) {
  open.chosen[label] = state;
  open.selected = Math.min(rows().length - 1, rows().findIndex((one) => one.id === label) + 1);
  [said, failed] = ["", false];
  paint();
}

function select(index) {
  open.selected = Math.max(0, Math.min(rows().length - 1, index));
  paint();
  root().querySelector(".mr-selected")?.scrollIntoView({ block: "nearest" });
}

async function decide() {
  if (!open || busy) return;
  if (missing().length) {
    const names = missing().map((one) => tell(one.name)).join(", ");
    [said, failed] = [say(`Noch ohne Entscheidung: ${names}.`, `Not decided yet: ${names}.`), true];
    return paint();
  }
  busy = true;
  paint();
  const changed = Object.entries(open.chosen).filter(([label]) => open.item.differing.includes(label) || open.chosen[label] !== agreed(label));
  const answer = await server.decide_review({
    ...request(), uuid: open.uuid, report: open.item.id, values: Object.fromEntries(changed), reasons: open.reasons,
    active_ms: Math.round(performance.now() - open.since),
  });
  busy = false;
  if (!answer?.ok) {
    [said, failed] = [answer?.message ?? unreachable(), true];
    return paint();
  }
  const place = waiting.findIndex((one) => one.id === open.item.id);
  waiting = waiting.filter((one) => one.id !== open.item.id);
  [said, failed, open] = [say("Gespeichert", "Saved"), false, null];
  const next = waiting[place] ?? waiting[0];
  if (next) await openReport(next.id);
  else paint();
}

// ------------------------------------------------------------------------------------------ keys

const isVisible = () => element.isConnected && root().checkVisibility();
const isTyping = (target) => target.isContentEditable || target.closest("textarea, select, input:not([type=radio], [type=checkbox])");

function onKey(event) {
  if (!isVisible() || !open || isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("[role=tab], [role=listbox], summary")) return;
  if (["Enter", " "].includes(event.key) && event.target.closest("button")) return; // the button's own
  const value = VALUES.find((one) => one.key === event.key);
  const label = rows()[open.selected]?.id;
  const lettered = rows().findIndex((one) => one.key === event.key.toLowerCase());
  const action =
    value && label ? () => choose(label, value.state)
    : event.key === "ArrowDown" ? () => select(open.selected + 1)
    : event.key === "ArrowUp" ? () => select(open.selected - 1)
    : event.key === "Enter" ? decide
    : lettered >= 0 ? () => select(lettered) : null;
  if (!action) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) action();
}

// ------------------------------------------------------------------------------------------ drawing

function why(one) {
  const disputed = one.disputed === 1 ? say("1 Befund strittig", "1 finding in dispute") : say(`${one.disputed} Befunde strittig`, `${one.disputed} findings in dispute`);
  return [
    one.disputed ? disputed : null, one.flagged ? say("zur Klärung", "to be clarified") : null,
    one.asked ? say("das Modell zweifelt", "the model doubts it") : null,
    one.skip_reason ? say("übersprungen: ", "skipped: ") + tell(SKIPPED[one.skip_reason] ?? SKIPPED.other) : null,
  ].filter(Boolean).join(" · ");
}

function list() {
  return el("nav", { class: "mr-list", "aria-label": say("Zu prüfen", "To review") },
    el("p", { class: "mr-count" }, waiting.length === 1 ? say("1 Befundtext zu prüfen", "1 report to review") : say(`${waiting.length} Befundtexte zu prüfen`, `${waiting.length} reports to review`)),
    el("ul", {}, waiting.map((one) => el("li", {},
      el("button", { type: "button", class: "mr-open", "data-report": one.id, "aria-current": open?.item.id === one.id ? "true" : null, onclick: () => openReport(one.id) },
        el("span", { class: "mr-key" }, one.key), el("span", { class: "mr-why" }, why(one)))))));
}

function readerHead(reader) {
  const seconds = reader.seconds ? `${Math.round(reader.seconds)} s` : say("ohne Zeit", "no time");
  return el("th", { scope: "col" }, reader.name,
    el("span", { class: "mr-time" }, seconds),
    reader.too_fast ? el("span", { class: "mr-mark" }, say("zu schnell", "too fast")) : null,
    reader.flagged ? el("span", { class: "mr-mark" }, say("zur Klärung", "to be clarified")) : null);
}

function valueButton(label, { state, key, de, en }) {
  return el("button", {
    type: "button", class: `mr-value mr-${state ?? "none"}`, "data-state": state ?? "none",
    "aria-pressed": String(current(label.id) === state), onclick: () => choose(label.id, state),
  }, el("kbd", {}, key), ` ${say(de, en)}`);
}

function reason(label) {
  const field = el("input", {
    type: "text", class: "mr-reason", maxlength: 500, value: open.reasons[label.id] ?? "",
    "aria-label": `${say("Begründung", "Reason")}: ${tell(label.name)}`, placeholder: say("Begründung", "Reason"),
  });
  field.addEventListener("input", () => { open.reasons[label.id] = field.value; });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); field.blur(); } });
  return field;
}

function row(label, index) {
  return el("tr", { class: `mr-row${index === open.selected ? " mr-selected" : ""}`, "data-label": label.id },
    el("th", { scope: "row" }, label.key ? el("kbd", {}, label.key.toUpperCase()) : null, ` ${tell(label.name)}`),
    open.item.readers.map((reader) => el("td", { class: `mr-said mr-${reader.values[label.id] ?? "none"}`, "data-column": reader.name }, word(reader.values[label.id]))),
    el("td", { class: "mr-decision" }, el("div", { class: "mr-values", role: "group", "aria-label": tell(label.name) }, VALUES.map((one) => valueButton(label, one))), reason(label)));
}

function table() {
  return el("table", { class: "mr-table" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, say("Befund", "Finding")), open.item.readers.map(readerHead), el("th", { scope: "col" }, say("Entscheidung", "Decision")))),
    el("tbody", {}, rows().map(row)));
}

function comments() {
  const written = open.item.readers.filter((reader) => reader.comment);
  return written.length ? el("ul", { class: "mr-comments" }, written.map((reader) => el("li", {}, el("b", {}, `${reader.name}: `), reader.comment))) : null;
}

function report() {
  const { item } = open;
  const toggle = () => { open.all = !open.all; open.selected = 0; paint(); };
  return el("section", { class: "mr-case", "aria-label": item.key },
    el("p", { class: "mr-head" }, el("b", {}, item.key), ` ${why(waiting.find((one) => one.id === item.id) ?? item)}`),
    el("div", { class: "mb-report mr-text", tabindex: 0 }, item.text),
    comments(), table(),
    el("div", { class: "mr-actions" },
      el("button", { type: "button", class: "mr-plain mr-all", onclick: toggle }, open.all ? say("Weniger Befunde", "Fewer findings") : say("Alle Befunde", "All findings")),
      el("button", { type: "button", class: "mr-decide", disabled: busy, onclick: decide }, say("Entscheiden und weiter", "Decide and go on"), el("kbd", {}, "Enter"))));
}

function paint() {
  if (!root()) return;
  const focused = document.activeElement?.closest?.(".mr-value, .mr-reason, .mr-open, .mr-all, .mr-decide");
  const line = focused && root().contains(focused) ? [focused.className, focused.closest("tr")?.dataset.label, focused.dataset.report] : null;
  const status = el("p", { class: `mr-status${failed ? " mr-failed" : ""}`, role: "status" }, said);
  const body = waiting === null ? el("p", { class: "mb-empty" }, say("Wird geladen …", "Loading …"))
    : !waiting.length ? el("p", { class: "mb-empty" }, say("Nichts zu prüfen. Hierher kommen Befundtexte, bei denen sich die Lesungen unterscheiden, die jemand zur Klärung markiert oder mit Grund übersprungen hat.", "Nothing to review. Reports come here when readings differ, when someone flags them or skips them with a reason."))
    : el("div", { class: "mr-sides" }, list(), open ? report() : el("p", { class: "mb-empty" }, say("Links einen Befundtext wählen.", "Choose a report on the left.")));
  root().replaceChildren(status, body);
  if (line) refocus(...line);
}

function refocus(classes, label, reportId) {
  const all = [...root().getElementsByClassName(classes)];
  (all.find((one) => one.closest("tr")?.dataset.label === label && one.dataset.report === reportId) ?? all[0])?.focus({ preventScroll: true });
}

function onMessage() {
  const before = { ...settings };
  Object.assign(settings, props.value);
  const moved = before.schema !== settings.schema || before.project !== settings.project;
  if (moved) [open, waiting, said] = [null, null, ""];
  if (moved || before.refresh !== settings.refresh) fetchWaiting();
  else paint();
}

const listeners = new AbortController();
document.addEventListener("keydown", (event) => (element.isConnected ? onKey(event) : listeners.abort()), { signal: listeners.signal });
watch("value", onMessage);
paint();
if (settings.schema) fetchWaiting();
