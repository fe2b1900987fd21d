// What a threshold means. value: {} or {lines: [..], figures: [..]}; a figure is a sentence of its own below the lines.
drawing(({ lines, figures }) => (lines
  ? [el("p", { class: "mb-said", role: "status" }, lines.join(" ")), ...figures.map((line) => el("p", { class: "mb-hint" }, line))]
  : null));
