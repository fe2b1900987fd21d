// The overview: a search with filters, its hits, one report to look at, and the labels in figures. Text is only ever set
// as text; a hit comes as pieces [text, is it a hit].
//
// value: as for the annotation card: {schemas}, {language}, {schema}; {first} is the schema of a card that is just opened.

const settings = { language: "de", schema: props.value.first ?? props.value.schemas[0].id, ...props.value };
const say = (de, en) => (settings.language === "en" ? en : de);
const schema = () => settings.schemas.find(({ id }) => id === settings.schema);
const labelName = (id) => schema().labels.find((label) => label.id === id)?.name[settings.language] ?? id;
const STATE_WORDS = {
  present: ["vorhanden", "present"], uncertain: ["unsicher", "uncertain"], absent: ["verneint", "absent"],
  not_mentioned: ["nicht erwähnt", "not mentioned"],
};
const stateWord = (state) => say(...STATE_WORDS[state ?? "not_mentioned"]);
const asked = { query: "", status: "", label: "", value: "", annotator: "" };
const request = (more = {}) => ({ language: settings.language, schema: settings.schema, ...asked, ...more });
let people = { annotators: [], own: "", sees_all: false };
let found = null; // {hits, after, count, many, question}
let looked = null;
let figures = null;
const asking = { find: 0, look: 0, wake: 0 }; // answers to an older question of the same kind are dropped
let parts = {};

const choice = (name, label, options) => {
  const select = el("select", { name, onchange: (event) => { asked[name] = event.target.value; find(); } },
    options.map(([value, text]) => el("option", { value, selected: value === asked[name] }, text)));
  return el("label", { class: "mo-field" }, el("span", {}, label), select);
};

function drawForm() {
  const any = [["", say("alle", "any")]];
  const stati = [["open", say("noch nicht annotiert", "not labelled yet")], ["annotated", say("annotiert", "labelled")],
    ["flagged", say("zur Klärung", "to be clarified")], ["doubtful", say("Modell ist unsicher", "model is in doubt")]];
  if (people.sees_all) stati.push(["disputed", say("Annotierende uneins", "annotators disagree")]);
  const values = ["present", "uncertain", "absent", ...(asked.label ? ["not_mentioned"] : [])].map((state) => [state, stateWord(state)]);
  const field = el("input", { type: "search", name: "query", value: asked.query, maxlength: 200, autocomplete: "off",
    placeholder: say("Wörter oder „ganze Wendung“", "words or “a whole phrase”") });
  field.addEventListener("input", () => { asked.query = field.value; });
  return el("form", { class: "mo-form", role: "search", onsubmit: (event) => { event.preventDefault(); find(); } },
    el("label", { class: "mo-field mo-query" }, el("span", {}, say("Im Text suchen", "Search the text")), field),
    choice("status", say("Bearbeitung", "Work"), [...any, ...stati]),
    choice("label", say("Befund", "Finding"), [...any, ...schema().labels.map((one) => [one.id, one.name[settings.language]])]),
    choice("value", say("Wert", "Value"), [...any, ...values]),
    choice("annotator", say("Annotiert von", "Labelled by"), [...any, ...people.annotators.map((name) => [name, name])]),
    el("button", { type: "submit", class: "mo-button mo-primary" }, say("Suchen", "Search")));
}

const marked = (pieces) => pieces.map(([text, hit]) => (hit ? el("mark", {}, text) : text));

function drawHit(hit) {
  const by = hit.annotators.length ? hit.annotators.join(", ") : "";
  return el("li", {}, el("button", { type: "button", class: "mo-hit", "aria-pressed": String(looked?.id === hit.id), onclick: () => look(hit.id) },
    el("span", { class: "mo-key" }, hit.key, by ? el("span", {}, by) : null),
    el("span", { class: "mo-excerpt" }, marked(hit.pieces))));
}

function drawHits() {
  if (!found) return [el("p", { class: "mb-hint" }, say("Die Befunde erscheinen hier.", "The reports appear here."))];
  const count = found.many ? say(`mehr als ${found.count} Befunde`, `more than ${found.count} reports`)
    : found.count === 1 ? say("1 Befund", "1 report") : say(`${found.count} Befunde`, `${found.count} reports`);
  return [el("p", { class: "mb-hint", role: "status" }, found.count ? count
      : say("Kein Befund passt. Bitte weniger oder andere Wörter suchen.", "No report fits. Please search for fewer or other words.")),
    el("ul", { class: "mb-list" }, found.hits.map(drawHit)),
    found.after ? el("button", { type: "button", class: "mo-button", onclick: more }, say("Weitere Befunde", "More reports")) : null];
}

