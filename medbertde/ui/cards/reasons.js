// Several findings side by side, each with its strongest sentence. value: {ask, title, chosen, rows: [{label, name, state, said,
// probability, sentence, shown}]}; `ask` is what the button says while some are not explained, "" without one.
drawing(({ ask, title, rows, chosen }) => {
  if (ask) return el("button", { type: "button", class: "mb-small", onclick: () => trigger("all", {}) }, ask);
  if (!rows?.length) return null;
  const row = (item) => el("li", {}, el("button", { type: "button", class: "mb-overall", "data-label": item.label,
    "aria-pressed": String(item.label === chosen), onclick: () => trigger("choose", { label: item.label, state: item.state }) },
    el("span", { class: "mb-word" }, el("span", { class: `mb-dot mb-${item.state}`, "aria-hidden": "true" }), item.name),
    el("span", { class: "mb-number" }, `${item.said} ${percent(item.probability)}`),
    el("span", { class: "mb-quote" }, el("span", { class: "mb-sign mb-for" }, item.shown),
      el("span", { lang: "de" }, item.sentence))));
  return [el("h3", {}, title), el("ul", { class: "mb-list" }, rows.map(row))];
});
