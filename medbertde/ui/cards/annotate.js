// The annotation card: one report, its findings, four values each, and a desk of reports leased ahead.
//
// value: what the page tells the card, merged into `settings`: {schemas}, {language}, {schema}, {refresh} (new each time).
// schemas: [{id, title, examples, labels: [{id, key, name, definition, phrasings}]}], texts as {de, en}.
// Every server function takes one object and answers {ok: true, …} or {ok: false, message}; no answer at all arrives as
// undefined. Nothing counts as saved before the server said so: until then a save stays in `pending`, in memory only,
// and is sent again under the same uuid.

const PREFETCH = 3; // reports in hand besides the one on the screen
const KEEP_EVERY_MS = 240_000; // leases are renewed while someone works
const RETRY_MS = 5_000; // after an answer that never came
const IDLE_MS = 30_000; // longest pause that counts as working time
const DOUBLE_CLICK_MS = 300;
const VALUES = [
  { state: "present", key: "1", de: "vorhanden", en: "present" },
  { state: "uncertain", key: "2", de: "unsicher", en: "uncertain" },
  { state: "absent", key: "3", de: "verneint", en: "absent" },
  { state: null, key: "0", de: "nicht erwähnt", en: "not mentioned" },
];
const UNREACHABLE = {
  de: "Der Server antwortet nicht. Ihre Angaben sind noch da und werden gleich noch einmal gesendet.",
  en: "The server does not answer. Your values are still here and will be sent again shortly.",
};

const settings = { language: "de", schema: props.value.schemas[0].id, ...props.value };
const desks = {}; // by schema id: switching the schema loses nothing
let pending = []; // saves without the server's yes: {uuid, schema, item, payload, message, unreachable}
let sending = false;
let everSaved = false;
let recent = null;
let byPointer = true; // how the focus came where it is
let activeAt = performance.now();
let parts = {};

const say = (de, en) => (settings.language === "en" ? en : de);
const tell = (text) => text[settings.language] ?? text.de;
const schema = () => settings.schemas.find((one) => one.id === settings.schema);
const desk = () =>
  (desks[settings.schema] ??= {
    item: null, buffer: [], done: [], skipped: [], selected: 0, progress: null, loading: false, asked: false, error: "",
  });
// Not crypto.randomUUID: that is missing where a hospital serves the page over plain HTTP.
const hex = (byte) => byte.toString(16).padStart(2, "0");
const uuid = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");

// ------------------------------------------------------------------------------------------ reports on the desk

function prepare(raw) {
  const values = {};
  for (const { id } of schema().labels) {
    values[id] = raw.saved ? (raw.saved.values[id] ?? null) : (raw.suggestion?.findings[id].state ?? null);
  }
  return {
    ...raw, values, touched: new Set(), undo: [], dirty: false, activeMs: 0, shownAt: 0,
    comment: raw.saved?.comment ?? "", flagged: raw.saved?.flagged ?? false, saved: Boolean(raw.saved),
  };
}

const inHand = (from = desk()) => [from.item, ...from.buffer].filter(Boolean);
const isDirty = () => Object.values(desks).some((one) => inHand(one).some((item) => item.dirty));
const excluded = () => [
  ...inHand().map((item) => item.id), ...desk().skipped,
  ...pending.filter((entry) => entry.schema === settings.schema).map((entry) => entry.item.id),
];

function receive(work) {
  const mine = desk();
  mine.progress = work.progress;
  const known = new Set(excluded());
  mine.buffer.push(...work.items.filter((raw) => !known.has(raw.id)).map(prepare));
  if (!mine.item && mine.buffer.length) show(mine.buffer.shift());
}

async function fetchReports() {
  const mine = desk();
  if (mine.loading) return;
  mine.loading = true;
  paint();
  const count = PREFETCH + (mine.item ? 0 : 1) - mine.buffer.length;
  const answer = await server.fetch_reports({ ...request(), count: Math.max(0, count), exclude: excluded() });
  mine.loading = false;
  mine.asked = true;
  mine.error = answer?.ok ? "" : (answer?.message ?? say("Der Server antwortet nicht.", "The server does not answer."));
  if (answer?.ok && mine === desk()) receive(answer.work);
  paint();
}

