// A file before its import: what was recognised, what each column, name and value is read as, its first rows; then how
// far the import is and what it did. value: see ui/files_view.py. Sends "choose" {choices} when a meaning is changed, and
// "treat" {treatment} when somebody has decided about rows that could show who a person is.
drawing((value) => {
  const { facts, notices = [], sheet, tables = [], first, problem, progress, question, result } = value;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  if (focused) queueMicrotask(() => {
    const again = [...element.querySelectorAll("select")].find((one) => one.dataset.key === focused);
    if (again) again.focus();
  });

  const choose = (kind, name, chosen) => {
    const before = value.choices || {};
    const choices = kind === "sheet" ? { sheet: chosen }
      : { ...before, [kind]: { ...(before[kind] || {}), [name]: chosen } };
    trigger("choose", { choices });
  };
  const option = (one, chosen) => el("option", { value: one.value, selected: one.value === chosen }, one.label);
  const select = (kind, name, label, chosen, groups) => el("select",
    { "data-key": `${kind}:${name}`, "aria-label": label, onchange: (event) => choose(kind, name, event.target.value) },
    groups.map((group) => group.label
      ? el("optgroup", { label: group.label }, group.options.map((one) => option(one, chosen)))
      : group.options.map((one) => option(one, chosen))).flat());

  const mapping = ({ kind, title, note, heads, rows, groups, open }) => el("section", { class: "mf-section" },
    el("h3", {}, title), note ? el("p", { class: "mb-hint" }, note) : null,
    el("table", { class: "mf-mapping" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map((row) => el("tr", { class: row.open ? "mf-open" : null },
        el("th", { scope: "row" }, row.shown),
        el("td", { class: "mf-samples", "data-column": heads[1] }, row.samples),
        el("td", {}, select(kind, row.name, `${row.shown}: ${heads[2]}`, row.chosen,
          row.open ? [{ options: [{ value: row.chosen, label: open }] }, ...groups] : groups)))))));

  const lines = (heads, rows, label) => el("div", { class: "mf-scroll", tabindex: 0, role: "region", "aria-label": label },
    el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map((row) => el("tr", { class: row.fault ? "mf-open" : null },
        row.cells.map((cell, index) => el(index ? "td" : "th", { "data-column": heads[index], scope: index ? null : "row" }, cell)))))));

  return [
    facts ? el("p", { class: "mf-facts" }, facts) : null,
    ...notices.map((notice) => el("p", { class: "mb-notice" }, notice)),
    sheet ? el("label", { class: "mf-sheet" }, sheet.label, " ", select("sheet", "", sheet.label, sheet.chosen, [{ options: sheet.options }])) : null,
    ...tables.map(mapping),
    first ? el("section", { class: "mf-section" }, el("h3", {}, first.title), lines(first.heads, first.rows, first.title)) : null,
    problem ? el("p", { class: "mb-notice", role: "status" }, problem) : null,
    progress ? el("div", { class: "mb-track mb-bar", role: "progressbar", "aria-valuenow": Math.round(100 * progress.share),
      "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": progress.status },
    el("span", { class: "mb-fill", style: { width: `${100 * progress.share}%` } })) : null,
    progress ? el("p", { class: "mb-hint", role: "status" }, progress.status) : null,
    question ? el("div", { class: "mb-notice mf-question" },
      el("p", { role: "status" }, question.lead), el("p", {}, question.hint),
      el("div", { class: "ms-choices" }, question.choices.map(({ name, label }) =>
        el("button", { type: "button", class: "mb-small", "data-choice": name,
          onclick: () => trigger("treat", { treatment: name }) }, label)))) : null,
    result ? el("p", { class: "mf-result", role: "status", id: "annotate-imported" }, result.sentence) : null,
    result && result.rows.length ? lines(result.heads, result.rows, result.heads[1]) : null,
  ];
});
