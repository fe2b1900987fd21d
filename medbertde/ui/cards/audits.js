// How the models that answer were audited. value: {items: [{title, version, verdict, level, sentences, remarks, more, columns,
// rows: [{cells, exceeds}], why, reasons: [[name, text]]}]}; all but level and exceeds are wordings.
drawing(({ items }) => {
  if (!items) return null;
  const opened = new Set([...(root()?.querySelectorAll("details[open]") ?? [])].map((node) => node.dataset.version));
  const cell = (text, index, columns) =>
    index ? el("td", { "data-column": columns[index] }, text) : el("th", { scope: "row" }, text);
  const figures = ({ version, more, columns, rows, why, reasons }) =>
    el("details", { "data-version": version, open: opened.has(version) },
      el("summary", {}, more),
      el("table", {},
        el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, rows.map((row) =>
          el("tr", { class: row.exceeds ? "mb-exceeds" : null }, row.cells.map((text, index) => cell(text, index, columns)))))),
      reasons.length ? el("h5", {}, why) : null,
      el("dl", {}, reasons.map(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]).flat()));
  return items.map((item) =>
    el("section", { class: "mb-audit", "data-level": item.level },
      el("div", { class: "mb-audit-head" },
        el("h4", {}, item.title), el("span", { class: "mb-audit-version" }, item.version),
        el("span", { class: "mb-audit-verdict" }, item.verdict)),
      item.sentences.map((text) => el("p", {}, text)),
      item.remarks.map((text) => el("p", { class: "mb-audit-remark" }, text)),
      item.more ? figures(item) : null));
});
