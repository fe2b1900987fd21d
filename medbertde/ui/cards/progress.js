// A training run. value: {title, state, said, share, detail, curve: {title, points: [[step, loss]], highest, last}}
drawing(({ title, state, said, share, detail, curve }) => {
  const shape = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
    return node;
  };
  const line = (points) => {
    const [steps, losses] = [points.map(([step]) => step), points.map(([, loss]) => loss)];
    const [first, last, top] = [Math.min(...steps), Math.max(...steps), Math.max(...losses)];
    const x = (step) => (100 * (step - first)) / (last - first || 1);
    const y = (loss) => 100 - (96 * loss) / (top || 1);
    return points.map(([step, loss]) => `${x(step).toFixed(2)},${y(loss).toFixed(2)}`).join(" ");
  };
  const plot = ({ points }) => {
    const svg = shape("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    if (points.length) svg.append(shape("polyline", { points: line(points), class: "mb-line" }));
    return svg;
  };
  if (!curve) return null;
  return [
    el("h3", {}, title || " ", said ? el("span", { class: "mb-count", "data-state": state }, said) : null),
    el("div", { class: "mb-track mb-bar", role: "progressbar", "aria-valuenow": Math.round(100 * share),
      "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": title || "" },
      el("span", { class: "mb-fill", style: { width: `${100 * share}%` } })),
    el("p", { class: "mb-hint", role: "status" }, detail || " "),
    el("figure", { class: "mb-curve" },
      el("figcaption", {}, curve.title, el("span", {}, curve.highest)),
      el("div", { class: "mb-plot" }, plot(curve)),
      el("div", { class: "mb-last" }, curve.last || " ")),
  ];
});
