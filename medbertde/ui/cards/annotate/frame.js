// Drawing. `draw` builds everything anew (first time, other schema, other language); `paint` only changes what changed,
// so that the focus stays and nothing jumps.

const button = (text, onclick, className, key, more = {}) =>
  el("button", { type: "button", class: className, onclick, ...more }, text, key ? el("kbd", {}, key) : null);

function draw() {
  parts = { rows: labels().map(drawRow) };
  parts.empty = el("div", { class: "ma-empty" });
  drawHead();
  drawPanels();
  parts.work = el("div", { class: "ma-work" }, drawReport(), drawFindings());
  root().classList.toggle("ma-spans", onlySpans());
  root().replaceChildren(
    parts.head, parts.work, parts.empty, parts.recent, ...(onlySpans() ? [] : [parts.agreement]), parts.help);
  paint();
}

function drawHead() {
  parts.progress = el("span", { class: "ma-progress" });
  parts.bar = el("span", { class: "ma-bar-fill" });
  parts.status = el("div", { class: "ma-status", role: "status" });
  parts.alert = el("div", { class: "ma-alert", role: "alert" });
  parts.head = el("div", { class: "ma-head" },
    el("div", { class: "ma-top" }, parts.progress, el("span", { class: "ma-bar", "aria-hidden": "true" }, parts.bar),
      parts.status, button(say("Tasten", "Keys"), openHelp, "ma-quiet", "?")),
    parts.alert);
}

function paint() {
  const { item } = desk();
  parts.work.hidden = !item;
  parts.empty.hidden = Boolean(item);
  if (item) paintWork(item);
  else paintEmpty();
  paintStatus();
}

function paintWork(item) {
  weigh(item); // first: what the model said of another finding must not be painted
  paintReport(item);
  paintFindings(item);
  paintSheet();
}

// What is in a box is made anew only when something that it shows has changed: a button that is replaced loses the focus,
// and a click that has begun on it. `shown` is compared by identity, because buttons act on the very marks they show.
const shownIn = new WeakMap();

function refill(box, shown, make) {
  const before = shownIn.get(box);
  if (before?.length === shown.length && shown.every((one, place) => one === before[place])) return;
  shownIn.set(box, shown);
  box.replaceChildren(...make());
}

function paintStatus() {
  const { progress, item } = desk();
  const { done, total, mine } = progress ?? { done: 0, total: 0, mine: 0 };
  parts.progress.textContent = total ? progressText(progress) : "";
  parts.progress.title = say(`davon ${mine} von Ihnen`, `${mine} of them by you`);
  parts.bar.parentElement.hidden = !total;
  parts.bar.style.width = `${total ? (100 * done) / total : 0}%`;
  parts.status.textContent = statusText(item);
  parts.status.dataset.state = pending.length ? "open" : item && isDirty(item) ? "editing" : "saved";
  const entry = refused();
  const error = entry?.message || desk().error || desk().notice;
  parts.alert.hidden = !error;
  const shown = `${error}|${entry?.uuid ?? ""}|${settings.language}`;
  if (parts.alert.dataset.said === shown) return;
  parts.alert.dataset.said = shown;
  parts.alert.classList.toggle("ma-notice", !entry && !desk().error);
  parts.alert.replaceChildren(...(error ? drawAlert(error, entry) : []));
}

// Where several people read a report, what is counted are readings, and the own figure is not the team's.
function progressText({ done, total, mine, several }) {
  return several
    ? say(`${done} von ${total} Lesungen, ${mine} von Ihnen`, `${done} of ${total} readings, ${mine} by you`)
    : say(`${done} von ${total}`, `${done} of ${total}`);
}

function statusText(item) {
  if (pending.length) return say(`${pending.length} offen`, `${pending.length} not saved yet`);
  if (item && isDirty(item)) return say("Änderungen offen", "Changes not saved yet");
  return everSaved ? say("Gespeichert", "Saved") : "";
}

