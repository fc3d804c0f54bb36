"use strict";
// Headers sort their column; cells without a value stay last in both directions.
function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text.replace(/,/g, ""));
  return text === "" || Number.isNaN(number) ? text : number;
}
function compare(a, b, ascending) {
  const absent = (value) => value === null || value === "" || value === "–";
  if (absent(a) || absent(b)) return absent(a) - absent(b);
  const order = typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return ascending ? order : -order;
}
function makeSortable(table, sort) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.ariaSort === "descending"
        || (head.ariaSort !== "ascending" && column === 0);
      for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
      head.ariaSort = ascending ? "ascending" : "descending";
      sort(column, ascending);
    });
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table, (column, ascending) => {
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(valueOf(a, column), valueOf(b, column), ascending));
    table.tBodies[0].append(...rows);
  });
}
