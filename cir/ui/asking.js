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
