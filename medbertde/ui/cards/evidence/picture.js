// The explanation as a picture, painted here: sentences with their colours and values, legend, how it came about.
const PICTURE = { width: 900, margin: 32, line: 26, font: "16px system-ui, sans-serif", small: "13px system-ui, sans-serif" };
const PAPER = { text: "#1e293b", faint: "#56657a", for: "194, 65, 12", against: "37, 99, 171" };

// Words and spaces of the text with the tint of their sentence; a value follows each sentence that has one.
function strokes(parts) {
  const found = [];
  const add = (text, tint, small) => {
    for (const token of text.match(/\n|[^\S\n]+|\S+/g) ?? []) found.push({ token, tint, small });
  };
  for (const part of parts) {
    if (typeof part === "string") add(part, 0, false);
    else {
      add(part.pieces.map((piece) => piece.text).join(""), part.tint, false);
      if (part.shown) add(` ${part.shown}`, 0, true);
    }
  }
  return found;
}

// Lays the strokes out in lines and paints them where a context wants it; returns the height used.
function layText(context, list, top, paint) {
  let x = PICTURE.margin, y = top + PICTURE.line;
  const newLine = () => [x, y] = [PICTURE.margin, y + PICTURE.line];
  for (const { token, tint, small } of list) {
    if (token === "\n") { newLine(); continue; }
    context.font = small ? PICTURE.small : PICTURE.font;
    const width = context.measureText(token).width;
    if (x + width > PICTURE.width - PICTURE.margin && token.trim()) newLine();
    if (paint) {
      if (Math.abs(tint) >= 0.04) {
        context.fillStyle = `rgba(${tint > 0 ? PAPER.for : PAPER.against}, ${0.55 * Math.min(1, Math.abs(tint))})`;
        context.fillRect(x, y - 17, width, 22);
      }
      context.fillStyle = small ? PAPER.faint : PAPER.text;
      context.fillText(token, x, y);
    }
    x += width;
  }
  return y;
}

function savePicture({ title, parts, legend, facts, label, research }) {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  const line = (text, small = true) => (text.match(/[^\S\n]+|\S+/g) ?? []).map((token) => ({ token, tint: 0, small }));
  const about = facts.map((fact) => `${fact.name}: ${fact.value}`);
  const blocks = [line(title, false), strokes(parts),
    [{ token: ` ${legend.against} `, tint: -1, small: false }, ...line("   "), { token: ` ${legend.for} `, tint: 1, small: false }],
    line(legend.about), ...about.map((text) => line(text)), line(research)];
  const gaps = [0, 14, 22, 8, ...about.map((_, index) => (index ? -4 : 12)), 12];
  const layAll = (paint) => blocks.reduce((y, block, index) => layText(context, block, y + gaps[index], paint), PICTURE.margin - 10);
  const height = layAll(false) + PICTURE.margin;
  const scale = Math.min(2, 16000 / height); // browsers refuse larger canvases
  [canvas.width, canvas.height] = [Math.round(scale * PICTURE.width), Math.round(scale * height)];
  context.scale(scale, scale);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, PICTURE.width, height);
  layAll(true);
  canvas.toBlob((picture) => saveAs(picture, `medbertde_${label}.png`), "image/png");
}
