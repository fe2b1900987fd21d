// Findings: each reader's value side by side, and one button per value for the decision.

const VALUES = [
  { state: "present", key: "1", de: "vorhanden", en: "present" },
  { state: "uncertain", key: "2", de: "unsicher", en: "uncertain" },
  { state: "absent", key: "3", de: "verneint", en: "absent" },
  { state: null, key: "0", de: "nicht erwähnt", en: "not mentioned" },
];
const word = (state) => { const { de, en } = VALUES.find((one) => one.state === (state ?? null)); return say(de, en); };
const agreedState = (label) => open.item.readers[0]?.values[label] ?? null;
const stateNow = (label) => (label in open.chosen ? open.chosen[label] : differs(label) ? undefined : agreedState(label));

const FINDINGS = {
  mentions: (reader, label) => Boolean(reader.values[label]),
  begin: (item) => ({ ...item.decided }),
  sent() {
    const changed = Object.entries(open.chosen).filter(([label, state]) => differs(label) || state !== agreedState(label));
    return { values: Object.fromEntries(changed) };
  },
  action(event, label) {
    const value = VALUES.find((one) => one.key === event.key);
    return value && label ? () => choose(label, value.state) : null;
  },
  dispute: (count) => (count === 1 ? say("1 Befund strittig", "1 finding in dispute") : say(`${count} Befunde strittig`, `${count} findings in dispute`)),
  heading: () => say("Befund", "Finding"),
  more: () => (open.all ? say("Weniger Befunde", "Fewer findings") : say("Alle Befunde", "All findings")),
  text: () => el("div", { class: "mb-report mr-text", tabindex: 0 }, open.item.text),
  row: (label) => [
    el("th", { scope: "row" }, rowName(label)),
    open.item.readers.map((reader) => el("td", { class: `mr-said mr-${reader.values[label.id] ?? "none"}`, "data-column": reader.name }, word(reader.values[label.id]))),
    el("td", { class: "mr-decision" }, el("div", { class: "mr-values", role: "group", "aria-label": tell(label.name) }, VALUES.map((one) => valueButton(label, one))), reason(label))],
};

function valueButton(label, { state, key, de, en }) {
  return el("button", {
    type: "button", class: `mr-value mr-${state ?? "none"}`, "data-state": state ?? "none",
    "aria-pressed": String(stateNow(label.id) === state), onclick: () => choose(label.id, state),
  }, el("kbd", {}, key), ` ${say(de, en)}`);
}
