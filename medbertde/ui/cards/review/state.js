// What the parts of the review card share: the page's settings, the open report, words.

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
let open = null; // {item, chosen: {label: state or marks}, reasons: {label: text}, all, selected, uuid, since}
let said = ""; // a refusal, or that the last decision is saved
let failed = false;
let busy = false;
let painting = false; // what has the focus is drawn anew: it does not leave

const say = (de, en) => (settings.language === "en" ? en : de);
const tell = (text) => text[settings.language] ?? text.de;
const schema = () => settings.schemas.find((one) => one.id === settings.schema) ?? settings.schemas[0];
const onlySpans = () => schema().kind === "spans";
const hex = (byte) => byte.toString(16).padStart(2, "0");
const uuid = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");
const request = () => ({ schema: schema().id, language: settings.language, project: settings.project });
const unreachable = () => say("Der Server antwortet nicht. Bitte noch einmal versuchen.", "The server does not answer. Please try again.");

const differs = (label) => open.item.differing.includes(label);
const missing = () => schema().labels.filter(({ id }) => differs(id) && !(id in open.chosen));

// The labels on the screen: those in dispute, or all that anyone mentions or marks, or every label of the schema.
function rows() {
  const { item, all } = open;
  const mentioned = ({ id }) => item.readers.some((reader) => sides().mentions(reader, id)) || id in open.chosen;
  return schema().labels.filter((one) => all || differs(one.id) || (!item.differing.length && mentioned(one)));
}

// A decision on one label; the next row comes up.
function choose(label, value) {
  open.chosen[label] = value;
  open.selected = Math.min(rows().length - 1, rows().findIndex((one) => one.id === label) + 1);
  [said, failed] = ["", false];
  paint();
}

function select(index) {
  open.selected = Math.max(0, Math.min(rows().length - 1, index));
  paint();
  root().querySelector(".mr-selected")?.scrollIntoView({ block: "nearest" });
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

const rowName = (label) => [label.key ? el("kbd", {}, label.key.toUpperCase()) : null, ` ${tell(label.name)}`];
