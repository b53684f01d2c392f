// The page: asks, edits, and shows the live configuration, which the server pushes.

const [configuration, health, problem, made, deck, ask, edit] = [
  "configuration", "health", "problem", "made", "deck", "ask", "edit",
].map((id) => document.getElementById(id));

// ---- the configuration

let now; // the newest version
let shown; // the turn whose deck is shown

const events = new EventSource("/configuration");
events.onmessage = ({ data }) => {
  now = JSON.parse(data);
  configuration.textContent =
    `version ${now.version} · profile ${now.profile} · ${now.endpoint} · temperature ${now.temperature}` +
    ` · ${now.max_tokens} tokens · ${now.space}`;
  configuration.classList.remove("fresh");
  void configuration.offsetWidth; // else the animation of the change before would not begin again
  configuration.classList.add("fresh");
  describe();
};
events.onerror = () => (configuration.textContent = "connecting"); // the browser tries again by itself

// A version that was rejected, and a database that is away, are no change of the configuration: so the page asks.
async function look() {
  try {
    const { state, version, rejected, error } = await send("/health");
    health.textContent = [
      rejected === null ? "" : `version ${rejected} was rejected, version ${version} serves on`,
      state === "stale" ? "the database is away" : "",
      error ?? "",
    ].filter(Boolean).join(": ");
  } catch {
    health.textContent = ""; // the server is away, which the configuration says
  }
  setTimeout(look, 1000);
}

// ---- the deck

function describe() {
  if (!shown) return;
  made.textContent = `made with version ${shown.version} of profile ${shown.profile}, experiment ${shown.experiment}`;
  if (now?.version > shown.version) made.textContent += ": older than the configuration, ask again for a deck of today";
}

function frame(slide, number) {
  const document_ = document.createElement("iframe");
  document_.setAttribute("sandbox", ""); // no scripts, no forms, an origin of its own
  document_.title = `slide ${number}`;
  document_.srcdoc = `<!doctype html><style>body { margin: 0 }</style><style>${slide.style}</style>${slide.html}`;
  const box = document.createElement("input");
  box.type = "checkbox";
  box.value = slide.id;
  box.setAttribute("aria-label", `select slide ${number}`);
  const label = document.createElement("label");
  label.className = "frame";
  label.append(box, document_);
  return label;
}

function show(turn) {
  shown = turn;
  describe();
  deck.replaceChildren(...turn.slides.map((slide, index) => frame(slide, index + 1)));
  selectionChanged();
}

function selected() {
  return [...deck.querySelectorAll(":checked")].map((box) => box.value);
}

function selectionChanged() {
  edit.querySelector("button").disabled = selected().length === 0;
}

deck.addEventListener("change", selectionChanged);

// ---- the session, which is in the address: a reload of the page goes on with it

async function send(path, body) {
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST",
    headers: { "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json();
  if (response.status === 404) history.replaceState(null, "", location.pathname); // the session is gone
  if (!response.ok) throw new Error(typeof answer.detail === "string" ? answer.detail : JSON.stringify(answer.detail));
  return answer;
}

async function session() {
  if (!location.hash) location.hash = (await send("/sessions", {})).id;
  return `/sessions/${location.hash.slice(1)}`;
}

async function turn(path, body) {
  problem.textContent = "";
  deck.classList.add("waiting");
  try {
    show(await send(`${await session()}/${path}`, body));
  } catch (error) {
    problem.textContent = error.message;
  } finally {
    deck.classList.remove("waiting");
  }
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  turn("ask", { question: ask.question.value, max_slides: Number(ask.max_slides.value) });
});

edit.addEventListener("submit", (event) => {
  event.preventDefault();
  turn("edit", { wish: edit.wish.value, slides: selected() });
});

look();
if (location.hash) {
  try {
    const { made: turn } = await send(await session());
    if (turn) show(turn);
  } catch (error) {
    problem.textContent = error.message; // such as of a session before the server was restarted
  }
}
