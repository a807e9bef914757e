"use strict";
// Tables sort by a click on a heading, and show the rows that have some words.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const words = rows.map((row) => row.textContent.toLowerCase());
  const headings = Array.from(table.tHead.rows[0].cells);
  const number = (text) => (text.trim() === "" ? NaN : Number(text));
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a < b ? -1 : a > b ? 1 : 0;
  };
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = Array.from(body.rows).map((row) => [row.cells[column].textContent, row]);
      // What is missing is last either way.
      keyed.sort(([a], [b]) => (a === "") - (b === "") || (down ? compare(b, a) : compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    });
  });
  const form = table.parentElement.previousElementSibling;
  if (!form || !form.matches("form.filter")) continue;
  const choice = form.elements.choice;
  const filter = () => {
    const wanted = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      const cell = row.cells[Number(choice.dataset.column)].textContent;
      const is = wanted.every((word) => words[at].includes(word)) && (!choice.value || choice.value === cell);
      row.hidden = !is;
      shown += is;
    });
    form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}