function show(item) {
  desk().item = item;
  desk().selected = 0;
  if (item) item.shownAt = activeAt = performance.now();
  paint();
  if (item && root().getBoundingClientRect().top < 0) root().scrollIntoView({ block: "start" });
}

function advance() {
  show(desk().buffer.shift() ?? null);
  if (!desk().item && !pending.some((entry) => entry.schema === settings.schema && !entry.message)) fetchReports();
}

// ------------------------------------------------------------------------------------------ what the user does

function setValue(label, state, moveOn) {
  const { item } = desk();
  if (!item) return;
  item.undo.push({ label, state: item.values[label], touched: item.touched.has(label), selected: desk().selected });
  item.values[label] = state;
  item.touched.add(label);
  item.dirty = true;
  desk().selected = schema().labels.findIndex((one) => one.id === label);
  if (moveOn) select(desk().selected + 1);
  paint();
}

function undo() {
  const { item } = desk();
  const last = item?.undo.pop();
  if (!last) return;
  item.values[last.label] = last.state;
  if (!last.touched) item.touched.delete(last.label);
  select(last.selected);
}

function select(index) {
  desk().selected = Math.max(0, Math.min(schema().labels.length - 1, index));
  paint();
  parts.rows[desk().selected]?.row.scrollIntoView({ block: "nearest" });
}

function save() {
  const { item } = desk();
  if (!item) return;
  noteActivity();
  desk().done.push(item);
  if (!item.saved || item.dirty) {
    pending = pending.filter((entry) => entry.item !== item || entry.sent); // the newer values of a report win
    pending.push({ uuid: uuid(), schema: settings.schema, item, payload: decision(item), message: "" });
    item.dirty = false;
  }
  advance();
  send();
}

function decision(item) {
  return {
    report: item.id, values: { ...item.values }, comment: item.comment, flagged: item.flagged,
    model_version: item.saved ? null : (item.suggestion?.model_version ?? null), active_ms: Math.round(item.activeMs),
  };
}

async function send() {
  const entry = pending.find((one) => !one.message);
  if (sending || !entry) return paintStatus();
  sending = entry.sent = true;
  paintStatus();
  const here = entry.schema === settings.schema;
  const wanted = here ? Math.max(0, PREFETCH + (desk().item ? 0 : 1) - desk().buffer.length) : 0;
  const answer = await server.save_report({
    ...request(), schema: entry.schema, uuid: entry.uuid, decision: entry.payload, count: wanted, exclude: excluded(),
  });
  sending = entry.sent = false;
  if (answer?.ok) acknowledge(entry, answer);
  else refuse(entry, answer);
  paint();
  send();
}

function acknowledge(entry, answer) {
  pending = pending.filter((one) => one !== entry);
  entry.item.saved = everSaved = true;
  if (entry.schema === settings.schema) receive(answer.work);
  if (parts.recent?.open) fetchRecent();
}

function refuse(entry, answer) {
  entry.message = answer?.message ?? tell(UNREACHABLE);
  entry.unreachable = !answer;
  if (entry.unreachable) setTimeout(() => pending.includes(entry) && retry(), RETRY_MS);
  else if (!desk().item) fetchReports();
}

function retry() {
  for (const entry of pending) entry.message = "";
  send();
}

function openRefused() {
  const entry = pending.find((one) => one.message);
  if (entry.schema === settings.schema) reopen(entry.item);
}

function discardRefused() {
  pending = pending.filter((entry) => !entry.message);
  paint();
}

function skip() {
  const { item, skipped } = desk();
  if (!item) return;
  if (!item.saved) {
    skipped.push(item.id);
    server.skip_report({ ...request(), report: item.id });
  }
  item.dirty = false;
  advance();
  if (desk().buffer.length < PREFETCH) fetchReports();
}

function offerSkipped() {
  desk().skipped = [];
  fetchReports();
}

// Put a report back on the screen; the one there waits in front of the buffer with everything entered so far.
function reopen(item) {
  const mine = desk();
  if (mine.item === item) return;
  mine.done = mine.done.filter((one) => one.id !== item.id);
  mine.buffer = mine.buffer.filter((one) => one.id !== item.id);
  if (mine.item) mine.buffer.unshift(mine.item);
  show(item);
}

