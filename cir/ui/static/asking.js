// The query's own fields: a picture from the clipboard, and how long a text may be.
(() => {
  const MOST = 500;
  const visible = (selector) => Boolean(document.querySelector(selector)?.offsetParent);
  const fileField = () => document.querySelector("#reference input[type=file]");

  // A picture becomes the reference as if it had been chosen there; one that is there makes room first.
  function takePicture(file, frames = 120) {
    const field = fileField();
    if (!field) {
      if (frames === 120) document.querySelector("#reference .icon-button-wrapper button:last-of-type, #reference button[aria-label='Clear']")?.click();
      if (frames > 0) requestAnimationFrame(() => takePicture(file, frames - 1));
      return;
    }
    const files = new DataTransfer();
    files.items.add(file);
    field.files = files.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // What is no picture, or too large, is told here, before gradio would; on the window, so that nobody hears of it first.
  const NAMES = /\.(apng|avif|bmp|dib|gif|hei[cf]|hif|jfif|jpe?g?|mpo|png|tiff?|webp)$/i;
  function problem(message = "", remedy = "") {
    const card = document.querySelector("#reference-problem .problem");
    if (!card) return;
    card.hidden = !message;
    card.replaceChildren(...[message, remedy].map((words) => Object.assign(document.createElement("p"), { textContent: words })));
  }
  function refused(file) {
    const most = Number(document.querySelector("#reference-problem [data-most]")?.dataset.most ?? Infinity);
    if (!file.type.startsWith("image/") && !NAMES.test(file.name)) return [`${file.name} is no picture.`, "Choose a JPEG, PNG, WebP, GIF, TIFF, AVIF or HEIC."];
    if (file.size > most) return [`${file.name} has ${Math.round(file.size / 1e6)} MB; the limit is ${Math.round(most / 1e6)} MB.`, "Save it smaller, or choose another."];
    return null;
  }
  function guard(event, files) {
    const file = files?.[0];
    problem();
    if (!file) return;
    const why = refused(file);
    if (!why) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.target.matches?.("input[type=file]")) event.target.value = "";
    problem(...why);
  }
  window.addEventListener("change", (event) => event.target.matches?.("#reference input[type=file]") && guard(event, event.target.files), true);
  window.addEventListener("drop", (event) => event.target.closest?.("#reference") && guard(event, event.dataTransfer?.files), true);

  // One error at a time: a newer card takes the place of an older one. Columns of a comparison have their own.
  const known = new WeakSet();
  const cards = () => [...document.querySelectorAll(".problem")].filter((card) => !card.closest(".compared"));
  function newest() {
    const fresh = cards().filter((card) => !known.has(card) && !card.hidden);
    cards().forEach((card) => {
      if (fresh.length && card !== fresh[fresh.length - 1]) card.hidden = true;
      if (card.closest("#reference-problem") && card.hidden) known.delete(card);
      else known.add(card);
    });
  }
  const watch = () => new MutationObserver(newest).observe(document.body, { childList: true, subtree: true });
  if (document.body) watch();
  else addEventListener("DOMContentLoaded", watch);

  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    const typing = event.target.closest?.("input, textarea, [contenteditable=true]");
    const words = event.clipboardData?.types.includes("text/plain");
    if (!file || !visible("#work") || (typing && words) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    event.stopPropagation();
    takePicture(file);
  }, true);

  // What is too long is told while it is typed or pasted; nothing of it is taken away.
  function count(field) {
    const line = document.querySelector("#edit-length p");
    if (!line || !field) return;
    const length = field.value.trim().length;
    line.hidden = length < MOST - 50;
    line.classList.toggle("over", length > MOST);
    line.textContent = length > MOST ? `${length.toLocaleString("en")} characters: the first ${MOST} are searched for.` : `${length} of ${MOST} characters.`;
  }
  document.addEventListener("input", ({ target }) => target.closest?.("#edit") && count(target), true);
  Object.assign(window.recompose, { takePicture });
})();
