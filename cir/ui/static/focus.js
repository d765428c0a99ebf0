// The keyboard's way through the page: every grid of pictures is one stop of Tab, arrows go on within it, links skip
// what lies between, and the focus stays where it was when what had it is drawn anew.
(() => {
  const GRID = ".pictures .grid, .cards";
  const TILE = ".pictures .grid .picture, .cards .card > button";
  const FOCUSABLE = "a[href], button:not([disabled]), input:not([disabled]), textarea, select, summary";
  const TARGETS = { edit: "#edit textarea, #edit input", pictures: "#results .picture, #browse-grid .picture, #compare-columns .picture, .card > button" };
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((item) => item.offsetParent);
  const tiles = (grid) => [...grid.querySelectorAll(TILE)];
  const currentOf = (items) => items.find((item) => item.closest(".card[aria-current]")); // a list with one that is looked at
  const holderOf = (item) => item.closest("[id]")?.id ?? "";
  const reach = (item) => item?.focus({ preventScroll: false });

  // One tile of each grid takes part in the order of Tab: the one that had the focus last, else the first.
  const places = new Map();
  function rove(grid) {
    const items = tiles(grid);
    const place = Math.min(places.get(holderOf(grid)) ?? Math.max(0, items.indexOf(currentOf(items))), items.length - 1);
    items.forEach((item, i) => {
      const index = i === place ? "0" : "-1";
      if (item.getAttribute("tabindex") !== index) item.setAttribute("tabindex", index);
    });
  }

  function columnsOf(items) {
    const top = (item) => Math.round(item.getBoundingClientRect().top);
    return Math.max(1, items.filter((item) => top(item) === top(items[0])).length);
  }

  function target(item, key) {
    const grid = item.closest(GRID);
    const items = tiles(grid);
    const at = items.indexOf(item);
    const columns = columnsOf(items);
    const rows = Math.max(1, Math.floor(innerHeight / Math.max(1, item.offsetHeight)) - 1);
    const beside = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (beside && grid.closest(".compared")) {
      const grids = [...document.querySelectorAll("#compare-columns .grid")].filter((other) => other.querySelector(".picture"));
      const others = tiles(grids[grids.indexOf(grid) + beside] ?? grid);
      return others[Math.min(at, others.length - 1)];
    }
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -rows * columns, PageDown: rows * columns }[key];
    if (key === "Home") return items[0];
    if (key === "End") return items[items.length - 1];
    if (by === undefined) return null;
    const to = at + by;
    if (Math.abs(by) < 2 || (to >= 0 && to < items.length)) return items[Math.min(Math.max(to, 0), items.length - 1)];
    if (key.startsWith("Arrow")) return to < 0 ? item : items[items.length - 1];
    const column = at % columns;
    return to < 0 ? items[column] : items[column + columns * Math.floor((items.length - 1 - column) / columns)];
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    let item = event.target.closest?.(TILE);
    if (!item && document.activeElement === document.body && event.key.startsWith("Arrow")) {
      item = shown("#results .picture[tabindex='0'], .card > button[tabindex='0']")[0];
      if (!item) return;
      reach(item);
    } else if (item) {
      const to = target(item, event.key);
      if (!to) return;
      reach(to);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  // A link that skips: to the edit, or into the pictures that are shown.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-skip]");
    if (link) intoPictures(link.dataset.skip);
  });
  function intoPictures(name = "pictures") {
    if (name === "pictures") document.querySelectorAll(GRID).forEach(rove);
    const found = shown(TARGETS[name]);
    reach(found.find((item) => item.tabIndex === 0) ?? found[0]);
  }

  // What had the focus, and how to find what stands in its place when the page draws that anew.
  let last = null;
  document.addEventListener("focusin", ({ target: item }) => {
    const grid = item.closest?.(GRID);
    const place = grid ? tiles(grid).indexOf(item) : -1;
    if (grid) {
      places.set(holderOf(grid), place);
      rove(grid);
    }
    const around = [];
    for (let one = item.parentElement; one; one = one.parentElement) if (one.id) around.push(one.id);
    last = { item, place, around, like: window.recompose.likeOf(item) };
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest?.(FOCUSABLE)) last = null; // a click beside everything takes the focus away on purpose
  }, true);

  function replacement({ place, around, like }) {
    for (const id of around) {
      const holder = document.getElementById(id);
      if (!holder?.offsetParent) continue;
      const items = place >= 0 ? tiles(holder.querySelector(GRID) ?? holder) : [];
      if (items.length) return items[Math.min(place, items.length - 1)];
      const same = like && [...holder.querySelectorAll(like)].find((item) => item.offsetParent);
      if (same) return same;
    }
    return null;
  }
  // The nearest thing around that is still there, when nothing has come in its place.
  function nearest({ around }) {
    for (const id of around) {
      const found = [...(document.getElementById(id)?.querySelectorAll(FOCUSABLE) ?? [])].find((item) => item.offsetParent && item.tabIndex >= 0);
      if (found) return found;
    }
    return null;
  }
  let patience = 0;
  // An open list scrolls, so browsers let Tab stop at it; it closes when its field is left, and the focus would be gone.
  const passOver = (list) => (list.tabIndex = -1);
  function keep() {
    document.querySelectorAll(GRID).forEach(rove);
    document.querySelectorAll("[role=listbox]:not([tabindex])").forEach(passOver);
    if (!last || document.activeElement !== document.body || last.item.isConnected) {
      patience = 0;
      return;
    }
    const found = replacement(last) ?? (patience > 30 ? nearest(last) : null);
    patience += 1;
    if (found) found.focus({ preventScroll: true });
    else if (patience <= 31) requestAnimationFrame(keep);
  }
  window.recompose.whenDrawn(keep);
  window.recompose.intoPictures = intoPictures;
})();
