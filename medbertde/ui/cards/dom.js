// Shared by all cards. Text only ever becomes a text node: el("b", {}, text) cannot run or become markup.
const root = () => element.querySelector("[data-card]");

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") Object.assign(node.style, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Draw now and whenever the server sends a new value.
function drawing(draw) {
  const redraw = () => root() && root().replaceChildren(...[draw(props.value || {})].flat().filter(Boolean));
  watch("value", redraw);
  redraw();
}

const percent = (share) => (share < 0.01 ? "< 1 %" : share > 0.99 ? "> 99 %" : `${Math.round(100 * share)} %`);
