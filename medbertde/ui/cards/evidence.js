// A report with the words that moved a score. value: {empty, label, title, pieces: [{text, score, share}], legend: {against,
// for}, top: [{text, score, shown}], facts: [{name, value}], notices: [..]}; share is score over the largest size, -1…1.
let last = ""; // the finding looked at: a new one is brought into view
drawing(({ empty, label, title, pieces, legend, top, facts, notices }) => {
  if (label && label !== last) requestAnimationFrame(() => root()?.scrollIntoView({ block: "nearest", behavior: "smooth" }));
  last = label || "";
  if (!pieces) return el("p", { class: "mb-empty" }, empty || "");
  const tint = (share) => {
    const strength = Math.min(1, Math.abs(share));
    const colour = share > 0 ? "var(--mb-for)" : "var(--mb-against)";
    return { "background-color": `color-mix(in srgb, ${colour} ${Math.round(70 * strength)}%, transparent)` };
  };
  const signed = (score) => `${score > 0 ? "+" : "−"}${Math.abs(score).toFixed(2)}`;
  const word = (piece) => {
    if (Math.abs(piece.share) < 0.04) return document.createTextNode(piece.text);
    const node = el("mark", { title: signed(piece.score) }, piece.text);
    node.style.setProperty("background-color", tint(piece.share)["background-color"]);
    return node;
  };
  const strongest = (item) =>
    el("li", {}, el("span", { class: item.score > 0 ? "mb-sign mb-for" : "mb-sign mb-against" }, item.shown), item.text);
  return [
    el("h3", {}, title),
    el("div", { class: "mb-report", lang: "de" }, pieces.map(word)),
    el("div", { class: "mb-legend" }, el("span", {}, legend.against),
      el("span", { class: "mb-scale", "aria-hidden": "true" }), el("span", {}, legend.for)),
    top.length ? el("ul", { class: "mb-strongest" }, top.map(strongest)) : null,
    el("dl", { class: "mb-facts" }, facts.map((fact) => el("div", {}, el("dt", {}, fact.name), el("dd", {}, fact.value)))),
    (notices || []).map((notice) => el("p", { class: "mb-notice" }, notice)),
  ].flat();
});
