// A report with the sentences and words that moved a score. value: {empty} or {progress: 0…1, said, cancel} or {label, title,
// parts: [string | {span, pieces: [{text, span, tint, shown}], tint, shown, said, heading}], legend: {for, against, about}, hint,
// strongest: [{title, side, sentences, words}], facts: [{name, value}], notices: [..], words: {..}}; a tint is -1…1.
let last = ""; // the finding looked at: a new one is brought into view
drawing((value) => {
  const { empty, progress, label, parts } = value;
  if (progress !== undefined) return progressView(value);
  if (label && label !== last) requestAnimationFrame(() => root()?.scrollIntoView({ block: "nearest", behavior: "smooth" }));
  last = label || "";
  return parts ? explained(value) : el("p", { class: "mb-empty" }, empty || "");
});