function drawLooked() {
  if (!looked) return [el("p", { class: "mb-hint" }, say("Ein Klick auf einen Befund zeigt ihn hier.", "A click on a report shows it here."))];
  const when = (at) => new Date(at).toLocaleString(settings.language, { dateStyle: "short", timeStyle: "short" });
  const valueRows = looked.values.flatMap(({ annotator, values }) =>
    Object.entries(values).map(([label, state]) => [labelName(label), stateWord(state), annotator]));
  const changes = looked.history.map(({ at, annotator, label, old, new: now }) =>
    [when(at), labelName(label), `${stateWord(old)} → ${stateWord(now)}`, annotator]);
  const said = looked.values.length
    ? table([say("Befund", "Finding"), say("Wert", "Value"), say("von", "by")], valueRows)
    : el("p", { class: "mb-hint" }, people.sees_all ? say("Noch nicht annotiert.", "Not labelled yet.") : say("Von Ihnen noch nicht annotiert.", "Not labelled by you yet."));
  return [el("h3", { tabindex: "-1" }, looked.key), el("div", { class: "mb-report mo-report" }, marked(looked.pieces)), said,
    changes.length ? el("details", {}, el("summary", {}, say(`Verlauf (${changes.length})`, `History (${changes.length})`)),
      table([say("Zeit", "Time"), say("Befund", "Finding"), say("Änderung", "Change"), say("von", "by")], changes)) : null,
    looked.own ? el("button", { type: "button", class: "mo-button", onclick: openToLabel }, say("Zum Annotieren öffnen", "Open for labelling")) : null];
}

