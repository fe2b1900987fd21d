// What a threshold means, and whether the model's probabilities are right. value: {} or {lines: [..], figures: [..], plot}; a
// figure is a sentence of its own below the lines; plot: {title, said, about, points: [{x, y, n, interval, here, said}],
// threshold, axes, mark} with shares 0…1.
const SIZE = 180, LEFT = 58, TOP = 10;
const across = (share) => LEFT + SIZE * share;
const down = (share) => TOP + SIZE * (1 - share);

function drawn(tag, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  if (text) node.textContent = text;
  return node;
}

function grid({ axes, threshold, mark }) {
  const found = [drawn("rect", { x: LEFT, y: TOP, width: SIZE, height: SIZE, class: "mc-frame" }),
    drawn("line", { x1: across(0), y1: down(0), x2: across(1), y2: down(1), class: "mc-diagonal" }),
    drawn("line", { x1: across(threshold), y1: down(0), x2: across(threshold), y2: down(1), class: "mc-threshold" })];
  found.at(-1).append(drawn("title", {}, mark));
  for (const share of [0, 0.5, 1]) {
    found.push(drawn("text", { x: across(share), y: down(0) + 16, class: "mc-axis mc-middle" }, `${100 * share} %`),
      drawn("text", { x: LEFT - 6, y: down(share) + 4, class: "mc-axis mc-end" }, `${100 * share} %`));
  }
  found.push(drawn("text", { x: across(0.5), y: down(0) + 34, class: "mc-axis mc-middle" }, axes[0]),
    drawn("text", { x: 12, y: down(0.5), class: "mc-axis mc-middle", transform: `rotate(-90 12 ${down(0.5)})` }, axes[1]));
  return found;
}

function point({ x, y, n, interval, here, said }, most) {
  const stroke = drawn("line", { x1: across(x), x2: across(x), y1: down(interval[0]), y2: down(interval[1]), class: "mc-interval" });
  const dot = drawn("circle", { cx: across(x), cy: down(y), r: 3 + 5 * Math.sqrt(n / most), class: here ? "mc-dot mc-here" : "mc-dot" });
  dot.append(drawn("title", {}, said));
  return [stroke, dot];
}

function plotted(plot) {
  const svg = drawn("svg", { viewBox: `0 0 ${LEFT + SIZE + 18} ${TOP + SIZE + 42}`, class: "mc-plot", role: "img", "aria-label": plot.points.map(({ said }) => said).join(" ") });
  const most = Math.max(...plot.points.map(({ n }) => n));
  svg.append(...grid(plot), ...plot.points.flatMap((each) => point(each, most)));
  return el("figure", { class: "mc-calibration" }, svg, el("figcaption", {}, el("h4", {}, plot.title),
    el("p", { class: "mc-said" }, plot.said), el("p", { class: "mb-hint" }, plot.about)));
}

drawing(({ lines, figures, plot }) => (lines
  ? [el("p", { class: "mb-said", role: "status" }, lines.join(" ")), ...figures.map((line) => el("p", { class: "mb-hint" }, line)),
    plot ? plotted(plot) : null]
  : null));
