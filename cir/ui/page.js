// What happens in the browser alone: the bar of shares follows the sliders at once, focus goes where work
// goes on, and one line is read aloud when it changes.
window.recompose = (() => {
  const parts = ["modified_captions", "fine_grained", "reference_image"];
  const isPhone = () => window.innerWidth < 820;
  const calm = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

  function shares(alpha, beta) {
    const values = [alpha, beta, Math.max(0, 1 - alpha - beta)];
    const spoken = [];
    parts.forEach((part, i) => {
      const share = document.querySelector(`.shares .${part}`);
      if (!share) return;
      const percent = `${Math.round(100 * values[i])}%`;
      share.style.flexGrow = values[i].toFixed(3);
      share.classList.toggle("slim", values[i] < 0.12);
      share.querySelector(".percent").textContent = percent;
      const key = document.querySelector(`.share-keys .${part}`);
      spoken.push(`${key ? key.textContent : part} ${percent}`);
    });
    document.querySelector(".shares")?.setAttribute("aria-label", spoken.join(", "));
  }

  function room(moved, other) {
    return Math.min(other, Math.round(10000 * (1 - moved)) / 10000);
  }

  function showAnswer() {
    const answer = document.querySelector("#answer");
    if (answer && (isPhone() || answer.getBoundingClientRect().top < 0)) answer.scrollIntoView({ behavior: calm(), block: "start" });
  }

  // A closed closer look gives the focus back to the picture that it came from.
  let looked = 0;
  document.addEventListener("click", (event) => {
    const item = event.target.closest?.("#results .thumbnail-lg");
    if (item) looked = [...document.querySelectorAll("#results .thumbnail-lg")].indexOf(item);
  }, true);
  function lookAway() {
    requestAnimationFrame(() => document.querySelectorAll("#results .thumbnail-lg")[looked]?.focus({ preventScroll: true }));
  }

  function askAgain() {
    if (isPhone()) document.querySelector("#ask")?.scrollIntoView({ behavior: calm(), block: "start" });
    document.querySelector("#edit textarea, #edit input")?.focus({ preventScroll: true });
  }

  // Another tab filled the query in: the page follows, and the search starts as if it had been clicked.
  function searchNow() {
    requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector("#search")?.click()));
  }

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
      const picture = document.querySelector("#results .selected")?.getBoundingClientRect();
      const panel = document.querySelector("#inspector")?.getBoundingClientRect();
      if (picture && panel && picture.bottom > panel.top) window.scrollBy({ top: picture.bottom - panel.top + 10, behavior: calm() });
    });
  }

  // Gradio draws the page after this script has run, and again when parts of it change.
  function label() {
    const names = { "#stage": "status", "#ask": "search", "#answer": "region" };
    for (const [selector, role] of Object.entries(names)) document.querySelector(selector)?.setAttribute("role", role);
    document.querySelector("#stage")?.setAttribute("aria-live", "polite");
    document.querySelector("#ask")?.setAttribute("aria-label", "Your query");
    document.querySelector("#answer")?.setAttribute("aria-label", "Pictures");
    for (const item of document.querySelectorAll("#results .thumbnail-lg, #browse-grid .thumbnail-lg")) {
      const words = item.querySelector("img")?.alt?.replace(/\s+/g, " ");
      if (words && item.getAttribute("aria-label") !== words) item.setAttribute("aria-label", words);
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector("#close-inspector")?.click();
  });
  let waiting = false;
  const labelSoon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      label();
    });
  };
  const watched = { childList: true, subtree: true, attributeFilter: ["alt"] };
  const watch = () => new MutationObserver(labelSoon).observe(document.body, watched);
  if (document.body) watch();
  else addEventListener("DOMContentLoaded", watch);
  return { shares, room, showAnswer, askAgain, searchNow, look, lookAway, isPhone };
})();
