// What a run would learn from. value: {lead, parts: [{count, name, hint}], notes: [..], refusal}
drawing(({ lead, parts, notes, refusal }) => {
  if (!parts) return null;
  return [
    el("p", { class: "mt-lead" }, lead),
    el("dl", { class: "mt-parts" }, parts.map(({ count, name, hint }) =>
      el("div", {}, el("dt", {}, el("b", {}, String(count)), ` ${name}`), el("dd", {}, hint)))),
    notes.map((note) => el("p", { class: "mb-notice" }, note)),
    refusal ? el("p", { class: "mt-refusal", role: "status" }, refusal) : null,
  ].flat();
});
