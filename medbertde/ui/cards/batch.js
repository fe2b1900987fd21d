// Several reports at once. value: {share, going, run, stopped, status, columns, rows, fault_columns, faults, model}. What a
// stopped run still sends, which may come after the answer to the click, changes nothing any more.
drawing(({ share, going, run, stopped, status, columns, rows, fault_columns, faults, model }) => {
  if (status === undefined) return null;
  if (stopped) cancelledRuns.add(run);
  else if (cancelledRuns.has(run)) return nodesShown;
  const table = (names, lines, label) => el("div", { class: "mb-scroll", tabindex: 0, role: "region", "aria-label": label },
    el("table", {},
      el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, lines.map((line) => el("tr", {}, line.map((text, index) =>
        el(index ? "td" : "th", { "data-column": names[index], scope: index ? null : "row" }, text)))))));
  return [
    el("div", { class: "mb-track mb-bar", role: "progressbar", "aria-valuenow": Math.round(100 * share),
      "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": status, "data-going": going ? "true" : "false" },
      el("span", { class: "mb-fill", style: { width: `${100 * share}%` } })),
    el("p", { class: "mb-hint", role: "status" }, status),
    faults.length ? table(fault_columns, faults, fault_columns[1]) : null,
    rows.length ? table(columns, rows, status) : null,
    model ? el("p", { class: "mb-by" }, model) : null,
  ];
});
