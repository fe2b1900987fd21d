// A finished run: old and new model on the same reports, where they differ, and which labels the new one doubts.
//
// value: see `result_value` in ui/result_view.py. A report's text comes from the server when its row is opened, and is
// gone with the row. `held_report` and `ask_review` answer {ok: true, …} or {ok: false, message}.
let open = null; // {key: which row, text}
const answers = {}; // by run and report: what the server said about sending it to review
let shownRun = null;

const shape = (tag, attributes, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
};

async function ask(name, report) {
  const { run, language, words } = props.value;
  return (await server[name]({ run, language, report })) ?? { ok: false, message: words.failed };
}

async function toggle(key, report) {
  if (open?.key === key) open = null;
  else {
    open = { key, text: "…", failed: true };
    paint(key);
    const answer = await ask("held_report", report);
    if (open?.key === key) open = { key, text: answer.ok ? answer.text : answer.message, failed: !answer.ok };
  }
  paint(key);
}

async function send(key, report) {
  const answer = await ask("ask_review", report);
  answers[`${props.value.run} ${report}`] = answer.ok ? { sent: true } : { message: answer.message };
  paint(key);
}

function row(kind, index, item, cells) {
  const key = `${kind} ${index}`;
  const opened = open?.key === key;
  return el("li", { class: "mt-row" },
    el("button", { type: "button", class: "mt-open", "aria-expanded": String(opened), "data-key": key,
      onclick: () => toggle(key, item.report) }, el("span", { class: "mt-report" }, item.report), cells),
    kind === "doubt" ? review(key, item.report) : null,
    opened ? el("div", { class: "mb-report mt-text" }, item.marks && !open.failed ? marked(open.text, item.marks) : open.text) : null,
    opened && item.marks && !open.failed ? (item.apart ? differences(open.text, item.apart) : legend(open.text, item.marks)) : null);
}

// A report with the annotated places and those of both models as lines below the words, at three heights. Places are
// code points, as the server counts them.
const MARKED = ["truth", "old", "new"];

function marked(text, marks) {
  const points = Array.from(text);
  const within = (at, [start, end]) => start <= at && at < end;
  const names = MARKED.filter((name) => marks[name]);
  const cuts = [0, points.length, ...names.flatMap((name) => marks[name].flat())].filter((at) => at <= points.length);
  const ends = [...new Set(cuts)].sort((one, other) => one - other);
  return ends.slice(1).map((end, index) => {
    const piece = points.slice(ends[index], end).join("");
    const by = names.filter((name) => marks[name].some((span) => within(ends[index], span)));
    return by.length ? el("mark", { class: ["mt-span", ...by.map((name) => `mt-by-${name}`)].join(" ") }, piece) : piece;
  });
}

function quoting(text) {
  const [left, right] = props.value.language === "en" ? "“”" : "„“";
  const points = Array.from(text);
  return ([start, end]) => left + points.slice(start, end).join("").replace(/\s+/g, " ") + right;
}

// The places that annotation and model do not mark alike, each with its kind.
function differences(text, apart) {
  const { words } = props.value;
  const said = quoting(text);
  const side = (name, place) => el("span", {}, el("i", { class: `mt-key mt-key-${name}` }), `${words[name]}: ${place ? said(place) : words.nothing}`);
  return el("dl", { class: "mt-spans mt-apart" }, apart.map((one) => el("div", {},
    el("dt", {}, one.label), el("dd", {}, side("truth", one.truth), side("new", one.new)))));
}

function legend(text, marks) {
  const { words } = props.value;
  const said = quoting(text);
  const quoted = (spans) => spans.map(said).join(", ");
  return el("dl", { class: "mt-spans" }, MARKED.map((name) => el("div", {},
    el("dt", {}, el("i", { class: `mt-key mt-key-${name}` }), words[name]), el("dd", {}, quoted(marks[name]) || words.nothing))));
}

function review(key, report) {
  const { run, words, may_ask } = props.value;
  const answer = answers[`${run} ${report}`];
  if (answer?.sent) return el("span", { class: "mt-asked", role: "status" }, words.asked);
  if (!may_ask) return null;
  return [
    el("button", { type: "button", class: "mt-ask", "data-ask": key, onclick: () => send(key, report) }, words.ask),
    answer ? el("span", { class: "mt-asked", role: "alert" }, answer.message) : null,
  ];
}

function figures({ figures, words, compared }) {
  const cell = (name, { value, interval }, certain) =>
    el("td", { "data-column": name }, el("b", certain ? { class: "mt-certain" } : {}, value),
      el("span", { class: "mt-interval", title: words.interval }, interval || ""));
  const columns = compared ? [words.old, words.new, words.change] : [words.new];
  return el("table", { class: "mt-figures" },
    el("thead", {}, el("tr", {}, [words.figure, ...columns].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, figures.map((one) => el("tr", {},
      el("th", { scope: "row" }, one.name, el("span", { class: "mt-meaning" }, one.meaning)),
      compared ? cell(words.old, one.old) : null, cell(words.new, one.new),
      compared ? cell(words.change, one.change, one.change.certain) : null))));
}

function table({ columns, rows }) {
  const cell = (text, index) => el(index ? "td" : "th", index ? { "data-column": columns[index] } : { scope: "row" }, text);
  return el("div", { class: "mt-wide" }, el("table", {},
    el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map(cell))))));
}

