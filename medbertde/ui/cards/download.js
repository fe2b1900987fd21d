// Nothing to see: hands a file to the browser. value: {} or {name, type, content}.
drawing(({ name, type, content }) => {
  if (name) saveAs(new Blob([content], { type }), name);
  return null;
});
