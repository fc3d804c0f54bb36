// One image at a time. The slider uncovers truth, prediction and errors from the left.
const LAYERS = ["image", "truth", "prediction", "errors"];
const viewer = (() => {
  const dialog = document.getElementById("viewer");
  const find = (selector) => dialog.querySelector(selector);
  const stage = find(".stage"), canvas = find(".canvas"), range = find("input");
  const edge = find(".edge"), note = find("#viewer-note"), zoomed = find("#viewer-zoom");
  const parts = LAYERS.map((layer) => find(`.layer.${layer}`));
  let items = [], place = 0, zoom = 1, size = [1, 1];

  const layOut = () => {
    const fit = Math.min(stage.clientWidth / size[0], stage.clientHeight / size[1]);
    canvas.style.width = `${size[0] * fit * zoom}px`;
    canvas.style.height = `${size[1] * fit * zoom}px`;
    canvas.classList.toggle("large", fit * zoom > 2);
    zoomed.textContent = `${Math.round(100 * zoom)} %`;
  };
  const setZoom = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) => {
    const before = zoom, left = stage.scrollLeft + x, top = stage.scrollTop + y;
    zoom = Math.min(16, Math.max(1, zoom * factor));
    layOut();
    stage.scrollLeft = left * zoom / before - x;
    stage.scrollTop = top * zoom / before - y;
  };
  const slide = (value) => {
    range.value = value;
    const now = Number(range.value), under = Math.floor(now), share = now - under;
    parts.forEach((part, index) => {
      part.hidden = index > Math.ceil(now) || index < under;
      part.style.clipPath = index > under ? `inset(0 ${100 - 100 * share}% 0 0)` : "";
    });
    edge.hidden = share === 0;
    edge.style.left = `${100 * share}%`;
    const text = share === 0 ? LAYERS[under]
      : `${Math.round(100 * share)} % ${LAYERS[under + 1]}, the rest ${LAYERS[under]}`;
    range.setAttribute("aria-valuetext", text);
    for (const stop of dialog.querySelectorAll("[data-stop]")) {
      stop.setAttribute("aria-pressed", Number(stop.dataset.stop) === now);
    }
  };
  const show = (next) => {
    place = (next + items.length) % items.length;
    const { name, text, sources } = items[place];
    find("#viewer-name").textContent = name;
    note.textContent = `${place + 1} of ${items.length}${text ? ` · ${text}` : ""}`;
    parts.forEach((part, index) => {
      part.firstElementChild.src = sources[LAYERS[index]];
      part.style.setProperty("--under", `url("${sources.image}")`);
    });
  };
  const close = () => dialog.close();
  const does = {
    previous: () => show(place - 1), next: () => show(place + 1),
    in: () => setZoom(1.5), out: () => setZoom(1 / 1.5), close,
  };
  const keys = {
    ArrowLeft: does.previous, ArrowRight: does.next, "+": does.in, "=": does.in,
    "-": does.out, 0: () => setZoom(0), 1: () => slide(0), 2: () => slide(1),
    3: () => slide(2), 4: () => slide(3),
  };
  const first = parts[0].firstElementChild;
  first.addEventListener("load", () => {
    size = [first.naturalWidth, first.naturalHeight];
    layOut();
  });
  first.addEventListener("error", () => {
    note.textContent += " · its pictures are not beside this page";
  });
  range.addEventListener("input", () => slide(range.value));
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.do) does[button.dataset.do]();
    if (button?.dataset.stop) slide(button.dataset.stop);
  });
  dialog.addEventListener("keydown", (event) => {
    const moves = event.target === range && event.key.startsWith("Arrow");
    if (moves || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && event.key.startsWith("Arrow")) {
      stage.scrollLeft += { ArrowLeft: -80, ArrowRight: 80 }[event.key] ?? 0;
    } else if (keys[event.key]) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    setZoom(2 ** (-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  stage.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons !== 1) return;
    stage.scrollLeft -= event.movementX;
    stage.scrollTop -= event.movementY;
  });
  canvas.addEventListener("dragstart", (event) => event.preventDefault());
  window.addEventListener("resize", () => dialog.open && layOut());
  return (listed, start, stop = 0) => {
    items = listed;
    zoom = 1;
    dialog.showModal();
    slide(stop);
    show(start);
    layOut();
    stage.focus();
  };
})();
const figures = [...document.querySelectorAll("figure.layers")];
const inlined = figures.map((figure) => ({
  name: figure.dataset.name,
  text: figure.querySelector("figcaption b").textContent,
  sources: Object.fromEntries(LAYERS.map((layer) => [
    layer, figure.querySelector(`.layer.${layer} img`).src,
  ])),
}));
figures.forEach((figure, index) => {
  const errors = figure.querySelector(".errors");
  errors.style.setProperty("--under", `url("${inlined[index].sources.image}")`);
  LAYERS.forEach((layer, stop) => {
    const button = document.createElement("button");
    const picture = figure.querySelector(`.layer.${layer}`);
    button.ariaLabel = `Look at ${figure.dataset.name}: ${layer}`;
    picture.replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => viewer(inlined, index, stop));
  });
});