// The points of one model, for whoever cannot see the plot.
function told({ name, points }, words) {
  const percent = (share) => `${Math.round(100 * share)} %`;
  return `${name}: ${points.map(([score, share]) => `${words.said} ${percent(score)}, ${words.share} ${percent(share)}`).join("; ")}.`;
}

function reliability({ reliability, words }) {
  const [left, size] = [54, 200];
  const x = (share) => left + size * share;
  const y = (share) => 8 + size * (1 - share);
  const most = Math.max(1, ...reliability.flatMap(({ points }) => points.map(([, , count]) => count)));
  const svg = shape("svg", { viewBox: `0 0 ${left + size + 22} ${size + 46}`, class: "mt-plot", role: "img",
    "aria-label": [`${words.reliability}.`, ...reliability.map((each) => told(each, words))].join(" ") });
  svg.append(shape("rect", { x: left, y: 8, width: size, height: size, class: "mt-frame" }),
    shape("line", { x1: x(0), y1: y(0), x2: x(1), y2: y(1), class: "mt-diagonal" }));
  for (const share of [0, 0.5, 1]) {
    svg.append(shape("text", { x: x(share), y: size + 22, class: "mt-axis mt-middle" }, `${100 * share} %`),
      shape("text", { x: left - 4, y: y(share) + 3, class: "mt-axis mt-end" }, `${100 * share} %`));
  }
  svg.append(shape("text", { x: x(0.5), y: size + 38, class: "mt-axis mt-middle" }, words.said),
    shape("text", { x: 12, y: y(0.5), class: "mt-axis mt-middle", transform: `rotate(-90 12 ${y(0.5)})` }, words.share));
  for (const { model, points } of reliability) {
    svg.append(shape("polyline", { class: `mt-${model}`, points: points.map(([score, share]) => `${x(score)},${y(share)}`).join(" ") }));
    for (const [score, share, count] of points)
      svg.append(shape("circle", { class: `mt-${model}`, cx: x(score), cy: y(share), r: 2 + 4 * Math.sqrt(count / most) }));
  }
  return el("figure", { class: "mt-reliability" }, svg, el("figcaption", {}, el("p", {}, words.about_reliability),
    el("p", { class: "mt-legend" }, reliability.map(({ name, model }) => el("span", {}, el("i", { class: `mt-key mt-key-${model}` }), name)))));
}

function list(kind, items, empty, cells) {
  if (!items.length) return el("p", { class: "mb-hint" }, empty);
  return el("ul", { class: "mb-list mt-list" }, items.map((item, index) => row(kind, index, item, cells(item))));
}

function part(title, count, ...content) {
  const name = `${title}${count === null ? "" : ` (${count})`}`;
  const details = el("details", { class: "mt-part", "data-part": title }, el("summary", {}, name), content.filter(Boolean));
  details.open = parts.has(title);
  details.addEventListener("toggle", () => (details.open ? parts.add(title) : parts.delete(title)));
  return details;
}
const parts = new Set(); // which are unfolded

function draw(value) {
  const { words } = value;
  if (!words) return [];
  return [
    el("p", { class: "mt-verdict", role: "status" }, value.verdict),
    el("p", { class: "mb-hint" }, value.basis),
    figures(value),
    part(words.per_finding, null, table(value.findings)),
    value.reliability.length ? part(words.reliability, null, reliability(value)) : null,
    value.compared ? part(words.disputes, value.differing, list("dispute", value.disputes, words.no_disputes, (item) => [
      el("span", { class: "mt-label" }, `${item.label}: ${item.truth}`),
      el("span", item.right === "old" ? { class: "mt-right" } : {}, `${words.old}: ${item.old}`),
      el("span", item.right === "new" ? { class: "mt-right" } : {}, `${words.new}: ${item.new}`)]),
      value.differing > value.disputes.length ? el("p", { class: "mb-hint" }, words.more) : null) : null,
    value.doubts ? part(words.doubts, value.doubts.length, el("p", { class: "mb-hint" }, words.about_doubts),
      list("doubt", value.doubts, words.no_doubts, (item) => [
        el("span", { class: "mt-label" }, item.label ? `${item.label}: ${item.given}` : item.given), el("span", {}, item.detail)])) : null,
    value.card ? part(words.card, null, el("div", { class: "mt-card", tabindex: "0" }, value.card)) : null,
  ];
}

function paint(focused) {
  const value = props.value || {};
  if (value.run !== shownRun) [shownRun, open] = [value.run, null];
  root()?.replaceChildren(...draw(value).filter(Boolean));
  if (focused) root()?.querySelector(`[data-ask="${focused}"], [data-key="${focused}"]`)?.focus({ preventScroll: true });
}
let painted = ""; // the page asks every second while a run goes on; what is the same stays as it is
watch("value", () => {
  const now = JSON.stringify(props.value || {});
  if (now === painted && root()?.childElementCount) return;
  painted = now;
  paint();
});
paint();