function table(columns, rows) {
  return el("div", { class: "mb-table mo-scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map(([first, ...others]) => el("tr", {}, el("th", { scope: "row" }, first), others.map((text) => el("td", {}, String(text))))))));
}

// ------------------------------------------------------------------------------------------------ figures

// Bars drawn from numbers, each with its number beside it; the table below says the same.
function bars(rows, most) {
  return el("div", { class: "mo-bars", "aria-hidden": "true" }, rows.map(({ name, shares, total }) => el("div", { class: "mo-bar" },
    el("span", { class: "mo-name" }, name),
    el("span", { class: "mo-track" }, shares.map(([kind, count]) => count
      ? el("span", { class: `mo-part mo-${kind}`, style: { width: `${(100 * count) / most}%` } }) : null)),
    el("span", { class: "mb-number" }, total))));
}

const legend = () => el("p", { class: "mb-legend" }, ["present", "uncertain", "absent"].flatMap((state) =>
  [el("span", { class: `mb-dot mb-${state}` }), stateWord(state)]));

function drawFigures() {
  if (!figures) return [];
  if (!figures.annotated) return [el("p", { class: "mb-hint" }, say("Sobald Befunde annotiert sind, stehen hier Zahlen.", "Figures appear here once reports are labelled."))];
  return [figureOfValues(), figureOfPairs(), figureOfDays()];
}

function figureOfValues() {
  const sum = (counts) => counts.present + counts.uncertain + counts.absent;
  const rows = figures.values.map(({ label, counts }) =>
    ({ name: labelName(label), shares: Object.entries(counts), total: `${sum(counts)}` }));
  const columns = [say("Befund", "Finding"), stateWord("present"), stateWord("uncertain"), stateWord("absent"), stateWord("not_mentioned")];
  const numbers = figures.values.map(({ label, counts }) =>
    [labelName(label), counts.present, counts.uncertain, counts.absent, figures.annotated - sum(counts)]);
  const title = say(`Werte in ${figures.annotated} annotierten Befunden`, `Values in ${figures.annotated} labelled reports`);
  return figure(title, [legend(), bars(rows, figures.annotated)], table(columns, numbers));
}

function figureOfPairs() {
  const rows = figures.together.map(({ labels, count }) =>
    ({ name: labels.map(labelName).join(" + "), shares: [["present", count]], total: `${count}` }));
  const most = Math.max(1, ...figures.together.map(({ count }) => count));
  const title = say("Häufig gemeinsam vorhanden", "Often present together");
  if (!rows.length) return figure(title, [el("p", { class: "mb-hint" }, say("Noch keine zwei Befunde gemeinsam.", "No two findings together yet."))]);
  const numbers = figures.together.map(({ labels, count }) => [...labels.map(labelName), count]);
  return figure(title, [bars(rows, most)], table([say("Befund", "Finding"), say("mit", "with"), say("Befunde", "Reports")], numbers));
}

function figureOfDays() {
  const day = (at) => new Date(`${at}T12:00:00Z`).toLocaleDateString(settings.language, { day: "2-digit", month: "2-digit", timeZone: "UTC" });
  const total = ({ people: those }) => those.reduce((sum, one) => sum + one.reports, 0);
  const rows = figures.days.map((one) => ({ name: day(one.day), shares: [["present", total(one)]], total: `${total(one)}` }));
  const most = Math.max(1, ...figures.days.map(total));
  const numbers = figures.days.flatMap((one) => one.people.map((who) =>
    [day(one.day), who.annotator, who.reports, who.minutes, who.minutes ? Math.round((60 * who.reports) / who.minutes) : "–"]));
  const title = say("Annotiert pro Tag", "Labelled per day");
  if (!rows.length) return figure(title, [el("p", { class: "mb-hint" }, say("Noch nichts von Hand annotiert.", "Nothing labelled by hand yet."))]);
  const columns = [say("Tag", "Day"), say("Wer", "Who"), say("Befunde", "Reports"), say("Minuten", "Minutes"), say("pro Stunde", "per hour")];
  return figure(title, [bars(rows, most)], table(columns, numbers));
}

const figure = (title, drawn, numbers = null) => el("figure", { class: "mo-figure" }, el("figcaption", {}, title), drawn,
  numbers ? el("details", {}, el("summary", {}, say("Zahlen als Tabelle", "Numbers as a table")), numbers) : null);

// ------------------------------------------------------------------------------------------------ life

const fill = (part, children) => part.replaceChildren(...children.filter(Boolean));

function draw() {
  parts = { alert: el("div", { class: "mo-alert", role: "alert" }), form: el("div"), hits: el("div", { class: "mo-hits" }),
    looked: el("div", { class: "mo-looked" }), figures: el("div", { class: "mo-figures" }) };
  root().replaceChildren(parts.form, parts.alert, el("div", { class: "mo-sides" }, parts.hits, parts.looked), parts.figures);
  paint();
}

// Whoever is in the form stays there, and goes on typing where the caret was.
function paintForm() {
  const { name, selectionStart, selectionEnd } = parts.form.contains(document.activeElement) ? document.activeElement : {};
  fill(parts.form, [drawForm()]);
  const field = name ? parts.form.querySelector(`[name="${name}"]`) : null;
  field?.focus({ preventScroll: true });
  if (name === "query") field.setSelectionRange(selectionStart, selectionEnd);
}

function paint() {
  paintForm();
  fill(parts.hits, drawHits());
  fill(parts.looked, drawLooked());
  fill(parts.figures, drawFigures());
}

function complain(answer) {
  const message = answer?.message ?? say("Der Server antwortet nicht. Bitte noch einmal versuchen.", "The server does not answer. Please try again.");
  fill(parts.alert, [el("p", {}, message)]);
}

async function find() {
  if (!asked.label && asked.value === "not_mentioned") asked.value = "";
  const mine = ++asking.find;
  const question = { ...asked };
  const answer = await server.find_reports(request());
  if (mine !== asking.find) return;
  fill(parts.alert, []);
  if (!answer?.ok) return complain(answer);
  [found, looked] = [{ ...answer, question }, null];
  asking.look += 1;
  paint();
}

// The next hits of the search that is shown, whatever stands in the form by now.
async function more() {
  const shown = found;
  const answer = await server.find_reports(request({ ...shown.question, after: shown.after }));
  if (shown !== found) return;
  if (!answer?.ok) return complain(answer);
  const first = found.hits.length;
  found = { ...found, hits: [...found.hits, ...answer.hits], after: answer.after };
  fill(parts.hits, drawHits());
  parts.hits.querySelectorAll(".mo-hit")[first]?.focus();
}

async function look(id) {
  const mine = ++asking.look;
  const answer = await server.look_at_report(request({ report: id }));
  if (mine !== asking.look) return;
  if (!answer?.ok) return complain(answer);
  looked = answer.looked;
  for (const [index, hit] of found.hits.entries()) parts.hits.querySelectorAll(".mo-hit")[index].setAttribute("aria-pressed", String(hit.id === id));
  fill(parts.looked, drawLooked());
  if (parts.looked.getBoundingClientRect().top > window.innerHeight - 120) parts.looked.scrollIntoView({ block: "start" });
}

function openToLabel() {
  document.querySelector("#annotate-parts [role=tab]").click();
  document.dispatchEvent(new CustomEvent("medbertde-open", { detail: { report: looked.id } }));
}

async function wake() {
  const mine = ++asking.wake;
  const [who, counted] = await Promise.all([server.list_annotators(request()), server.count_labels(request())]);
  if (mine !== asking.wake) return;
  const others = who?.ok && JSON.stringify(who) !== JSON.stringify(people);
  if (others) people = who;
  if (counted?.ok) ({ figures } = counted);
  if (!who?.ok || !counted?.ok) complain(who?.ok ? counted : who);
  if (others) paintForm();
  fill(parts.figures, drawFigures());
  if (!found) find();
}

function onMessage() {
  const before = { ...settings };
  Object.assign(settings, props.value);
  if (before.schema !== settings.schema) {
    Object.assign(asked, { label: "", value: "" });
    [found, looked, figures] = [null, null, null];
    for (const kind of Object.keys(asking)) asking[kind] += 1;
    if (isSeen) wake();
  }
  if (before.schema !== settings.schema || before.language !== settings.language) draw();
}

let isSeen = false;
draw();
watch("value", onMessage);
new IntersectionObserver((entries) => {
  const seen = entries.some((entry) => entry.isIntersecting);
  if (seen && !isSeen) wake();
  isSeen = seen;
}).observe(root());
