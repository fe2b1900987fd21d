// What in a text could show who a person is. value: {lead, hint, open, look, parts: [{text, kind?}], choices: [{name,
// label}], done}. Sends "decide" {choice}.
drawing(({ lead, hint, open, look, parts, choices, done }) => {
  const said = done ? el("p", { class: "mb-hint", role: "status" }, done) : null;
  if (!lead) return said;
  const text = el("div", { class: "mb-report ms-text", tabindex: 0, role: "region", "aria-label": look },
    parts.map((part) => part.kind === undefined ? part.text
      : el("mark", { class: "ms-found" }, part.text, el("span", { class: "ms-kind" }, part.kind))));
  queueMicrotask(() => {
    const first = text.querySelector("mark");
    if (first) text.scrollTop = first.offsetTop - text.offsetTop - text.clientHeight / 3;
  });
  return [
    said,
    el("div", { class: "mb-notice ms-note" },
      el("p", { class: "ms-lead", role: "status" }, lead, " ", hint),
      el("details", { open }, el("summary", {}, look), text),
      el("div", { class: "ms-choices" }, choices.map(({ name, label }) =>
        el("button", { type: "button", class: "mb-small", "data-choice": name,
          onclick: () => trigger("decide", { choice: name }) }, label)))),
  ];
});
