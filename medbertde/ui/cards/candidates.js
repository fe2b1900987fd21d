// Ranked fillings of a gap. value: {empty, hint, model, items: [{word, probability}]}
drawing(({ empty, hint, model, items }) => {
  if (!items || !items.length) return el("p", { class: "mb-empty" }, empty || "");
  const longest = items[0].probability;
  const rows = items.map((item, index) =>
    el("li", {},
      el("button", { type: "button", class: "mb-candidate", onclick: () => trigger("choose", { index }) },
        el("span", { class: "mb-rank" }, `${index + 1}`),
        el("span", { class: "mb-word" }, item.word),
        el("span", { class: "mb-track", "aria-hidden": "true" },
          el("span", { class: "mb-fill", style: { width: `${Math.max(1, (100 * item.probability) / longest)}%` } })),
        el("span", { class: "mb-number" }, percent(item.probability)))));
  return [el("p", { class: "mb-hint" }, hint), el("ol", { class: "mb-list" }, rows), el("p", { class: "mb-by" }, model)];
});
