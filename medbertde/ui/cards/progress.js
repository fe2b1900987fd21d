// A training run. value: {title, state, said, share, detail, note, curves: {title, lines: [{name, points: [[step, loss]]}],
// highest, last, f1}}
drawing(({ title, state, said, share, detail, note, curves }) => {
  const shape = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
    return node;
  };
  const plot = ({ lines }) => {
    const all = lines.flatMap(({ points }) => points);
    const svg = shape("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    if (!all.length) return svg;
    const steps = all.map(([step]) => step);
    const [first, last, top] = [Math.min(...steps), Math.max(...steps), Math.max(...all.map(([, loss]) => loss))];
    const x = (step) => (100 * (step - first)) / (last - first || 1);
    const y = (loss) => 100 - (96 * loss) / (top || 1);
    const path = (points) => points.map(([step, loss]) => `${x(step).toFixed(2)},${y(loss).toFixed(2)}`).join(" ");
    lines.forEach(({ points }, index) => {
      if (!points.length) return;
      // A single point is a line of no length: its round ends make it visible.
      const drawn = points.length > 1 ? path(points) : `${path(points)} ${path(points)}`;
      svg.append(shape("polyline", { points: drawn, class: `mb-line mt-line-${index}` }));
    });
    return svg;
  };
  if (!curves) return null;
  if (!state) return el("p", { class: "mb-hint", role: "status" }, detail); // no run yet: nothing to draw
  return [
    el("h3", {}, title || " ", said ? el("span", { class: "mb-count", "data-state": state }, said) : null),
    el("div", { class: "mb-track mb-bar", role: "progressbar", "aria-valuenow": Math.round(100 * share),
      "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": title || "" },
      el("span", { class: "mb-fill", style: { width: `${100 * share}%` } })),
    el("p", { class: "mb-hint", role: "status" }, detail || " "),
    note ? el("p", { class: "mb-notice" }, note) : null,
    el("figure", { class: "mb-curve" },
      el("figcaption", {}, curves.title),
      el("div", { class: "mb-plot" }, plot(curves)),
      el("div", { class: "mb-last" }, el("span", {}, curves.highest || " "), el("span", {}, curves.last || " ")),
      el("p", { class: "mt-legend" }, curves.lines.map(({ name }, index) =>
        el("span", {}, el("i", { class: `mt-key mt-key-${index}` }), name)), curves.f1 ? el("span", {}, curves.f1) : null)),
  ];
});
