// The query's own fields: pictures from the clipboard and of kinds that browsers do not know, and how long a text may be.
(() => {
  const MOST = 500;
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

  // Pictures that browsers do not take for such, though the server reads them: they are let into the reference's field.
  const KINDS = {
    ".heic": "image/heic", ".heif": "image/heif", ".hif": "image/heif", ".avif": "image/avif", ".tif": "image/tiff",
    ".tiff": "image/tiff", ".mpo": "image/jpeg", ".jfif": "image/jpeg", ".jpe": "image/jpeg", ".apng": "image/png",
    ".dib": "image/bmp",
  };
  const kindOf = (file) => KINDS[/\.[^.]*$/.exec(file.name.toLowerCase())?.[0]];
  const offerKinds = () => {
    const input = fileField();
    const accepted = ["image/*", ...Object.keys(KINDS)].join(", ");
    if (input && input.accept !== accepted) input.accept = accepted;
  };
  const retyped = (files) => {
    const typed = new DataTransfer();
    for (const file of files) {
      const kind = file.type.startsWith("image/") ? "" : kindOf(file);
      typed.items.add(kind ? new File([file], file.name, { type: kind }) : file);
    }
    return typed.files;
  };
  const hasUnknown = (files) => [...files].some((file) => !file.type.startsWith("image/") && kindOf(file));
  document.addEventListener("change", (event) => {
    if (event.target === fileField() && hasUnknown(event.target.files)) event.target.files = retyped(event.target.files);
  }, true);
  document.addEventListener("drop", (event) => {
    const input = event.target.closest?.("#reference") ? fileField() : null;
    if (!input || !hasUnknown(event.dataTransfer?.files ?? [])) return;
    event.preventDefault();
    event.stopPropagation();
    input.files = retyped(event.dataTransfer.files);
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }, true);
  window.recompose.whenDrawn(offerKinds);

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
  window.recompose.whenDrawn(newest);

  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    const typing = event.target.closest?.("input, textarea, [contenteditable=true]");
    const words = event.clipboardData?.types.includes("text/plain");
    if (!file || !window.recompose.visible("#work") || (typing && words) || document.querySelector("dialog[open]")) return;
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
