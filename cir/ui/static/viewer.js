// One result at the size of the window. The browser's own dialog: Escape closes it, and the focus goes back.
(() => {
  function dialog() {
    const made = document.createElement("dialog");
    made.id = "larger";
    made.innerHTML = '<figure><img alt=""><figcaption><b></b><span></span></figcaption></figure><button type="button" class="pill">Close</button>';
    made.addEventListener("click", (event) => {
      if (event.target === made || event.target.closest("button")) made.close();
    });
    made.addEventListener("close", () => {
      URL.revokeObjectURL(made.querySelector("img").src);
      made.remove();
    });
    document.querySelector("gradio-app, body").append(made);
    return made;
  }

  // What the server packed: {type, data, name, words}.
  window.recompose.enlarge = ({ type, data, name, words }) => {
    document.querySelector("#larger")?.close();
    const made = dialog();
    const picture = made.querySelector("img");
    picture.src = window.recompose.addressOf(type, data);
    picture.alt = words || name;
    made.querySelector("b").textContent = name;
    made.querySelector("figcaption span").textContent = words;
    made.setAttribute("aria-label", name);
    made.showModal();
  };
})();
