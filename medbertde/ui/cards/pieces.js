// How tokenizers cut a sentence. value: {empty, comparison, blocks: [{title, summary, words: [{text, counted, pieces:
// [{text, id, unknown}]}]}]}
drawing(({ empty, comparison, blocks }) => {
  if (!blocks || !blocks.length) return el("p", { class: "mb-empty" }, empty || "");
  const piece = ({ text, id, unknown }) =>
    el("span", { class: unknown ? "mb-piece mb-unknown" : "mb-piece" },
      el("span", { class: "mb-piece-text" }, text), el("span", { class: "mb-piece-id" }, `${id}`));
  const word = ({ text, counted, pieces }) =>
    el("li", { class: counted ? "mb-cut" : "mb-cut mb-mark", title: text }, pieces.map(piece));
  const sections = blocks.map(({ title, summary, words }) =>
    el("section", {},
      el("h3", {}, title), el("p", { class: "mb-hint" }, summary), el("ul", { class: "mb-cuts" }, words.map(word))));
  return [comparison ? el("p", { class: "mb-comparison" }, comparison) : null, ...sections];
});