async function reopenById(id) {
  const known = [...desk().done, ...inHand()].find((item) => item.id === id);
  if (known) return reopen(known);
  const answer = await server.reopen_report({ ...request(), report: id });
  if (answer?.ok) reopen(prepare(answer.item));
  else complain(answer);
}

async function back() {
  const { item, done } = desk();
  if (done.length) return reopen(done[done.length - 1]);
  const answer = await server.recent_reports(request());
  if (!answer?.ok) return complain(answer);
  const older = answer.reports[answer.reports.findIndex((one) => one.id === item?.id) + 1];
  if (older) reopenById(older.id);
}

async function fetchRecent() {
  const answer = await server.recent_reports(request());
  if (!answer?.ok) return complain(answer);
  recent = answer.reports;
  paintRecent();
}

async function loadExamples() {
  desk().loading = true;
  paint();
  const answer = await server.load_examples(request());
  desk().loading = false;
  if (answer?.ok) fetchReports();
  else complain(answer);
}

function goToImport() {
  const target = document.getElementById("annotate-import");
  target?.scrollIntoView({ block: "center", behavior: "smooth" });
  target?.querySelector("button")?.focus({ preventScroll: true });
}

function complain(answer) {
  desk().error = answer?.message ?? say("Der Server antwortet nicht.", "The server does not answer.");
  paint();
}

async function keepLeases() {
  const ids = inHand().filter((item) => !item.saved).map((item) => item.id);
  if (!ids.length || performance.now() - activeAt > KEEP_EVERY_MS || !isVisible()) return;
  const answer = await server.keep_reports({ ...request(), reports: ids });
  if (answer?.ok) desk().buffer = desk().buffer.filter((item) => !answer.lost.includes(item.id));
}

const request = () => ({ schema: settings.schema, language: settings.language });

function noteActivity() {
  const now = performance.now();
  if (desk().item) desk().item.activeMs += Math.min(now - activeAt, IDLE_MS);
  activeAt = now;
}

// ------------------------------------------------------------------------------------------ keys

const isVisible = () => element.isConnected && root().checkVisibility();

function isTyping(target) {
  if (target.isContentEditable || target.closest("textarea, select")) return true;
  const input = target.closest("input");
  return input !== null && !["radio", "checkbox", "button", "range"].includes(input.type);
}

// Enter and Space belong to a control that was reached with the keyboard, or that lies outside the card.
function isForControl(event) {
  const control = event.target.closest("button, a, summary, input, [role=tab]");
  if (!control || !["Enter", " "].includes(event.key)) return false;
  return !byPointer || !(root().contains(control) || control.matches("[role=tab]"));
}

