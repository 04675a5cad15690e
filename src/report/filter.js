const rows = [...document.getElementById("rows").rows];
const words = document.getElementById("words");
const outcome = document.getElementById("outcome");
const shown = document.getElementById("shown");
const filter = () => {
  const wanted = words.value.toLowerCase().split(/\s+/);
  const side = { "+": "g", "-": "l" }[outcome.value];
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = (side && row.className !== side) || !wanted.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  shown.textContent = `${count} of ${rows.length} shown`;
};
words.addEventListener("input", filter);
outcome.addEventListener("change", filter);
filter();
