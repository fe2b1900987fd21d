// The reports on the desk: fetching them ahead under a lease, going on, going back, putting one aside.

const inHand = (from = desk()) => [from.item, ...from.buffer].filter(Boolean);
const anyDirty = () => Object.values(desks).some((one) => inHand(one).some(isDirty));
const wantedNow = () => Math.max(0, PREFETCH + (desk().item ? 0 : 1) - desk().buffer.length);
const excluded = () => [
  ...inHand().map((item) => item.id), ...heldElsewhere(),
  ...pending.filter((entry) => entry.schema === settings.schema).map((entry) => entry.item.id),
];
const wish = (count) => ({ ...request(), count, exclude: excluded(), skipped: desk().again });

function receive(work) {
  const mine = desk();
  mine.progress = work.progress;
  const known = new Set(excluded());
  mine.buffer.push(...work.items.filter((raw) => !known.has(raw.id)).map(prepare));
  if (!mine.item && mine.buffer.length) show(mine.buffer.shift());
  noteGuideline(work.guideline);
  tellOtherTabs();
}

async function fetchReports() {
  const mine = desk();
  if (mine.loading) return;
  mine.loading = true;
  paint();
  if (!mine.asked) await askOtherTabs();
  const answer = await server.fetch_reports(wish(wantedNow()));
  mine.loading = false;
  mine.asked = true;
  mine.error = answer?.ok ? "" : (answer?.message ?? noAnswer());
  if (answer?.ok && mine === desk()) receive(answer.work);
  paint();
}

let freshTimer = 0;

function show(item) {
  const mine = desk();
  mine.item = item;
  mine.selected = 0;
  startMarking(item);
  if (item) item.shownAt = activeAt = performance.now();
  parts.save.dataset.fresh = ""; // tells tests and scripts that Enter still rests
  clearTimeout(freshTimer);
  freshTimer = setTimeout(() => delete parts.save.dataset.fresh, TOO_SOON_MS);
  paint();
  if (item && root().getBoundingClientRect().top < 0) root().scrollIntoView({ block: "start" });
}

function advance() {
  desk().notice = "";
  show(desk().buffer.shift() ?? null);
  if (!desk().item && !isSaving()) fetchReports();
}

function finish(item) {
  const { done } = desk();
  done.push(item);
  if (done.length > KEPT_DONE) done.shift();
}

function skip(reason, comment) {
  const { item } = desk();
  if (!item || item.saved) return;
  noteActivity();
  pending.push({
    uuid: uuid(), schema: settings.schema, desk: desk(), item, message: "", call: "skip_report",
    payload: () => ({ skip: { report: item.id, reason, comment, active_ms: Math.round(item.activeMs) } }),
  });
  advance();
  send();
}

function offerSkipped() {
  desk().again = true;
  fetchReports();
}

// Put a report back on its desk; the one there waits in front of the buffer with everything entered so far.
function reopen(item, mine = desk()) {
  if (mine.item === item) return;
  mine.done = mine.done.filter((one) => one.id !== item.id);
  mine.buffer = mine.buffer.filter((one) => one.id !== item.id);
  if (mine.item) mine.buffer.unshift(mine.item);
  if (mine === desk()) show(item);
  else Object.assign(mine, { item, selected: 0 });
}

async function reopenById(id) {
  const unsaved = pending.filter((entry) => entry.schema === settings.schema).map((entry) => entry.item);
  const known = [...desk().done, ...inHand(), ...unsaved].find((item) => item.id === id);
  if (known) return reopen(known);
  const answer = await server.open_report({ ...request(), report: id });
  if (answer?.ok) reopen(prepare(answer.item));
  else complain(answer);
}

// Open a report of any schema.
function openIn(schemaId, report) {
  if (schemaId === settings.schema) return reopenById(report);
  window.medbertdeWanted = { report, schema: schemaId };
  openWanted();
}

// A report that was asked for elsewhere on the page, perhaps before this card was there: {report, schema}.
function openWanted() {
  const wanted = window.medbertdeWanted;
  if (!wanted) return;
  if (wanted.schema && wanted.schema !== settings.schema) { // the page answers with the other schema
    const choice = Array.from(document.querySelectorAll("#annotate-schema input")).find(({ value }) => value === wanted.schema);
    return choice?.click();
  }
  delete window.medbertdeWanted;
  document.querySelector("#annotate-parts [role=tab]")?.click();
  reopenById(wanted.report);
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
  const mine = desk();
  mine.loading = true;
  paint();
  const answer = await server.load_examples(request());
  mine.loading = false;
  if (!answer?.ok) complain(answer, mine);
  else if (mine === desk()) fetchReports();
}

function complain(answer, mine = desk()) {
  mine.error = answer?.message ?? noAnswer();
  paint();
}

async function keepLeases() {
  const ids = inHand().filter((item) => !item.saved).map((item) => item.id);
  if (!ids.length || performance.now() - activeAt > KEEP_EVERY_MS || !isVisible()) return;
  const answer = await server.keep_reports({ ...request(), reports: ids });
  if (answer?.ok) desk().buffer = desk().buffer.filter((item) => !answer.lost.includes(item.id));
}

// ------------------------------------------------------------------------------------------ other tabs of this browser
// Two tabs of one person would get the same reports, because a lease belongs to a person. They tell each other which
// reports they hold, by number only. An answer may come late: then the younger tab lets go of what it has not touched.
// What still slips through (another browser), the server notices on saving.

const TAB_ANSWER_MS = 150;
const tabId = uuid();
const otherTabs = new Map(); // tab id → {schema id: report ids}
const channel = "BroadcastChannel" in window ? new BroadcastChannel("medbertde-annotate") : null;

const heldElsewhere = () => Array.from(otherTabs.values()).flatMap((held) => held[settings.schema] ?? []);

// By schema id; a desk is named by schema and project.
function held() {
  const all = {};
  for (const [name, one] of Object.entries(desks)) (all[name.split(" ")[0]] ??= []).push(...inHand(one).map((item) => item.id));
  return all;
}

const tellOtherTabs = () => channel?.postMessage({ tab: tabId, held: held(), since: performance.timeOrigin });

async function askOtherTabs() {
  if (!channel) return;
  channel.postMessage({ tab: tabId, asks: true });
  await new Promise((resolve) => setTimeout(resolve, TAB_ANSWER_MS));
}

function onTabMessage({ data }) {
  if (data.asks) tellOtherTabs();
  else if (data.leaves) otherTabs.delete(data.tab);
  else {
    otherTabs.set(data.tab, data.held);
    if (data.since < performance.timeOrigin) letGo(new Set(data.held[settings.schema] ?? []));
  }
}

function letGo(ids) {
  const mine = desk();
  const goes = (item) => ids.has(item.id) && !isDirty(item) && !item.saved;
  if (!inHand().some(goes)) return;
  mine.buffer = mine.buffer.filter((item) => !goes(item));
  if (mine.item && goes(mine.item)) advance();
  fetchReports();
}