function drawAlert(error, entry) {
  if (!entry && !desk().error) return [el("p", {}, error)];
  const again = button(say("Erneut versuchen", "Try again"), entry ? retry : fetchReports, "ma-plain");
  if (!entry) return [el("p", {}, error), el("div", { class: "ma-alert-actions" }, again)];
  const look = button(say("Befundtext ansehen", "Show report"), openRefused, "ma-plain");
  const drop = button(say("Verwerfen", "Discard"), discardRefused, "ma-plain");
  const choices = {
    gone: [drop],
    elsewhere: [
      button(say("Meine Angaben hier gelten", "Keep what I entered here"), overwriteSaved, "ma-plain"),
      button(say("Das dort Gespeicherte gilt", "Keep what was saved there"), takeSaved, "ma-plain"),
    ],
  };
  const what = entry.call === "skip_report" ? say("Nicht übersprungen: ", "Not skipped: ") : say("Nicht gespeichert: ", "Not saved: ");
  return [el("p", {}, what + error), el("div", { class: "ma-alert-actions" }, choices[entry.kind] ?? [again, look, drop])];
}

function paintEmpty() {
  const { loading, asked, progress, error } = desk();
  refill(parts.empty, [loading || isSaving() || !asked, Boolean(error), progress], drawEmpty);
}

function drawEmpty() {
  const { loading, asked, progress, error } = desk();
  if (loading || isSaving() || !asked) return [el("p", {}, say("Befundtexte werden geladen …", "Loading reports …"))];
  if (error || !progress) return [];
  const { skipped } = progress;
  const fresh = progress.total === 0;
  const title = fresh
    ? say(`Noch keine Befundtexte für ${tell(schema().title)}`, `No reports for ${tell(schema().title)} yet`)
    : say("Alles erledigt", "All done");
  const text = fresh
    ? say("Importieren Sie eine Datei mit Befundtexten oder beginnen Sie mit unseren erfundenen Beispielen.",
      "Import a file of reports, or start with our fictional examples.")
    : closingText(progress);
  const again = say("Übersprungene vorlegen", "Show what was skipped");
  const examples = say("Beispielbefunde laden", "Load example reports");
  return [
    el("h3", {}, title), el("p", {}, text),
    el("div", { class: "ma-empty-actions" },
      skipped ? button(again, offerSkipped, "ma-primary") : null,
      schema().examples && fresh ? button(examples, loadExamples, "ma-primary") : null,
      fresh ? button(say("Datei importieren", "Import a file"), goToImport, "ma-plain") : null,
      fresh ? null : button(say("Letzten Befundtext ansehen", "Show the last report"), back, "ma-plain")),
  ];
}

function closingText({ done, total, mine, several, skipped }) {
  const others = total - done - skipped;
  const all = several
    ? say(`${done} von ${total} Lesungen sind erledigt, ${mine || "keine"} davon von Ihnen.`,
      `${done} of ${total} readings are done, ${mine || "none"} of them by you.`)
    : say(`${done} von ${total} Befundtexten sind annotiert.`, `${done} of ${total} reports are labelled.`);
  const own = skipped === 1 ? say("Einen Befundtext haben Sie übersprungen.", "You have skipped one report.")
    : say(`${skipped} Befundtexte haben Sie übersprungen.`, `You have skipped ${skipped} reports.`);
  const rest = several
    ? say(others === 1 ? "Die übrige Lesung macht jemand anderes." : "Die übrigen Lesungen macht jemand anderes.",
      `Someone else does the other reading${others === 1 ? "" : "s"}.`)
    : others === 1 ? say("Der übrige ist gerade bei jemand anderem.", "The other one is with someone else at the moment.")
      : say(`Die übrigen ${others} sind gerade bei jemand anderem.`, `The other ${others} are with someone else at the moment.`);
  return [all, skipped ? own : "", others > 0 ? rest : ""].filter(Boolean).join(" ");
}

function goToImport() {
  const tabs = Array.from(document.querySelectorAll("#annotate-parts [role=tab]"));
  tabs.find((tab) => ["Dateien", "Files"].includes(tab.textContent.trim()))?.click();
  requestAnimationFrame(() => {
    const target = document.getElementById("annotate-import");
    target?.scrollIntoView({ block: "center" });
    target?.querySelector("button")?.focus({ preventScroll: true });
  });
}
