// Ranked fillings of a gap. value: {empty, notices, hint, title, model, items: [{word, probability, number, detail,
// shared}]}; number and detail are wordings of the page's language, shared marks a word that another list names too.
drawing(({ empty, notices, hint, title, model, items }) => {
  const remarks = (notices || []).map((notice) => el("p", { class: "mb-notice" }, notice));
  if (!items || !items.length) return [remarks, el("p", { class: "mb-empty" }, empty || "")].flat();
  const longest = Math.max(...items.map((item) => item.probability)) || 1;
  const rows = items.map((item, index) =>
    el("li", {},
      el("button", { type: "button", class: "mb-candidate", onclick: () => trigger("choose", { index }) },
        el("span", { class: "mb-rank" }, `${index + 1}`),
        el("span", { class: item.shared ? "mb-word mb-shared" : "mb-word" }, item.word),
        el("span", { class: "mb-track", "aria-hidden": "true" },
          el("span", { class: "mb-fill", style: { width: `${item.probability && Math.max(1, (100 * item.probability) / longest)}%` } })),
        el("span", { class: "mb-number" }, item.number),
        item.detail ? el("span", { class: "mb-detail" }, item.detail) : null)));
  return [
    title ? el("h3", {}, title) : null,
    remarks,
    hint ? el("p", { class: "mb-hint" }, hint) : null,
    el("ol", { class: "mb-list" }, rows),
    model ? el("p", { class: "mb-by" }, model) : null,
  ].flat();
});
