// The annotation card: one report, its findings, four values each, the words that justify them, and a desk of reports
// leased ahead. Its parts are in annotate/*.js; here is its life: messages from the page, listeners, the start.
//
// value: what the page tells the card, merged into `settings`: {schemas}, {language}, {schema}, {project} (a change
// brings an empty desk), {refresh} (new each time).
// schemas: [{id, version, kind, title, groups, guideline, examples, labels: [{id, key, group, colour, name, definition,
// phrasings}]}], texts as {de, en}. Every server function takes one object and answers {ok: true, …} or {ok: false, kind,
// message}; no answer at all arrives as undefined.

function onMessage() {
  const before = { ...settings };
  Object.assign(settings, props.value);
  const moved = before.schema !== settings.schema || before.project !== settings.project;
  const redraw = before.language !== settings.language || moved;
  if (moved) {
    recent = null;
    startMarking(desk().item);
    if (byPointer) document.activeElement?.blur(); // the keys are for the card again
  }
  if (redraw) draw();
  if (moved || before.refresh !== settings.refresh) fetchReports();
  if (moved) openWanted();
}

// The tab came to the front: look for reports, and take the focus from a tab that was opened by keyboard.
function wake() {
  if (!desk().item && !desk().loading) fetchReports();
  else fetchProposals();
  openWanted();
  if (!byPointer && document.activeElement?.matches("[role=tab]")) root().focus({ preventScroll: true });
}

function start() {
  root().tabIndex = -1;
  draw();
  watch("value", onMessage);
  const listeners = new AbortController();
  const listen = (target, name, action, options) =>
    target.addEventListener(name, action, { signal: listeners.signal, ...options });
  listen(document, "keydown", (event) => (element.isConnected ? onKey(event) : listeners.abort()));
  listen(document, "pointerdown", () => { byPointer = true; }, { capture: true });
  listen(element, "pointermove", noteActivity);
  listen(window, "online", retry);
  listen(window, "beforeunload", (event) => (pending.length || anyDirty()) && event.preventDefault());
  listen(window, "pagehide", () => channel?.postMessage({ tab: tabId, leaves: true }));
  listen(document, "medbertde-open", (event) => { // from the overview
    window.medbertdeWanted = event.detail;
    openWanted();
  });
  if (channel) listen(channel, "message", onTabMessage);
  const keeping = setInterval(() => (element.isConnected ? keepLeases() : clearInterval(keeping)), KEEP_EVERY_MS);
  new IntersectionObserver((entries) => entries.some((one) => one.isIntersecting) && wake()).observe(root());
}

start();
