// A change of the model. value: {stage, said, share, going}; share is null where the length is not known. Without a change, `said`
// is what a change would mean.
drawing(({ stage, said, share, going }) => {
  if (!said) return null;
  const known = share !== null && share !== undefined;
  return [
    el("p", { class: stage === "refused" ? "mb-notice" : "mb-hint", role: stage === "refused" ? "alert" : "status",
      "data-stage": stage }, said),
    going ? el("div", { class: "mb-track mb-bar", role: "progressbar", "aria-label": said, "aria-valuemin": 0,
        "aria-valuemax": 100, "aria-valuenow": known ? Math.round(100 * share) : null },
      el("span", { class: known ? "mb-fill" : "mb-fill mb-moving", style: { width: known ? `${100 * share}%` : null } })) : null,
  ];
});
