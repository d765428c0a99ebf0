// The page begins anew with other models: the server is away for a moment, and the page comes back when another one answers.
(() => {
  const ASKED_EVERY = 1000; // milliseconds
  const OPEN = "recompose-tab";
  let leaving = false;

  // Which server answers: every start has a name of its own.
  async function serverNow() {
    try {
      const answer = await fetch("config", { cache: "no-store" });
      return answer.ok ? (await answer.json()).app_id : null;
    } catch {
      return null;
    }
  }

  async function comeBack() {
    const before = window.gradio_config?.app_id;
    for (;;) {
      await new Promise((then) => setTimeout(then, ASKED_EVERY));
      const now = await serverNow();
      if (now && now !== before) break;
    }
    sessionStorage.setItem(OPEN, "Galleries");
    location.assign(location.pathname); // not a reload: what was searched was searched with other models
  }

  // Whoever watches the set being fetched is taken along; whoever does something else is asked.
  let went = false;
  window.recompose.whenDrawn(() => {
    if (document.querySelector("[data-anew]") && !leaving) {
      leaving = true;
      comeBack();
    }
    const use = document.querySelector("#models-use");
    if (!went && use && window.recompose.visible("[data-go-on]")) {
      went = true;
      use.click();
    }
    const wanted = sessionStorage.getItem(OPEN);
    const tab = wanted && [...document.querySelectorAll("#tabs button[role=tab]")].find((one) => one.textContent.trim() === wanted);
    if (tab && window.recompose.visible("#search")) {
      sessionStorage.removeItem(OPEN);
      tab.click();
    }
  });
})();
