// All runs of an examination with where each comes from; one of them is looked at.
//
// value: {columns, rows: [{id, shown, cells}]}
function history({ columns, rows, empty }) {
  if (!rows) return null;
  if (!rows.length) return el("p", { class: "mb-hint" }, empty);
  const cell = (text, index, { id, shown }) => {
    if (index) return el("td", { "data-column": columns[index] }, text);
    return el("th", { scope: "row" }, el("button", { type: "button", class: "mt-run", "data-run": id,
      "aria-pressed": String(shown), onclick: () => trigger("choose", { run: id }) }, text));
  };
  return el("div", { class: "mt-wide" }, el("table", {},
    el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.cells.map((text, index) => cell(text, index, row)))))));
}

let drawn = ""; // the page asks every second while a run goes on; what is the same keeps its focus
function redraw() {
  const now = JSON.stringify(props.value || {});
  if (now === drawn && root()?.childElementCount) return;
  drawn = now;
  root()?.replaceChildren(...[history(props.value || {})].filter(Boolean));
}
watch("value", redraw);
redraw();
