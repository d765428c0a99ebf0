// What is done on the page is answered in the order in which it was done, however slow the way to the server is.
// Each act waits for its turn, and its turn lasts until it is answered; a search that is asked for meanwhile waits,
// and then sends what was shown when it was asked for. What the browser knows by itself (a picked picture, an
// example, a preset) is shown at once.
Object.assign(window.recompose, (() => {
  const bridge = (...act) => window.recompose.bridge?.(...act);
  const part = (selector) => document.querySelector(selector);
  const KEEP = { __type__: "update" };

  // One after another.
  let last = Promise.resolve();
  let finish = () => {};
  let turn = 0;
  let underway = 0;
  let filling = 0; // of those, how many are going to fill the fields in
  let firstFill = 0; // and when the first of them began
  function enter(fills = false, since = clock) {
    underway += 1;
    if (fills && !filling) firstFill = since;
    filling += fills;
    let leave;
    const over = new Promise((resolve) => (leave = resolve));
    const come = last.then(() => {
      turn += 1;
      finish = () => {
        finish = () => {};
        underway -= 1;
        filling -= fills;
        if (fills) putBack(since);
        part("#answer")?.removeAttribute("inert");
        leave();
      };
    });
    last = come.then(() => over);
    return come;
  }
  function answered(number = turn) {
    if (Number(number) !== turn) return;
    if (turn === searching) unheard = false;
    finish();
  }

  // What a person set by hand, and when: an answer that was on its way at that time does not take it back.
  let clock = 0;
  let byHand = {};
  function note(name, value, at = ++clock) {
    if (!(byHand[name]?.at > at)) byHand[name] = { value, at };
  }
  function setAfter(since) {
    const later = Object.entries(byHand).filter(([, set]) => set.at > since);
    return Object.fromEntries(later.map(([name, set]) => [name, set.value]));
  }
  function putBack(since) {
    const later = setAfter(since);
    if (Object.keys(later).length) fill(later);
  }
  document.addEventListener("input", (event) => {
    const name = event.target.closest?.("#edit") ? "text" : event.target.closest?.(".weight")?.id;
    if (name && name !== "text") chose();
    if (name) note(name, name === "text" ? event.target.value : Number(event.target.value));
  }, true);

  // Fields that are filled in here.
  let put = {};
  function fill(fields) {
    put = { ...put, ...fields };
    bridge("fill");
  }
  function set(fields) {
    Object.entries(fields).forEach(([name, value]) => note(name, value));
    fill(fields);
  }
  function filled(sliders) {
    const now = put;
    put = {};
    const values = ["image", "text", ...sliders].map((name) => (name in now ? now[name] : KEEP));
    return [...values, "image" in now ? { ...KEEP, visible: Boolean(now.image?.meta?.picked) } : KEEP];
  }

  // The reference: an upload, a picture of the gallery, or nothing.
  let reference = null;
  const pictured = (image) => void (reference = image);
  function picture({ id, address }) {
    const url = new URL(address, document.baseURI).href;
    const meta = { picked: id, gallery: shown.fields?.gallery ?? "" };
    return { path: null, url, orig_name: "picked.webp", is_stream: false, meta };
  }
  const refer = (id, address) => set({ image: picture({ id, address }) });
  // Another tab's query: it is shown as if it had been picked and typed here, and searched with.
  function searchWith({ text, ...picked }) {
    set({ image: picture(picked), text });
    window.recompose.searchNow();
  }
  const isKept = async (image) => (await plain(image.url, { method: "HEAD" }).catch(() => ({ ok: false }))).ok;
  function cleared() {
    note("image", null);
    return { ...KEEP, visible: false };
  }

  // An upload has its turn too: from when a file was chosen until the field shows it, or it could not be sent.
  let upload = null;
  function begin() {
    if (upload) return upload;
    const at = ++clock;
    let done;
    const over = new Promise((resolve) => (done = resolve));
    upload = { at, sent: false, done: () => ((upload = null), done()) };
    enter(true, at).then(() => {
      const own = turn;
      over.then(() => answered(own));
    });
    return upload;
  }
  function uploaded(image) {
    note("image", image, upload?.at);
    upload?.done();
    return { ...KEEP, visible: false };
  }
  const later = (mine, milliseconds) => setTimeout(() => upload === mine && mine.done(), milliseconds);
  const chosen = (files) => {
    if (!files?.length) return;
    const mine = begin();
    setTimeout(() => mine.sent || later(mine, 0), 2000); // refused before it was sent
  };
  document.addEventListener("change", (event) => event.target.matches?.("#reference input[type=file]") && chosen(event.target.files), true);
  document.addEventListener("drop", (event) => event.target.closest?.("#reference") && chosen(event.dataTransfer?.files), true);
  const plain = window.fetch;
  window.fetch = (resource, ...rest) => {
    const sent = plain(resource, ...rest);
    const { pathname } = new URL(resource?.url ?? resource, document.baseURI);
    if (pathname.endsWith("/upload") && window.recompose.visible("#work")) {
      const mine = begin();
      mine.sent = true;
      sent.then((answer) => later(mine, answer.ok ? 5000 : 0), () => later(mine, 0));
    }
    return sent;
  };

  // Searching: the text and the picture are those that were shown when it was asked for.
  // While fields are being filled in, it is what was set by hand meanwhile, and for the rest what they will show.
  let asking = {};
  let searching = 0;
  let unheard = false; // whether a person has asked for a search that nobody has answered
  let repeated = false; // whether the next search is such a one, made once more: it is not made a third time
  let askedAt = 0; // by the clock of what is set by hand
  async function ready(text, image) {
    const shows = filling ? setAfter(firstFill) : { text, image };
    unheard = !repeated;
    repeated = false;
    await settle();
    asking = shows;
    searching = turn;
    askedAt = clock;
    window.recompose.showAnswer();
  }
  // Waits for what was done before, and says so; the turn that it takes lasts until `answered`.
  async function settle() {
    if (underway) wait(upload ? "Waiting for the picture …" : "Waiting for what was done before …");
    await enter();
    wait("");
  }
  // Another tab asks with the query's fields: it reads them once nothing is under way.
  async function settled() {
    await settle();
    finish();
  }
  const numbered = () => JSON.stringify({ ...shown, turn });
  function asked([state, , image, text, ...rest]) {
    const { image: shownImage = image, text: shownText = text } = asking;
    return [state, numbered(), shownImage, shownText, ...rest];
  }
  function again([state, , ...rest]) {
    searching = turn;
    askedAt = clock;
    return [state, numbered(), ...rest];
  }
  async function unanswered() {
    if (searching === turn) finish();
    const lost = reference?.path && !(await isKept(reference));
    wait(lost ? "The server does not keep your own picture any more: choose it again." : "The search was not answered. Search again.");
    if (lost) fill({ image: null });
  }
  function wait(words) {
    for (const line of document.querySelectorAll(".wait-line p")) {
      line.hidden = !words;
      line.textContent = words;
    }
  }

  // Everything else that the server answers.
  async function inTurn([state, , ...rest], turnsPage = false) {
    if (turnsPage) part("#answer")?.setAttribute("inert", ""); // its pictures are about to go
    await enter(turnsPage);
    return [state, JSON.stringify(shown), ...rest];
  }
  const act = (send, fills = false) => enter(fills).then(send);
  let moving = false;
  let weighed = false;
  // From the moment that a person chooses weights until the server says that it has heard of it, no answer fills them in.
  let choosing = false;
  function chose(byHand = true) {
    choosing = byHand;
  }
  async function moved(byHand = false) {
    weighed ||= byHand;
    choosing ||= byHand;
    if (moving) return;
    moving = true;
    await enter();
    moving = false;
    bridge("move");
  }
  function moves([state, , ...rest]) {
    const byHand = weighed;
    weighed = false;
    return [state, JSON.stringify({ ...shown, byHand }), ...rest];
  }

  // Weights that follow the picture: the sliders show them, but for one that was moved since the search was asked for.
  function follow({ automatic, searched, fields }) {
    if (!automatic) choosing = false;
    if (!automatic || !searched || choosing) return;
    const sliders = [...document.querySelectorAll(".weight")].map((slider) => slider.id).filter((name) => name in fields);
    const byHandSince = setAfter(askedAt);
    if (weighed || sliders.some((name) => name in byHandSince)) return;
    const stands = (name) => Number(part(`#${name} input[type=number]`)?.value);
    const others = sliders.filter((name) => stands(name) !== Number(fields[name]));
    if (others.length) fill(Object.fromEntries(others.map((name) => [name, Number(fields[name])])));
  }

  // What the server says that the page shows now. An older answer that comes after a newer one is asked for again.
  let shown = {};
  let opening = true;
  function shows(value) {
    if (!value) return;
    const before = shown;
    shown = JSON.parse(value);
    const { token, version, fields, next } = shown;
    if (token === before.token && version < before.version) {
      shown = { ...before, version };
      act(() => window.recompose.bridge?.("submit", { do: "draw" }));
      return;
    }
    const names = [fields.gallery ?? "", ...(shown.formerly ?? [])];
    if (reference?.meta?.picked && !names.includes(reference.meta.gallery)) fill({ image: null });
    if (shown.refer) fill({ image: picture(shown.refer) });
    follow(shown);
    if (next === "ask") window.recompose.searchNow();
    if (next === "show") act(() => bridge("submit", { do: "show" }), true);
    if (!next) record();
  }

  // The steps of a session are steps of the browser's history: Back goes one back, and no step leaves the page.
  function record() {
    if (!shown.searched || !shown.step) return;
    const at = history.state?.recompose;
    const entry = { ...history.state, recompose: { line: shown.line, step: shown.step, shown } };
    const same = at && (opening || (at.line === shown.line && at.step === shown.step));
    if (same) history.replaceState(entry, "");
    else history.pushState(entry, "");
    if (opening) drafted();
    opening = false;
  }
  addEventListener("popstate", (event) => {
    const at = event.state?.recompose;
    if (!at) act(() => bridge("submit", { do: "browse" }));
    else if (at.line === shown.line) act(() => bridge("submit", { do: "step", place: at.step }), true);
    else {
      wanted = at.shown;
      opening = true;
      bridge("restore");
    }
  });

  // A page that is loaded again, as gradio does by itself after the server was away, goes on: with its search, and with
  // what was typed and picked since; that is searched for where it was asked for and not answered.
  let wanted = null;
  let draft = null;
  const KEY = "recompose";
  addEventListener("pagehide", () => {
    const text = part("#edit textarea, #edit input")?.value ?? "";
    sessionStorage.setItem(KEY, JSON.stringify({ shown, text, image: reference, unheard }));
  });
  async function before(given) {
    await enter(true, shown.token ? clock : 0); // what was typed before a page was whole counts
    const loaded = performance.getEntriesByType("navigation")[0]?.type;
    if (!wanted && !shown.token && ["reload", "back_forward"].includes(loaded)) {
      draft = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
      wanted = draft?.shown ?? null;
    }
    const sent = wanted ? JSON.stringify(wanted) : given;
    wanted = null;
    return sent;
  }
  function opened() {
    answered();
    if (!shown.next) {
      drafted();
      opening = false;
    }
  }
  async function drafted() {
    const kept = draft;
    draft = null;
    if (!kept) return;
    const { text, image } = kept;
    const since = {};
    if (text && text !== (shown.fields?.text ?? "")) since.text = text;
    const picked = image?.meta?.picked;
    if (picked && picked !== shown.fields?.image) since.image = image;
    else if (image?.path && !shown.fields?.image && image.path !== shown.own && (await isKept(image))) since.image = image;
    if (!Object.keys(since).length) return;
    fill(since);
    if (!kept.unheard) return;
    repeated = true;
    window.recompose.searchNow();
  }

  // A picture that is dropped beside the field is the reference as well; no drop leaves the page.
  const carriesFiles = (event) => !event.defaultPrevented && event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    if (file && window.recompose.visible("#work")) window.recompose.takePicture?.(file);
  });

  const idle = () => underway === 0;
  return {
    idle, act, again, answered, asked, before, chose, cleared, filled, inTurn, moved, moves, opened, pictured, ready, refer, searchWith, set, settled, shows, unanswered, uploaded,
  };
})());
