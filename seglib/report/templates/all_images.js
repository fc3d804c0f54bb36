// The table of all images, where its script lies beside the page.
function showAllImages({ names, rows, pictures, suffixes }, place) {
  const make = (tag, options) => Object.assign(document.createElement(tag), options);
  const most = 50;
  const known = new Set(pictures);
  const sourcesOf = (stem) => Object.fromEntries(LAYERS.map((layer) => [
    layer, `${place.dataset.folder}/${encodeURIComponent(stem + suffixes[layer])}`,
  ]));
  const itemOf = ([stem, score]) => ({
    name: stem,
    text: score === null ? "" : `mIoU ${score.toFixed(3)}`,
    sources: sourcesOf(stem),
  });
  let shown = rows, limit = most;
  const filter = make("input", {
    type: "search", placeholder: "part of a name", ariaLabel: "Filter the images by name",
  });
  const count = make("span", { className: "soft small", role: "status" });
  const panel = make("div", { className: "panel scroll", tabIndex: 0, role: "region", ariaLabel: "All images" });
  const table = make("table"), head = make("tr"), body = make("tbody");
  const more = make("button", { type: "button" });
  for (const name of names) {
    const title = name === "stem" ? "image" : name.replace("_per_image", "").replaceAll("_", " ").replace("miou", "mIoU");
    head.append(make("th", { scope: "col", textContent: title, className: name === names[0] ? "" : "num" }));
  }
  table.createTHead().append(head);
  table.append(body);
  panel.append(table);
  const open = (stem) => {
    const listed = shown.filter((row) => known.has(row[0]));
    viewer(listed.map(itemOf), listed.findIndex((row) => row[0] === stem));
  };
  const draw = () => {
    body.replaceChildren(...shown.slice(0, limit).map(([stem, ...values]) => {
      const row = make("tr"), cell = make("th", { scope: "row" });
      const button = make("button", { className: "link", textContent: stem });
      cell.append(known.has(stem) ? button : stem);
      if (known.has(stem)) {
        row.className = "opens";
        row.addEventListener("click", () => open(stem));
      }
      row.append(cell, ...values.map((value) => make("td", {
        className: value === null ? "num" : "num meter",
        textContent: value === null ? "–" : value.toFixed(3),
        style: value === null ? "" : `--v:${value}`,
      })));
      return row;
    }));
    count.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} images`;
    more.hidden = shown.length <= limit;
    more.textContent = `${(shown.length - limit).toLocaleString("en")} more`;
  };
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...body.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  });
  more.addEventListener("click", () => { limit += 10 * most; draw(); });
  const refresh = () => {
    const part = filter.value.toLowerCase();
    shown = rows.filter(([stem]) => stem.toLowerCase().includes(part));
    limit = most;
    draw();
  };
  filter.addEventListener("input", refresh);
  makeSortable(table, (column, ascending) => {
    rows.sort((a, b) => compare(a[column], b[column], ascending));
    refresh();
  });
  head.cells[1].ariaSort = "ascending"; // as they are written: from worst to best
  draw();
  const line = make("p", { className: "filter" });
  line.append(filter, count);
  place.replaceChildren(line, panel, more);
  for (const item of inlined) if (known.has(item.name)) item.sources = sourcesOf(item.name);
}
const allImages = document.getElementById("all-images");
if (window.perImage) showAllImages(window.perImage, allImages);
