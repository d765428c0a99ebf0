// The first screen: the Search tab, drawn from the page's own description before gradio's scripts have been read.
// One can type, choose a picture and ask at once; what was done is done again on the page as soon as that is there.
(() => {
  const config = window.gradio_config;
  const address = new URLSearchParams(location.search);
  address.delete("__theme");
  // A linked search fills the page in itself; where a password is asked for, there is nothing to draw.
  if (!config?.layout || !config.components.length || address.size) return;

  const PATIENCE = 30000;
  const TAB = "tab: ";
  const parts = new Map(config.components.map((part) => [part.id, part]));
  const draw = { html, tabs, tabitem: inside, row: box, column: box, form: inside, image: drop, textbox: field, button, accordion: fold };
  const screen = element("form", { id: "first-screen", ariaLabel: "Your query" });
  // What was clicked last, as the selector of the same thing on the page: a picture to begin with, and what else.
  const clicked = { picture: "", other: "" };
  let asked = false;
  let composing = false;

  function element(name, given = {}, ...children) {
    const made = Object.assign(document.createElement(name), given);
    made.append(...children);
    return made;
  }
  function inside(node) {
    return (node.children ?? []).flatMap((child) => {
      const { type, props } = parts.get(child.id) ?? {};
      return draw[type] && (props.visible ?? true) === true ? draw[type](child, props) : [];
    });
  }
  function box(node, props) {
    const children = inside(node);
    return children.length ? [element("div", { className: `first-${props.elem_id}` }, ...children)] : [];
  }
  function html(_node, { value, elem_id, elem_classes }) {
    if (!value) return [];
    const made = element("div", { className: [`first-${elem_id}`, ...elem_classes].join(" "), innerHTML: value });
    for (const item of made.querySelectorAll("[data-do]")) {
      const data = ["do", "kind", "place"].filter((name) => item.dataset[name] !== undefined);
      const named = data.map((name) => `[data-${name}="${item.dataset[name]}"]`).join("");
      item.dataset.there = item.id ? `#${item.id}` : `#${elem_id} ${named}`;
    }
    made.querySelectorAll("[id]").forEach((item) => item.removeAttribute("id"));
    return [made];
  }
  function tabs(node, { selected }) {
    const items = node.children.map((child) => {
      const { label, id } = parts.get(child.id).props;
      const item = element("button", { type: "button", className: id === selected ? "selected" : "", textContent: label });
      item.dataset.there = TAB + label;
      return item;
    });
    const shown = node.children.find((child) => parts.get(child.id).props.id === selected);
    return [element("div", { className: "first-tabs" }, ...items), ...inside(shown)];
  }
  function drop(_node, { label, placeholder, elem_id }) {
    const words = element("span", { className: "first-words", textContent: placeholder });
    const file = element("input", { type: "file", accept: "image/*", ariaLabel: label });
    return [element("label", { className: `first-${elem_id}` }, element("span", { className: "first-label", textContent: label }), words, file)];
  }
  function field(_node, { label, placeholder, elem_id, max_length }) {
    const text = element("textarea", { rows: 1, placeholder, maxLength: max_length ?? -1 });
    return [element("label", { className: `first-${elem_id}` }, element("span", { className: "first-label", textContent: label }), text)];
  }
  function button(_node, { value, elem_id, variant }) {
    return [element("button", { className: `first-${elem_id} ${variant}`, textContent: value })];
  }
  function fold(_node, { label, elem_id }) {
    return [element("div", { className: `first-fold first-${elem_id}`, textContent: label })];
  }

  const find = (what) => screen.querySelector(what);
  const file = () => find("input[type=file]");
  const text = () => find("textarea");
  const show = (picture) => {
    const place = file().parentNode;
    place.classList.add("filled");
    place.style.backgroundImage = `url("${picture}")`;
  };

  screen.addEventListener("click", (event) => {
    const item = event.target.closest("[data-there]");
    if (item?.dataset.do === "pick") {
      clicked.picture = item.dataset.there;
      file().value = "";
      show(item.querySelector("img").src);
    } else if (item) clicked.other = item.dataset.there;
    else return;
    find(".looked")?.classList.remove("looked");
    item.classList.add("looked");
  });
  screen.addEventListener("change", () => {
    if (!file().files.length) return;
    clicked.picture = "";
    show(URL.createObjectURL(file().files[0]));
  });
  screen.addEventListener("submit", (event) => {
    event.preventDefault();
    asked = true;
    find("button.primary").textContent = "Starting …";
  });
  screen.addEventListener("keydown", (event) => {
    if (event.target === text() && event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      screen.requestSubmit();
    }
  });
  screen.addEventListener("compositionstart", () => (composing = true));
  screen.addEventListener("compositionend", () => (composing = false));

  // What the page needs before all that was done here can be done there.
  const page = (what) => document.querySelector(what);
  const needed = ["#edit textarea", "#search", "#reference input[type=file]"];
  const there = () => window.recompose?.bridge && [...needed, find(".picture") && "#browse-grid .picture"].every((what) => !what || page(what));
  // On a phone, tabs that do not fit stand in a menu.
  const tab = (label) => [...document.querySelectorAll("#tabs > .tab-wrapper :is([role=tab], .overflow-menu button)")].find((one) => one.textContent.trim() === label);
  const same = (what) => (what.startsWith(TAB) ? tab(what.slice(TAB.length)) : page(what));
  const until = (what, then, frames = 600) => {
    if (what()) then();
    else if (frames > 0) requestAnimationFrame(() => until(what, then, frames - 1));
  };
  function handOver() {
    const [mine, its] = [text(), page("#edit textarea")];
    const [typed, focused, from, to] = [mine.value, document.activeElement, mine.selectionStart, mine.selectionEnd];
    const files = file().files;
    const example = clicked.other.includes('"example"'); // it brings a picture and starts a search of its own
    const pictured = files.length || clicked.picture;
    if (typed) {
      its.value = typed;
      its.dispatchEvent(new Event("input", { bubbles: true }));
    }
    screen.remove();
    if (focused === mine) {
      its.focus({ preventScroll: true });
      its.setSelectionRange(from, to);
    } else if (focused?.dataset.there) same(focused.dataset.there)?.focus({ preventScroll: true });
    if (example) return page(clicked.other).click();
    if (files.length) {
      const taker = page("#reference input[type=file]");
      taker.files = files;
      taker.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (clicked.picture) page(clicked.picture).click();
    if (clicked.other) same(clicked.other)?.click();
    const ask = () => requestAnimationFrame(() => requestAnimationFrame(() => page("#search").click()));
    if (asked) until(() => !pictured || page("#reference img"), ask);
  }

  const look = element("style", { textContent: config.css });
  const theme = element("link", { rel: "stylesheet", href: `theme.css?v=${config.theme_hash}` });
  const dark = new URLSearchParams(location.search).get("__theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  screen.style.visibility = "hidden";
  theme.onload = theme.onerror = () => screen.style.removeProperty("visibility");
  document.head.append(theme);
  document.body.classList.toggle("dark", dark === "dark");
  screen.append(look, ...inside(config.layout)); // after gradio's own styles, whenever those come
  document.body.prepend(screen);
  const begun = performance.now();
  const watch = () => {
    if (there() && !composing) {
      if (screen.classList.contains("leaving")) return handOver();
      screen.classList.add("leaving"); // the page is drawn under it first: nothing flickers, all can take the focus
      requestAnimationFrame(() => requestAnimationFrame(watch));
    } else if (performance.now() - begun > PATIENCE && !there()) screen.remove(); // gradio says what is wrong
    else setTimeout(watch, 30); // a frame for each look would take time from the page
  };
  watch();
})();
