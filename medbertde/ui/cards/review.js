// The review card: reports that wait for a curator, what everyone said side by side, and the decision.
//
// value: what the page tells the card, merged into `settings`: {schemas}, {language}, {schema}, {project}, {refresh}.
// Server functions take one object and answer {ok: true, …} or {ok: false, message}. A decision counts once the server
// said so; until then it stays on the screen under the same uuid. `sides()` has what differs between findings and spans.

const alike = (one, other) => JSON.stringify(one) === JSON.stringify(other);
let listing = 0; // answers to an older question are dropped: for the list,
let opening = 0; // and for a report

async function fetchWaiting() {
  const mine = ++listing;
  const answer = await server.waiting_reviews(request());
  if (mine !== listing) return;
  if (answer?.ok && alike(answer.reports, waiting)) return; // nobody's click meets a card that is drawn anew for nothing
  if (answer?.ok) waiting = answer.reports;
  else [said, failed] = [answer?.message ?? unreachable(), true];
  if (open && !waiting?.some((one) => one.id === open.item.id)) open = null;
  paint();
}

async function openReport(id) {
  const mine = ++opening;
  const answer = await server.review_case({ ...request(), report: id });
  if (mine !== opening) return;
  if (!answer?.ok) {
    [said, failed] = [answer?.message ?? unreachable(), true];
    return paint();
  }
  const item = answer.item;
  open = { item, chosen: sides().begin(item), reasons: { ...item.reasons }, all: false, selected: 0, uuid: uuid(), since: performance.now() };
  if (!item.readers.length || !rows().length) open.all = true;
  paint();
  root().querySelector(".mr-row")?.scrollIntoView({ block: "nearest" });
}

// Until the answer comes the list can be clicked and the project changed: what was chosen meanwhile stays on the screen.
async function decide() {
  if (!open || busy) return;
  if (missing().length) {
    const names = missing().map((one) => tell(one.name)).join(", ");
    [said, failed] = [say(`Noch ohne Entscheidung: ${names}.`, `Not decided yet: ${names}.`), true];
    return paint();
  }
  const [mine, before] = [open, opening];
  const place = waiting.findIndex((one) => one.id === mine.item.id);
  busy = true;
  paint();
  const answer = await server.decide_review({
    ...request(), uuid: mine.uuid, report: mine.item.id, ...sides().sent(), reasons: mine.reasons,
    active_ms: Math.round(performance.now() - mine.since),
  });
  busy = false;
  if (!answer?.ok) {
    [said, failed] = [answer?.message ?? unreachable(), true];
    return paint();
  }
  [said, failed] = [say("Gespeichert", "Saved"), false];
  if (waiting) {
    waiting = waiting.filter((one) => one.id !== mine.item.id);
    listing += 1; // a list that was asked for before still has it
  }
  if (open?.item.id === mine.item.id) open = null;
  const next = before === opening ? waiting[place] ?? waiting[0] : null;
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
  const lettered = rows().findIndex((one) => one.key === event.key.toLowerCase());
  const action =
    sides().action(event, rows()[open.selected]?.id)
    ?? (event.key === "ArrowDown" ? () => select(open.selected + 1)
      : event.key === "ArrowUp" ? () => select(open.selected - 1)
      : event.key === "Enter" ? decide
      : lettered >= 0 ? () => select(lettered) : null);
  if (!action) return;
  event.preventDefault();
  if (!event.repeat || event.key.startsWith("Arrow")) action();
}

// ------------------------------------------------------------------------------------------ drawing

function why(one) {
  return [
    one.disputed ? sides().dispute(one.disputed) : null, one.flagged ? say("zur Klärung", "to be clarified") : null,
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

function table() {
  const row = (label, index) => el("tr", { class: `mr-row${index === open.selected ? " mr-selected" : ""}`, "data-label": label.id }, sides().row(label).flat());
  return el("table", { class: `mr-table${onlySpans() ? " mr-of-spans" : ""}` },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, sides().heading()), open.item.readers.map(readerHead), el("th", { scope: "col" }, say("Entscheidung", "Decision")))),
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
    sides().text(), comments(), table(),
    el("div", { class: "mr-actions" },
      el("button", { type: "button", class: "mr-plain mr-all", onclick: toggle }, sides().more()),
      el("button", { type: "button", class: "mr-decide", disabled: busy, onclick: decide }, say("Entscheiden und weiter", "Decide and go on"), el("kbd", {}, "Enter"))));
}

const FOCUSED = ".mr-value, .mr-reason, .mr-open, .mr-all, .mr-decide, .mr-chip, .mr-text";

function paint() {
  if (!root()) return;
  painting = true;
  const focused = document.activeElement?.closest?.(FOCUSED);
  const line = focused && root().contains(focused) ? [focused.className, focused.closest("tr")?.dataset.label, focused.dataset.report, focused.dataset.state] : null;
  const scrolled = [".mr-text", ".mr-list ul"].map((part) => [part, root().querySelector(part)?.scrollTop]);
  const shown = root().querySelector(".mr-case")?.getAttribute("aria-label");
  const status = el("p", { class: `mr-status${failed ? " mr-failed" : ""}`, role: "status" }, said);
  const body = waiting === null ? el("p", { class: "mb-empty" }, say("Wird geladen …", "Loading …"))
    : !waiting.length ? el("p", { class: "mb-empty" }, say("Nichts zu prüfen. Hierher kommen Befundtexte, bei denen sich die Lesungen unterscheiden, die jemand zur Klärung markiert oder mit Grund übersprungen hat.", "Nothing to review. Reports come here when readings differ, when someone flags them or skips them with a reason."))
    : el("div", { class: "mr-sides" }, list(), open ? report() : el("p", { class: "mb-empty" }, say("Links einen Befundtext wählen.", "Choose a report on the left.")));
  root().replaceChildren(status, body);
  if (shown && shown === open?.item.key) for (const [part, top] of scrolled) if (top) root().querySelector(part).scrollTop = top;
  if (line) refocus(...line);
  painting = false;
}

function refocus(classes, label, reportId, choice) {
  const all = [...root().getElementsByClassName(classes)];
  const same = (one) => one.closest("tr")?.dataset.label === label && one.dataset.report === reportId;
  (all.find((one) => same(one) && one.dataset.state === choice) ?? all.find(same) ?? all[0])?.focus({ preventScroll: true });
}

function onMessage() {
  const before = { ...settings };
  Object.assign(settings, props.value);
  const moved = before.schema !== settings.schema || before.project !== settings.project;
  if (moved) {
    [open, waiting, said] = [null, null, ""];
    opening += 1;
  }
  if (moved || before.language !== settings.language) paint();
  if (moved || before.refresh !== settings.refresh) fetchWaiting();
  else if (!alike(before, settings)) paint();
}

const listeners = new AbortController();
document.addEventListener("keydown", (event) => (element.isConnected ? onKey(event) : listeners.abort()), { signal: listeners.signal });
watch("value", onMessage);
paint();
if (settings.schema) fetchWaiting();
