// A report with the sentences and words that moved a score. value: {empty} or {progress: 0…1, said, cancel} or {label, title,
// parts: [string | {span, pieces: [{text, span, tint, shown}], later, tint, shown, said, heading}], legend: {for, against, about},
// hint, strongest: [{title, side, sentences, words}], facts: [{name, value}], notices: [..], words: {..}}; a tint is -1…1, and
// `later` says that the words of a sentence come when it is opened.
let last = ""; // the finding looked at: a new one is brought into view
let view = null; // what is drawn, where it is an explanation
drawing((value) => {
  const { empty, progress, label, parts } = value;
  if (progress !== undefined) return progressView(value);
  if (label && label !== last) bringIntoView();
  last = label || "";
  if (!parts) view = null;
  else if (view && root().contains(view.nodes[0]) && sameExplanation(view.value, value)) view.update(value);
  else view = explained(value);
  return view ? view.nodes : el("p", { class: "mb-empty" }, empty || "");
});