function onKey(event) {
  if (event.key === "Tab") byPointer = false;
  if (!isVisible() || isTyping(event.target) || document.querySelector("dialog[open]") || isForControl(event)) return;
  if (event.target.closest("input[type=radio]") && event.key.startsWith("Arrow") && !byPointer) return;
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const undoing = (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "z";
  const action = undoing ? undo : plain ? actionOf(event.key) : null;
  if (!action) return;
  event.preventDefault();
  noteActivity();
  if (!event.repeat || event.key.startsWith("Arrow")) action();
}

function actionOf(key) {
  const { labels } = schema();
  const named = {
    Enter: save, ArrowLeft: back, "?": openHelp,
    ArrowUp: () => select(desk().selected - 1), ArrowDown: () => select(desk().selected + 1),
  };
  if (named[key]) return named[key];
  const value = VALUES.find((one) => one.key === key);
  if (value) return () => setValue(labels[desk().selected].id, value.state, true);
  const found = labels.findIndex((label) => label.key === key.toLowerCase());
  return found < 0 ? null : () => select(found);
}

// ------------------------------------------------------------------------------------------ drawing
// `draw` builds everything anew (first time, other schema, other language); `paint` only changes what changed, so that
// the focus stays and nothing jumps.

function draw() {
  parts = { rows: schema().labels.map(drawRow) };
  parts.progress = el("span", { class: "ma-progress" });
  parts.bar = el("span", { class: "ma-bar-fill" });
  parts.status = el("div", { class: "ma-status", role: "status" });
  parts.alert = el("div", { class: "ma-alert", role: "alert" });
  parts.key = el("div", { class: "ma-key" });
  parts.text = el("div", { class: "ma-text", tabindex: "0", lang: "de", "aria-label": say("Befundtext", "Report text") });
  parts.help = el("dialog", { class: "ma-help" });
  parts.empty = el("div", { class: "ma-empty" });
  parts.comment = el("textarea", {
    class: "ma-comment", rows: "2", maxlength: "2000", oninput: () => edit({ comment: parts.comment.value }),
    placeholder: say("Bemerkung zum Befund (freiwillig)", "Remark on the report (optional)"),
    "aria-label": say("Bemerkung", "Remark"), onkeydown: (event) => event.key === "Escape" && parts.comment.blur(),
  });
  parts.flag = el("button", {
    type: "button", class: "ma-flag", onclick: () => edit({ flagged: !desk().item.flagged }),
    title: say("Für eine zweite Meinung vormerken; bleibt aus dem Training",
      "Ask for a second opinion; left out of training"),
  }, say("Zur Klärung", "Needs review"));
  parts.save = el("button", { type: "button", class: "ma-save", onclick: onSaveClick });
  parts.work = el("div", { class: "ma-work" },
    el("section", { class: "ma-report" }, parts.key, parts.text),
    el("section", { class: "ma-findings", "aria-label": say("Befunde", "Findings") },
      el("div", { class: "ma-rows" }, parts.rows.map(({ row }) => row)),
      el("div", { class: "ma-note" }, parts.comment, parts.flag,
        button(say("Überspringen", "Skip"), skip, "ma-plain ma-skip")),
      el("div", { class: "ma-actions" }, button(say("Zurück", "Back"), back, "ma-plain ma-back", "←"), parts.save)));
  parts.recentList = el("ul", { class: "ma-recent-list" });
  parts.recent = el("details", { class: "ma-recent", ontoggle: () => parts.recent.open && fetchRecent() },
    el("summary", {}, say("Zuletzt gespeichert", "Saved last")), parts.recentList);
  parts.head = el("div", { class: "ma-head" },
    el("div", { class: "ma-top" }, parts.progress, el("span", { class: "ma-bar", "aria-hidden": "true" }, parts.bar),
      parts.status, button(say("Tasten", "Keys"), openHelp, "ma-quiet", "?")),
    parts.alert);
  root().replaceChildren(parts.head, parts.work, parts.empty, parts.recent, parts.help);
  paint();
}

const button = (text, onclick, className, key) =>
  el("button", { type: "button", class: className, onclick }, text, key ? el("kbd", {}, key) : null);

function drawRow(label, index) {
  const values = VALUES.map((value) =>
    el("button", {
      type: "button", class: `ma-value ma-${value.state ?? "none"}`, "data-state": value.state ?? "none",
      onclick: () => setValue(label.id, value.state, false),
    }, el("kbd", {}, value.key), el("span", {}, say(value.de, value.en))));
  const hint = el("span", { class: "ma-hint" });
  const name = el("button", {
    type: "button", class: "ma-name", tabindex: "-1", title: tell(label.definition), onclick: () => select(index),
  }, el("kbd", {}, label.key.toUpperCase()), el("span", { class: "ma-label" }, tell(label.name), hint));
  const row = el("div", { class: "ma-row", role: "group", "aria-label": tell(label.name), "data-label": label.id },
    name, el("div", { class: "ma-values" }, values));
  return { label, row, values, hint };
}

function edit(change) {
  const { item } = desk();
  if (!item) return;
  Object.assign(item, change, { dirty: true });
  paint();
}

function onSaveClick(event) {
  const tooSoon = performance.now() - (desk().item?.shownAt ?? 0) < DOUBLE_CLICK_MS;
  if (event.detail <= 1 && !(event.detail === 1 && tooSoon)) save();
}

function paint() {
  const { item } = desk();
  parts.work.hidden = !item;
  parts.empty.hidden = Boolean(item);
  if (item) paintReport(item);
  else parts.empty.replaceChildren(...drawEmpty());
  paintStatus();
}

function paintReport(item) {
  if (parts.text.textContent !== item.text || parts.text.dataset.report !== String(item.id)) {
    parts.text.textContent = item.text;
    parts.text.dataset.report = item.id;
    parts.text.scrollTop = 0;
  }
  parts.key.textContent = item.saved ? `${item.key} · ${say("gespeichert", "saved")}` : item.key;
  if (parts.comment.value !== item.comment) parts.comment.value = item.comment;
  parts.flag.setAttribute("aria-pressed", String(item.flagged));
  const label = item.saved && !item.dirty ? say("Weiter", "Next") : say("Speichern & weiter", "Save & next");
  parts.save.replaceChildren(label, el("kbd", {}, "⏎"));
  parts.rows.forEach((row, index) => paintRow(row, item, index === desk().selected));
}

function paintRow({ label, row, values, hint }, item, selected) {
  const proposed = item.suggestion?.findings[label.id];
  const open = Boolean(proposed) && !item.saved && !item.touched.has(label.id);
  const state = item.values[label.id] ?? "none";
  row.classList.toggle("ma-open", open);
  row.classList.toggle("ma-selected", selected);
  row.setAttribute("aria-current", String(selected));
  hint.textContent = proposed && !item.saved ? hintText(proposed, open, item.values[label.id]) : "";
  for (const one of values) one.setAttribute("aria-pressed", String(one.dataset.state === state));
}

function hintText(proposed, open, value) {
  if (open) return `${say("Vorschlag", "Suggestion")} ${percent(proposed.confidence)}`;
  const { de, en } = VALUES.find((one) => one.state === proposed.state);
  return value === proposed.state ? say("bestätigt", "confirmed") : say(`Vorschlag war: ${de}`, `Suggested: ${en}`);
}

function paintStatus() {
  const { progress, item } = desk();
  if (progress) {
    const { done, total } = progress;
    parts.progress.textContent = total ? say(`${done} von ${total}`, `${done} of ${total}`) : "";
    parts.progress.title = say(`davon ${progress.mine} von Ihnen`, `${progress.mine} of them by you`);
    parts.bar.parentElement.hidden = !total;
    parts.bar.style.width = `${total ? (100 * done) / total : 0}%`;
  }
  parts.status.textContent = statusText(item);
  parts.status.dataset.state = pending.length ? "open" : item?.dirty ? "editing" : "saved";
  const refused = pending.find((entry) => entry.message);
  const error = refused?.message || desk().error;
  parts.alert.hidden = !error;
  if (parts.alert.dataset.said === `${error}${settings.language}` && error) return;
  parts.alert.dataset.said = `${error}${settings.language}`;
  parts.alert.replaceChildren(...(error ? drawAlert(error, refused) : []));
}

function statusText(item) {
  if (pending.length) return say(`${pending.length} offen`, `${pending.length} not saved yet`);
  if (item?.dirty) return say("Änderungen offen", "Changes not saved yet");
  return everSaved ? say("Gespeichert", "Saved") : "";
}

function drawAlert(error, refused) {
  const again = button(say("Erneut versuchen", "Try again"), refused ? retry : fetchReports, "ma-plain");
  const rest = refused && [
    button(say("Befund ansehen", "Show report"), openRefused, "ma-plain"),
    button(say("Verwerfen", "Discard"), discardRefused, "ma-plain"),
  ];
  const sentence = refused ? say("Nicht gespeichert: ", "Not saved: ") + error : error;
  return [el("p", {}, sentence), el("div", { class: "ma-alert-actions" }, again, rest || null)];
}

function drawEmpty() {
  const { loading, asked, progress, skipped, error } = desk();
  const saving = pending.some((entry) => entry.schema === settings.schema && !entry.message);
  if (loading || saving || !asked) return [el("p", {}, say("Befunde werden geladen …", "Loading reports …"))];
  if (error || !progress) return [];
  const { done, total } = progress;
  const fresh = total === 0;
  const title = fresh
    ? say(`Noch keine Befunde für ${tell(schema().title)}`, `No reports for ${tell(schema().title)} yet`)
    : say("Alles erledigt", "All done");
  const held = say(` Die übrigen ${total - done} sind übersprungen oder gerade bei jemand anderem.`,
    ` The other ${total - done} are skipped or with someone else at the moment.`);
  const text = fresh
    ? say("Importieren Sie eine Datei mit Befunden oder beginnen Sie mit unseren erfundenen Beispielen.",
      "Import a file of reports, or start with our fictional examples.")
    : say(`${done} von ${total} Befunden sind annotiert.`, `${done} of ${total} reports are labelled.`) + (done < total ? held : "");
  const again = say(`${skipped.length} übersprungene vorlegen`, `Show ${skipped.length} skipped`);
  const examples = say("Beispielbefunde laden", "Load example reports");
  return [
    el("h3", {}, title), el("p", {}, text),
    el("div", { class: "ma-empty-actions" },
      skipped.length ? button(again, offerSkipped, "ma-primary") : null,
      schema().examples && fresh ? button(examples, loadExamples, "ma-primary") : null,
      button(say("Datei importieren", "Import a file"), goToImport, "ma-plain"),
      fresh ? null : button(say("Letzten Befund ansehen", "Show the last report"), back, "ma-plain")),
  ];
}

function paintRecent() {
  const time = new Intl.DateTimeFormat(settings.language, { dateStyle: "short", timeStyle: "short" });
  const line = (one) => el("li", {},
    el("button", { type: "button", class: "ma-plain", onclick: () => reopenById(one.id) },
      el("span", {}, one.key), el("span", { class: "ma-when" }, time.format(new Date(one.saved_at))),
      one.flagged ? el("span", { class: "ma-flagged" }, say("zur Klärung", "needs review")) : null));
  const none = el("li", {}, say("Noch nichts gespeichert.", "Nothing saved yet."));
  parts.recentList.replaceChildren(...(recent?.length ? recent.map(line) : [none]));
}

function openHelp() {
  const label = schema().labels[desk().selected];
  const keys = [
    ["↑ ↓", say("Befund wählen", "Choose a finding")],
    ["A–Z", say("Befund mit diesem Buchstaben wählen", "Choose the finding with this letter")],
    ...VALUES.map((value) => [value.key, say(value.de, value.en)]),
    ["⏎", say("Alles wie gezeigt bestätigen, speichern, weiter", "Confirm all as shown, save, next")],
    ["←", say("Zurück zum vorigen Befund", "Back to the previous report")],
    [say("Strg Z", "Ctrl Z"), say("Letzte Änderung zurücknehmen", "Undo the last change")],
    ["?", say("Diese Hilfe", "This help")],
  ];
  const define = (one) => [
    el("dt", { class: one === label ? "ma-current" : null }, el("kbd", {}, one.key.toUpperCase()), tell(one.name)),
    el("dd", {}, tell(one.definition), el("span", { class: "ma-phrasings" }, ` ${one.phrasings.join(" · ")}`)),
  ];
  const close = button(say("Schließen", "Close"), () => parts.help.close(), "ma-plain", "Esc");
  parts.help.replaceChildren(
    el("div", { class: "ma-help-head" }, el("h3", {}, say("Tasten", "Keys")), close),
    el("dl", { class: "ma-keys" }, keys.flatMap(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])),
    el("h3", {}, say("Gewählter Befund", "Chosen finding")),
    el("dl", { class: "ma-definitions" }, define(label)),
    el("h3", {}, say("Alle Befunde", "All findings")),
    el("dl", { class: "ma-definitions" }, schema().labels.flatMap(define)));
  parts.help.showModal();
  parts.help.scrollTop = 0;
}

