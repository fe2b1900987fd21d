// The findings of a report by state. value: {empty, words, text, outdated, chosen, notices: [..], model, groups: [{title, state,
// items: [{label, name, definition, present, uncertain, absent, shown}]}]}; a click asks for a finding's evidence. `text` is
// what was read; while another one stands in the field, `outdated` says so.
const remark = el("p", { class: "mb-notice", role: "status" });
function compare() {
  const { text, outdated, groups } = props.value || {};
  const field = document.querySelector("#read-text textarea");
  const differs = Boolean(groups && field && field.value !== text.replace(/\r\n?/g, "\n"));
  document.getElementById("read")?.toggleAttribute("data-outdated", differs);
  if (!differs) return remark.remove();
  if (remark.textContent !== outdated) remark.textContent = outdated;
  if (!remark.isConnected) root()?.prepend(remark);
}
document.addEventListener("medbertde-text", () => requestAnimationFrame(compare));

drawing(({ empty, words, chosen, notices, model, groups }) => {
  requestAnimationFrame(compare); // an example's text comes into the field with its answer
  if (!groups) return el("p", { class: "mb-empty" }, empty || "");
  const bar = (item) => {
    const parts = [["present", item.present], ["uncertain", item.uncertain], ["absent", item.absent]];
    const title = parts.filter(([, p]) => p !== null).map(([state, p]) => `${words[state]} ${percent(p)}`).join(" · ");
    return el("span", { class: "mb-track", title },
      el("span", { class: `mb-fill mb-${item.state}`, style: { width: `${Math.max(1, 100 * item.shown)}%` } }));
  };
  const row = (item) =>
    el("li", {},
      el("button",
        { type: "button", class: "mb-finding", "aria-pressed": String(item.label === chosen), title: item.definition,
          "data-label": item.label, onclick: () => trigger("choose", { label: item.label, state: item.state }) },
        el("span", { class: "mb-word" }, item.name), bar(item), el("span", { class: "mb-number" }, percent(item.shown))));
  const sections = groups.filter((group) => group.items.length).map((group) =>
    el("section", { class: "mb-group", "data-state": group.state },
      el("h3", {}, el("span", { class: `mb-dot mb-${group.state}`, "aria-hidden": "true" }), group.title,
        el("span", { class: "mb-count" }, `${group.items.length}`)),
      el("ul", { class: "mb-list" }, group.items.map(row))));
  return [notices.map((notice) => el("p", { class: "mb-notice" }, notice)), sections, el("p", { class: "mb-by" }, model)].flat();
});
