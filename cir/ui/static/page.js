// What happens in the browser alone: the bar of shares follows the sliders at once, focus goes where work
// goes on, and one line is read aloud when it changes.
window.recompose = (() => {
  const isPhone = () => window.innerWidth < 820;
  const calm = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

  const visible = (selector) => Boolean(document.querySelector(selector)?.offsetParent);

  // Gradio draws the page after the scripts have run, and parts of it again and again: what is to be done each time.
  const drawing = [];
  let frame = 0;
  function drawn() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      drawing.forEach((then) => then());
    });
  }
  const whenDrawn = (then) => drawing.push(then);
  const watch = () => new MutationObserver(drawn).observe(document.body, { childList: true, subtree: true });
  if (document.body) watch();
  else addEventListener("DOMContentLoaded", watch);

  // Each segment names the slider that it follows; the one without a name gets what the others leave.
  function shares(names, values) {
    const segments = [...document.querySelectorAll(".shares .share")];
    const bounded = (value) => Math.min(1, Math.max(0, value ?? 0)); // a field takes any number, which is then refused
    const own = segments.map((share) => bounded(values[names.indexOf(share.dataset.parameter)]));
    const rest = Math.max(0, 1 - own.reduce((sum, value) => sum + value, 0));
    const keys = document.querySelectorAll(".share-keys li");
    const spoken = segments.map((share, i) => {
      const value = share.dataset.parameter ? own[i] : rest;
      const percent = `${Math.round(100 * value)}%`;
      share.style.flexGrow = value.toFixed(3);
      share.classList.toggle("slim", value < 0.12);
      share.querySelector(".percent").textContent = percent;
      return `${keys[i]?.textContent ?? ""} ${percent}`;
    });
    document.querySelector(".shares")?.setAttribute("aria-label", spoken.join(", "));
  }

  function room(moved, other) {
    return Math.min(other, Math.max(0, Math.round(10000 * (1 - moved)) / 10000));
  }

  function showAnswer() {
    const answer = document.querySelector("#answer");
    if (answer && (isPhone() || answer.getBoundingClientRect().top < 0)) answer.scrollIntoView({ behavior: calm(), block: "start" });
  }

  // A closed closer look gives the focus back to the picture that it came from.
  let looked = 0;
  document.addEventListener("click", (event) => {
    const item = event.target.closest?.("#results .picture");
    if (item) looked = results().indexOf(item);
  }, true);
  function lookAway() {
    document.querySelector("#results .looked")?.classList.remove("looked");
    requestAnimationFrame(() => results()[looked]?.focus({ preventScroll: true }));
  }

  function askAgain() {
    if (isPhone()) document.querySelector("#ask")?.scrollIntoView({ behavior: calm(), block: "start" });
    document.querySelector("#edit textarea, #edit input")?.focus({ preventScroll: true });
  }

  // Another tab, or a link, filled the query in: the page follows, and the search starts as if it had been clicked.
  const afterFrames = (then) => requestAnimationFrame(() => requestAnimationFrame(() => then()));
  const searchSoon = (button) => afterFrames(() => document.querySelector(button)?.click());
  const searchNow = () => searchSoon("#search-filled");

  // What is to get the focus may be drawn only some frames later.
  function focus(selector, frames = 60) {
    requestAnimationFrame(() => {
      const found = document.querySelector(selector);
      if (found) found.focus({ preventScroll: true });
      else if (frames > 0) focus(selector, frames - 1);
    });
  }

  // The closer look must not cover the picture that it is about.
  function look() {
    focus("#use-as-reference");
    requestAnimationFrame(() => {
      const picture = document.querySelector("#results .looked")?.getBoundingClientRect();
      const panel = document.querySelector("#inspector")?.getBoundingClientRect();
      if (picture && panel && picture.bottom > panel.top) window.scrollBy({ top: picture.bottom - panel.top + 10, behavior: calm() });
    });
  }

  // Landmarks, names, and what is read aloud when it changes. The page is in English, whatever gradio has made of the
  // browser's language: voices and translators go by it.
  function label() {
    if (document.documentElement.lang !== "en") document.documentElement.lang = "en";
    document.querySelector("#compared-picture button")?.setAttribute("aria-label", "Reference image, larger");
    const names = { "#stage": "status", "#ask": "search", "#answer": "region" };
    for (const [selector, role] of Object.entries(names)) document.querySelector(selector)?.setAttribute("role", role);
    document.querySelector("#stage")?.setAttribute("aria-live", "polite");
    document.querySelector("#ask")?.setAttribute("aria-label", "Your query");
    document.querySelector("#answer")?.setAttribute("aria-label", "Pictures");
  }

  // What is clicked in our own pieces is sent to the server in its turn: what to do, to which kind, at which place.
  // It goes over one component that is always there: the clicked one may have been drawn anew when its turn comes.
  // On the Search tab all acts are one event; in other tabs the event is called as the act is.
  let refocus = null;
  const current = { submit: "", view: "" };
  let wanted = null;
  const VIEWS = ["turn", "browse", "back"]; // of no order
  const FILLS = ["undo", "step"];
  function tell(act) {
    if (here[act.do]) return here[act.do](act);
    const { item, then, ...sent } = act;
    const focused = refocus;
    refocus = null;
    if (item && !item.closest("#work")) return window.recompose.act(() => window.recompose.bridge?.(act.do, sent));
    const way = VIEWS.includes(act.do) ? "view" : "submit";
    const send = () => {
      current[way] = then ?? act.do;
      wanted = focused;
      window.recompose.bridge?.(way, sent);
    };
    if (way === "view") send();
    else window.recompose.act(send, FILLS.includes(act.do));
  }

  // What needs no server: the picture is here already, and so are the weights.
  const here = {
    pick: ({ item }) => refer(item),
    use: ({ id, item }) => {
      const picture = item?.querySelector("img") ? item : results().find((one) => (id ? one.dataset.id === id : one.classList.contains("looked")));
      refer(picture);
      tell({ do: "close", then: "use" });
      askAgain();
    },
    example: ({ item }) => {
      refer(item);
      window.recompose.set({ text: item.textContent });
      searchSoon("#search");
    },
    retype: ({ kind, text }) => {
      window.recompose.set({ text });
      if (kind === "search") searchSoon("#search");
      else document.querySelector("#edit textarea")?.focus();
    },
    preset: ({ item }) => {
      window.recompose.chose();
      window.recompose.set(JSON.parse(item.dataset.text));
      afterFrames(() => window.recompose.moved(true));
    },
  };
  function refer(item) {
    const picture = item?.querySelector("img");
    if (!picture) return;
    window.recompose.refer(item.dataset.id, item.dataset.address ?? picture.src);
    if (item.dataset.do === "pick") askAgain();
  }
  const idOf = (item) => item.dataset.id || null;
  const wasOf = (item) => item.closest(".term")?.querySelector("q")?.textContent ?? null;
  const placeOf = (item) => (item.dataset.place === undefined ? null : Number(item.dataset.place));
  // Finds what stands in its place when the page has drawn that anew.
  function likeOf(item) {
    if (item.id) return `#${CSS.escape(item.id)}`;
    const given = ["do", "edit", "kind", "place"].filter((name) => item.dataset[name] !== undefined);
    return given.map((name) => `[data-${name}="${CSS.escape(item.dataset[name])}"]`).join("");
  }
  document.addEventListener("click", (event) => {
    const item = event.target.closest?.("[data-do], [data-edit]");
    if (!item) return;
    if (item.dataset.do === "more") before = results().length;
    refocus = likeOf(item);
    const { edit, kind, text } = item.dataset;
    if (item.dataset.do === "look") results().forEach((one) => one.classList.toggle("looked", one === item));
    if (edit) change(item);
    else tell({ do: item.dataset.do, kind: kind ?? null, place: placeOf(item), id: idOf(item), was: wasOf(item), text: text ?? null, item });
  });

  // A chip becomes a field. What is too long for it is kept and told: a field that cuts would do so without a word. Enter sends what stands there, Escape leaves all as it was.
  const MOST = 200;
  function change(item) {
    const { edit, kind, value } = item.dataset;
    const adding = item.classList.contains("add");
    const field = document.createElement("input");
    field.type = edit === "weigh" ? "number" : "text";
    if (edit === "weigh") Object.assign(field, { min: -1, max: 1, step: 0.05 });
    const said = item.firstChild?.nodeType === Node.TEXT_NODE ? item.firstChild.data : item.textContent;
    const before = adding ? "" : value ?? said.trim();
    field.value = before;
    field.className = "chip-field";
    field.setAttribute("aria-label", item.getAttribute("aria-label") || item.title);
    field.placeholder = adding ? item.title : "nothing takes it away";
    item.hidden = true;
    item.after(field);
    field.focus();
    field.select();
    let over = false;
    const close = () => {
      over = true;
      field.remove();
      item.hidden = false;
    };
    const send = () => {
      over = true;
      const now = field.value.trim();
      if (now === before || (!now && adding)) return;
      tell({ do: edit, kind: kind ?? null, place: placeOf(item), was: edit === "text" && !adding ? before : wasOf(item), text: now });
    };
    field.addEventListener("input", () => field.setCustomValidity(""));
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault(); // else the chip, which has the focus next, is pressed as well
      refocus = likeOf(item);
      if (event.key === "Enter" && field.value.trim().length > MOST) {
        field.setCustomValidity(`At most ${MOST} characters; this has ${field.value.trim().length}.`);
        return field.reportValidity();
      }
      if (event.key === "Enter") send();
      close();
      item.focus({ preventScroll: true });
    });
    // A click elsewhere takes what was typed. The field goes later, as it may be the page that is drawing its place anew.
    field.addEventListener("blur", () => {
      if (over) return;
      send();
      setTimeout(close);
    });
  }

  // After an act the page goes where the work goes on; a button that was drawn anew has the focus again.
  function acted(way = "submit") {
    const next = { look, close: lookAway, use: askAgain, browse: browsed, back: () => window.recompose.intoPictures(), more: shownMore }[current[way]];
    const place = wanted;
    current[way] = "";
    wanted = null;
    if (next) next();
    else if (place && document.activeElement === document.body) focus(place, 20);
  }

  // After "Pick from the gallery" the keys are in the grid; after "Show more" they are at the first one that is new.
  function browsed() {
    showAnswer();
    requestAnimationFrame(() => window.recompose.intoPictures());
  }
  let before = 0;
  const shownMore = () => focus(`#results .picture[data-place="${before}"]`);

  // An address of bytes that came as text; whoever asked for it lets go of it.
  function addressOf(type, data) {
    return URL.createObjectURL(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type }));
  }

  // What the server packed is shown, saved or copied here; nothing of it is kept there.
  function take(parcel) {
    if (!parcel) return;
    const { name, type, data, copy, larger, words } = JSON.parse(parcel);
    if (larger) return window.recompose.enlarge({ name, type, data, words });
    if (copy) return offer(location.origin + location.pathname + copy);
    const link = Object.assign(document.createElement("a"), { href: addressOf(type, data), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
  function offer(address) {
    const button = document.querySelector("#copy-link");
    const say = (words) => {
      if (!button) return;
      const before = button.dataset.words ?? (button.dataset.words = button.textContent.trim());
      button.textContent = words;
      setTimeout(() => (button.textContent = before), 2500);
    };
    const byHand = () => window.prompt("Copy this link:", address);
    if (navigator.clipboard) navigator.clipboard.writeText(address).then(() => say("Copied"), byHand);
    else byHand();
  }

  // Keys among the results. None of them works while something is typed, or in another tab.
  const results = () => [...document.querySelectorAll("#results .picture")];
  const typing = (target) => Boolean(target.closest?.("input:not([type=checkbox], [type=range]), textarea, select, [contenteditable=true]"));
  function press(event) {
    const items = results();
    const at = items.indexOf(document.activeElement);
    const place = visible("#inspector") ? null : at;
    const id = place === null ? null : items[at]?.dataset.id;
    const about = (act) => (place === null || at >= 0) && tell({ kind: null, text: null, place, id, item: items[at], ...act });
    const keys = {
      "/": () => document.querySelector("#edit textarea, #edit input")?.focus(),
      u: () => (visible("#use-as-reference") ? document.querySelector("#use-as-reference").click() : about({ do: "use" })),
      m: () => about({ do: "want", kind: "more" }),
      l: () => about({ do: "want", kind: "less" }),
      v: () => document.querySelector("#inspector [data-do=enlarge]")?.click(),
      x: () => tell({ do: "select", kind: null, text: null, place: at >= 0 ? at : null, id: items[at]?.dataset.id ?? null }),
      z: () => document.querySelector("#crumbs [data-do=undo]")?.click(),
    };
    if (!keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  }
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") document.querySelector("#close-inspector")?.click();
    else if (!event.ctrlKey && !event.metaKey && !event.altKey && visible("#work") && !typing(event.target)) press(event);
  });

  // Tabs by arrow keys; those that do not fit a phone's row are behind its last button.
  document.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way || !event.target.matches?.("#tabs > .tab-wrapper button")) return;
    const items = [...document.querySelectorAll("#tabs > .tab-wrapper :is([role=tab], .overflow-menu button)")].filter((item) => item.offsetParent);
    const item = items[items.indexOf(event.target) + way];
    item?.focus();
    if (item?.role === "tab") item.click();
    event.preventDefault();
  });

  // The corner of a result is its tick box; the rest of it is the closer look.
  document.addEventListener("click", (event) => {
    const item = event.target.closest?.("#results .picture");
    const corner = item?.getBoundingClientRect();
    if (!corner || event.detail === 0 || !matchMedia("(hover: hover)").matches || event.clientX < corner.right - 40 || event.clientY > corner.top + 40) return;
    event.stopPropagation();
    event.preventDefault();
    tell({ do: "select", kind: null, text: null, place: results().indexOf(item), id: item.dataset.id });
  }, true);
  whenDrawn(label);
  return { shares, room, showAnswer, searchNow, isPhone, visible, whenDrawn, acted, take, addressOf, likeOf, typing };
})();
