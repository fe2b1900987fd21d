// Two readings side by side: probabilities that moved, both texts with their evidence. value: {} or {progress, said, cancel}
// or {columns, rows: [{name, before, after, change, side}], said, note, legend: {for, against}, versions: [{title, model,
// pieces: [{text, tint, shown, changed}]}]}; `changed` is "del" or "ins" for words that only one version has.
drawing((value) => {
  const { progress, columns, rows, said, note, versions, legend } = value;
  if (progress !== undefined) return progressView(value);
  if (!versions) return null;
  bringIntoView();
  const change = (item) => el("td", {}, el("span", { class: item.side ? `mb-sign mb-${item.side}` : "mb-number" }, item.change));
  const row = (item) => el("tr", {}, el("th", { scope: "row" }, item.name), el("td", { "data-column": columns[1] }, item.before),
    el("td", { "data-column": columns[2] }, item.after), change(item));
  const piece = ({ text, tint, shown, changed }) => {
    if (shown === undefined) return document.createTextNode(text);
    return tinted(el(changed || "mark", { title: shown }, text), tint);
  };
  const version = ({ title, model, pieces }) => el("section", { class: "mb-version" }, el("h4", {}, title),
    el("div", { class: "mb-report", lang: "de" }, pieces.map(piece)), el("p", { class: "mb-by" }, model));
  return [
    el("div", { class: "mb-table mb-moved" }, el("table", {},
      el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map(row)))),
    el("p", { class: "mb-hint" }, said),
    el("h3", {}, note),
    el("div", { class: "mb-pair" }, versions.map(version)),
    el("div", { class: "mb-legend" }, el("span", {}, legend.against),
      el("span", { class: "mb-scale", "aria-hidden": "true" }), el("span", {}, legend.for)),
  ];
});
