// The page: asks, edits, and shows the live configuration, which the server pushes.

const [configuration, problem, made, deck, ask, edit] = ["configuration", "problem", "made", "deck", "ask", "edit"].map(
  (id) => document.getElementById(id),
);

// ---- the configuration

const events = new EventSource("/configuration");
events.onmessage = ({ data }) => {
  const now = JSON.parse(data);
  configuration.textContent =
    `version ${now.version} · profile ${now.profile} · ${now.endpoint} · temperature ${now.temperature}` +
    ` · ${now.max_tokens} tokens · ${now.space}`;
  configuration.classList.remove("fresh");
  void configuration.offsetWidth; // else the animation of the change before would not begin again
  configuration.classList.add("fresh");
};
events.onerror = () => (configuration.textContent = "connecting"); // the browser tries again by itself

// ---- the deck

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

function show(slides) {
  deck.replaceChildren(...slides.map((slide, index) => frame(slide, index + 1)));
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
    const done = await send(`${await session()}/${path}`, body);
    made.textContent = `made with version ${done.version} of profile ${done.profile}, experiment ${done.experiment}`;
    show(done.slides);
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

if (location.hash) {
  try {
    show((await send(await session())).slides);
  } catch {
    location.hash = ""; // of a server that has been restarted since
  }
}
