// The findings: a row each with four values, by group, with a search field when there are many. In a schema of spans a
// row holds what is marked for its label.

function drawFindings() {
  const find = say("Befund suchen", "Search for a finding");
  parts.search = el("input", {
    type: "search", class: "ma-search", "aria-label": find, placeholder: `${find}  /`, hidden: labels().length < SEARCH_FROM,
    oninput: filterRows, onkeydown: onSearchKey,
  });
  const groups = schema().groups.map((group) => drawGroup(group, parts.rows.filter(({ label }) => label.group === group.id)));
  const others = parts.rows.filter(({ label }) => !label.group).map(({ row }) => row);
  parts.comment = el("textarea", {
    class: "ma-comment", rows: "1", maxlength: "2000", oninput: () => setComment(parts.comment.value),
    placeholder: say("Bemerkung (freiwillig)", "Remark (optional)"), "aria-keyshortcuts": "5",
    "aria-label": say("Bemerkung", "Remark"), onkeydown: (event) => event.key === "Escape" && leaveField(event),
  });
  parts.flag = button(say("Zur Klärung", "Needs review"), toggleFlag, "ma-flag", "4", {
    title: say("Für eine zweite Meinung vormerken; bleibt vom Training ausgenommen", "Ask for a second opinion; left out of training"),
  });
  parts.skipButton = button(say("Überspringen", "Skip"), openSkip, "ma-plain ma-skip", "9");
  parts.save = el("button", { type: "button", class: "ma-save", onclick: onSaveClick });
  return el("section", { class: "ma-findings", "aria-label": say("Befunde", "Findings") },
    parts.search, el("div", { class: "ma-rows" }, groups, others),
    el("div", { class: "ma-note" }, parts.comment, parts.flag, parts.skipButton),
    el("div", { class: "ma-actions" }, button(say("Zurück", "Back"), back, "ma-plain ma-back", "←"), parts.save));
}

function drawGroup({ name }, rows) {
  if (!rows.length) return null;
  const title = tell(name);
  const group = el("div", { class: "ma-group", role: "group", "aria-label": title },
    el("h4", { class: "ma-group-name" }, title), rows.map(({ row }) => row));
  for (const row of rows) row.group = group;
  return group;
}

function drawRow(label, index) {
  const values = onlySpans() ? [] : VALUES.map((value) =>
    el("button", {
      type: "button", class: `ma-value ma-${value.state ?? "none"}`, "data-state": value.state ?? "none",
      onclick: () => setValue(label.id, value.state, false),
    }, el("kbd", {}, value.key), el("span", {}, say(value.de, value.en))));
  const hint = el("span", { class: "ma-hint" });
  const count = el("span", { class: "ma-count" });
  const name = el("button", {
    type: "button", class: "ma-name", tabindex: "-1", title: tell(label.definition), onclick: () => select(index),
  }, el("kbd", {}, label.key.toUpperCase()), el("span", { class: "ma-label" },
    el("span", { class: "ma-label-name" }, tell(label.name), count), hint));
  name.style.setProperty("--ma-own", label.colour);
  const chips = onlySpans() ? el("div", { class: "ma-chips" }) : null;
  const row = el("div", { class: "ma-row", role: "group", "aria-label": tell(label.name), "data-label": label.id },
    name, chips ?? el("div", { class: "ma-values" }, values));
  return { label, row, values, hint, count, chips };
}

function paintFindings(item) {
  if (parts.comment.value !== item.comment) parts.comment.value = item.comment;
  parts.flag.setAttribute("aria-pressed", String(item.flagged));
  parts.skipButton.disabled = item.saved;
  const text = item.saved && !isDirty(item) ? say("Weiter", "Next") : say("Speichern & weiter", "Save & next");
  refill(parts.save, [text], () => [text, el("kbd", {}, "⏎")]);
  parts.rows.forEach((row, index) => paintRow(row, item, index === desk().selected));
}

function paintRow({ label, row, values, hint, count, chips }, item, selected) {
  const proposed = item.suggestion?.findings[label.id];
  const open = Boolean(proposed) && !item.saved && !item.touched.has(label.id);
  const state = item.values[label.id] ?? "none";
  const marks = item.marks.filter((mark) => mark.label === label.id);
  row.classList.toggle("ma-open", open);
  row.classList.toggle("ma-selected", selected);
  row.setAttribute("aria-current", String(selected));
  if (chips) return refill(chips, [item, item.saved, ...marks], () =>
    marks.map((mark) => (isOpen(item, mark) ? drawOpenMark : drawChip)(item, mark)));
  const odd = marks.length > 0 && state === "none";
  const offered = proposalsOf(item, label.id);
  count.textContent = [marks.length || "", offered.length ? `+${offered.length}` : ""].join(" ").trim();
  count.title = [
    marks.length ? say(`${marks.length} markierte ${places(marks)}`, `${marks.length} marked ${places(marks)}`) : "",
    offered.length
      ? say(`${offered.length} vorgeschlagene ${places(offered)}`, `${offered.length} proposed ${places(offered)}`) : "",
  ].filter(Boolean).join(", ");
  hint.textContent = odd ? say("markiert, Wert fehlt", "marked, value missing")
    : proposed && !item.saved ? hintText(proposed, open, item.values[label.id]) : "";
  hint.classList.toggle("ma-odd", odd);
  for (const one of values) one.setAttribute("aria-pressed", String(one.dataset.state === state));
}

const places = ({ length }) => (length === 1 ? say("Stelle", "span") : say("Stellen", "spans"));

function hintText(proposed, open, value) {
  if (open) return `${say("Vorschlag", "Suggestion")} ${percent(proposed.confidence)}`;
  const { de, en } = VALUES.find((one) => one.state === proposed.state);
  return value === proposed.state ? say("bestätigt", "confirmed") : say(`Vorschlag war: ${de}`, `Suggested: ${en}`);
}

function drawChip(item, mark) {
  const text = quoteOf(item, mark);
  const label = say(`Markierung „${text}“ entfernen`, `Remove the mark “${text}”`);
  const chip = el("button", { type: "button", class: "ma-chip", onclick: () => removeMark(mark), "aria-label": label, title: label },
    el("span", { class: "ma-chip-text" }, text), el("span", { "aria-hidden": "true" }, "×"));
  chip.style.setProperty("--ma-own", colourOf(mark.label));
  return chip;
}

function onSaveClick(event) {
  if (event.detail <= 1) save();
}

function leaveField(event) {
  event.preventDefault();
  event.target.blur();
}

// ------------------------------------------------------------------------------------------ search

const plain = (text) => text.toLowerCase().replace(/ä/g, "ae").replace(/ö/g, "oe").replace(/ü/g, "ue").replace(/ß/g, "ss");
const fits = (label, wanted) =>
  [label.id, ...Object.values(label.name), ...label.phrasings].some((text) => plain(text).includes(wanted));

function filterRows() {
  const wanted = plain(parts.search.value.trim());
  for (const { label, row } of parts.rows) row.hidden = Boolean(wanted) && !fits(label, wanted);
  for (const group of parts.work.querySelectorAll(".ma-group")) {
    group.hidden = !group.querySelector(".ma-row:not([hidden])");
  }
}

// Enter chooses the first finding that fits and gives the keys back to the card; Esc gives up.
function onSearchKey(event) {
  if (event.key !== "Enter" && event.key !== "Escape") return;
  const found = parts.rows.findIndex(({ row }) => !row.hidden);
  parts.search.value = "";
  filterRows();
  leaveField(event);
  if (event.key === "Enter" && found >= 0) select(found);
}