// ------------------------------------------------------------------------------------------ life

function onMessage() {
  const before = { ...settings };
  Object.assign(settings, props.value);
  const redraw = before.language !== settings.language || before.schema !== settings.schema;
  if (redraw) draw();
  if (before.schema !== settings.schema) {
    recent = null;
    if (byPointer) document.activeElement?.blur(); // the keys are for the card again
  }
  if (before.schema !== settings.schema || before.refresh !== settings.refresh) fetchReports();
}

function wake() {
  if (!desk().item && !desk().loading) fetchReports();
}

function start() {
  draw();
  watch("value", onMessage);
  const listeners = new AbortController();
  const listen = (target, name, action, options) =>
    target.addEventListener(name, action, { signal: listeners.signal, ...options });
  listen(document, "keydown", (event) => (element.isConnected ? onKey(event) : listeners.abort()));
  listen(document, "pointerdown", () => { byPointer = true; }, { capture: true });
  listen(element, "pointermove", noteActivity);
  listen(window, "online", retry);
  listen(window, "beforeunload", (event) => (pending.length || isDirty()) && event.preventDefault());
  const keeping = setInterval(() => (element.isConnected ? keepLeases() : clearInterval(keeping)), KEEP_EVERY_MS);
  new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && wake()).observe(root());
}

start();
