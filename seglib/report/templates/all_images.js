// The table of all images, where its script lies beside the page.
function showAllImages({ names, rows, pictures }, place) {
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const most = 50;
  const known = new Set(pictures);
  const address = (stem) => `${place.dataset.folder}/${encodeURIComponent(stem)}.jpg`;
  let shown = rows, limit = most;
  const filter = Object.assign(document.createElement("input"), {
    type: "search", placeholder: "part of a name", ariaLabel: "Filter the images",
  });
  const panel = make("div"), table = make("table"), head = make("tr"), body = make("tbody");
  const more = make("button", "more");
  panel.className = "panel";
  for (const name of names) {
    const cell = make("th", name.replaceAll("_", " "));
    if (name !== names[0]) cell.className = "num";
    head.append(cell);
  }
  table.createTHead().append(head);
  table.append(body);
  panel.append(table);
  const draw = () => {
    body.replaceChildren(...shown.slice(0, limit).map(([stem, ...values]) => {
      const row = make("tr"), cell = make("th");
      const name = known.has(stem) ? Object.assign(make("a", stem), { href: address(stem) }) : stem;
      cell.append(name);
      row.append(cell, ...values.map((value) => {
        const each = make("td", value === null ? "–" : value.toFixed(3));
        each.className = "num";
        return each;
      }));
      return row;
    }));
    more.hidden = shown.length <= limit;
    more.textContent = `${(shown.length - limit).toLocaleString("en")} more`;
  };
  more.addEventListener("click", () => { limit += 10 * most; draw(); });
  const refresh = () => {
    const part = filter.value.toLowerCase();
    shown = rows.filter(([stem]) => stem.toLowerCase().includes(part));
    limit = most;
    draw();
  };
  filter.addEventListener("input", refresh);
  makeSortable(table, (column, ascending) => {
    rows.sort((a, b) => before(a[column] ?? "", b[column] ?? "", ascending));
    refresh();
  });
  draw();
  place.replaceChildren(filter, panel, more);
  for (const figure of document.querySelectorAll("figure[data-name]")) {
    if (!known.has(figure.dataset.name)) continue;
    const link = Object.assign(document.createElement("a"), { href: address(figure.dataset.name) });
    const picture = figure.querySelector("img");
    picture.replaceWith(link);
    link.append(picture);
  }
}
const allImages = document.getElementById("all-images");
if (allImages && window.perImage) showAllImages(window.perImage, allImages);
