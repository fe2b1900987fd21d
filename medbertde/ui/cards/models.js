// The models for a task. value: {hint, items: [{name, title, id, where, state, good_for, facts: [[term, text]], reason,
// answers, use, waits}]}; all but name, where and waits are wordings. A click on `use` asks for that model.
drawing(({ hint, items }) => {
  if (!items) return null;
  const chosen = document.activeElement?.closest("[data-card=models] button")?.dataset.name;
  const button = (item) =>
    el("button", { type: "button", class: "mb-use", "data-name": item.name, "aria-disabled": item.waits ? "true" : null,
        "aria-label": `${item.use}: ${item.title}`, onclick: () => item.waits || trigger("choose", { name: item.name }) },
      item.use);
  const row = (item) =>
    el("li", { class: item.answers ? "mb-model mb-answers" : "mb-model", "data-where": item.where, "data-model": item.name },
      el("div", { class: "mb-model-head" },
        el("h3", {}, item.title, item.id ? el("span", { class: "mb-model-id" }, item.id) : null),
        el("span", { class: "mb-state" }, item.state)),
      el("div", { class: "mb-model-act" },
        item.answers ? el("span", { class: "mb-now" }, item.answers) : item.use ? button(item) : null),
      el("p", {}, item.good_for),
      item.reason ? el("p", { class: "mb-notice" }, item.reason) : null,
      el("dl", { class: "mb-facts" },
        item.facts.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text)))));
  requestAnimationFrame(() => chosen && root()?.querySelector(`button[data-name="${CSS.escape(chosen)}"]`)?.focus());
  return [hint ? el("p", { class: "mb-hint" }, hint) : null, el("ul", { class: "mb-list", tabindex: 0 }, items.map(row))];
});
