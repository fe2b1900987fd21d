// A small table. value: {columns: [..], rows: [[..]]}, all strings; the first column names the row. Or {empty}: why not.
drawing(({ columns, rows, empty }) => {
  if (empty) return el("p", { class: "mb-hint" }, empty);
  if (!rows) return null;
  const cell = (text, index) =>
    index ? el("td", { "data-column": columns[index] }, text) : el("th", { scope: "row" }, text);
  return el("table", {},
    el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell)))));
});
