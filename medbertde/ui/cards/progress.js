// A training run. value: {empty, title, state, said, share, detail}
drawing(({ empty, title, state, said, share, detail }) => {
  if (!title) return el("p", { class: "mb-empty" }, empty || "");
  return [
    el("h3", {}, title, el("span", { class: "mb-count", "data-state": state }, said)),
    el("div", { class: "mb-track mb-progress", role: "progressbar", "aria-valuenow": Math.round(100 * share), "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": title },
      el("span", { class: "mb-fill", style: { width: `${100 * share}%` } })),
    el("p", { class: "mb-hint" }, detail || " "),
  ];
});
