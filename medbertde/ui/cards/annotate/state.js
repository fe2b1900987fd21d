// What the card knows: the page's settings, a desk of reports per schema, and the saves that wait for the server's yes.

const PREFETCH = 3; // reports in hand besides the one on the screen
const KEEP_EVERY_MS = 240_000; // leases are renewed while someone works
const IDLE_MS = 30_000; // longest pause that counts as working time
const TOO_SOON_MS = 250; // a second Enter or click within this time after a report came up is half of a double one
const KEPT_DONE = 50; // finished reports that can be undone
const KEPT_UNDO = 200; // steps within one report
const SEARCH_FROM = 16; // findings, from which on there is a search field
const VALUES = [
  { state: "present", key: "1", de: "vorhanden", en: "present" },
  { state: "uncertain", key: "2", de: "unsicher", en: "uncertain" },
  { state: "absent", key: "3", de: "verneint", en: "absent" },
  { state: null, key: "0", de: "nicht erwähnt", en: "not mentioned" },
];

const settings = { language: "de", schema: props.value.schemas[0].id, ...props.value };
const desks = {}; // by schema id: switching the schema loses nothing
let pending = []; // saves and skips without the server's yes, see saving.js
let everSaved = false;
let recent = null;
let byPointer = true; // how the focus came where it is
let activeAt = performance.now();
let parts = {};

const say = (de, en) => (settings.language === "en" ? en : de);
const tell = (text) => text[settings.language] ?? text.de;
const schema = () => settings.schemas.find((one) => one.id === settings.schema);
const onlySpans = () => schema().kind === "spans";
const desk = () =>
  (desks[`${settings.schema} ${settings.project ?? ""}`] ??= {
    item: null, buffer: [], done: [], again: false, selected: 0, progress: null,
    loading: false, asked: false, error: "", notice: "",
  });
const desksOf = (id) => Object.keys(desks).filter((name) => name.split(" ")[0] === id).map((name) => desks[name]);
const request = () => ({ schema: settings.schema, language: settings.language });
const noAnswer = () => say("Der Server antwortet nicht.", "The server does not answer.");

// The labels in the order in which they stand on the screen: group by group.
function labels() {
  const place = Object.fromEntries(schema().groups.map(({ id }, index) => [id, index]));
  return [...schema().labels].sort((one, other) => (place[one.group] ?? 99) - (place[other.group] ?? 99));
}
const selectedLabel = () => labels()[desk().selected];

// Not crypto.randomUUID: that is missing where a hospital serves the page over plain HTTP.
const hex = (byte) => byte.toString(16).padStart(2, "0");
const uuid = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");

function noteActivity() {
  const now = performance.now();
  if (desk().item) desk().item.activeMs += Math.min(now - activeAt, IDLE_MS);
  activeAt = now;
}
