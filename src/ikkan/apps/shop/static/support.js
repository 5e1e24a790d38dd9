// The support page: one conversation at a time. A yes is sent with the digest of exactly the question it stands under.
"use strict";

(() => {
  const root = document.getElementById("support");
  const words = JSON.parse(root.dataset.words);
  const turns = document.getElementById("turns");
  const text = document.getElementById("text");
  const language = document.getElementById("language");
  const base = "/a/shop/v1/support/talks";
  let talk = null;
  let asked = null;
  let heard = 0; // how many answers of a person were shown
  let waiting = null;

  language.value = root.dataset.language;

  function show(who, said, outcome, cited) {
    const turn = document.createElement("li");
    turn.className = who;
    turn.lang = language.value;
    const body = document.createElement("p");
    body.textContent = said;
    turn.append(body);
    turns.querySelectorAll(".inline").forEach((row) => row.remove()); // only the last question can be answered
    asked = null;
    if (outcome && outcome.kind === "asked") {
      asked = outcome.proposal_id;
      turn.append(buttons([
        [words.yes, "primary", () => deed("confirm", { proposal_id: outcome.proposal_id, digest: outcome.digest }, words.yes)],
        [words.no, "", () => say(words.no)],
      ]));
    } else if (outcome && outcome.kind === "done") {
      turn.append(buttons([[words.undo, "quiet", () => deed("undo", { proposal_id: outcome.proposal_id }, words.undo)]]));
    }
    if (cited) turn.append(source(cited));
    turns.append(turn);
    turn.scrollIntoView({ block: "nearest" });
  }

  // Where in the merchant's documents an answer stands.
  function source(cited) {
    const link = document.createElement("a");
    link.className = "small";
    link.href = cited.page;
    link.textContent = [cited.title, cited.heading].filter(Boolean).join(" > ");
    return link;
  }

  function buttons(wanted) {
    const row = document.createElement("div");
    row.className = "inline";
    for (const [label, look, act] of wanted) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = look;
      button.textContent = label;
      button.addEventListener("click", act);
      row.append(button);
    }
    return row;
  }

  async function post(path, body) {
    const response = await window.ikkan.call(path, body);
    return response.json();
  }

  // Once a person has taken over, their answers come by themselves.
  function follow(state) {
    if (state !== "human" || waiting) return;
    waiting = setInterval(async () => {
      const of = talk;
      try {
        const kept = await (await window.ikkan.call(`${base}/${of}`)).json();
        if (of !== talk) return;
        const said = kept.turns.filter((turn) => turn.who === "person");
        said.slice(heard).forEach((turn) => show("person", turn.text));
        heard = said.length;
      } catch {
        // The next look may find it.
      }
    }, 4000);
  }

  function clear() {
    turns.replaceChildren();
    clearInterval(waiting);
    waiting = null;
    heard = 0;
  }

  async function start() {
    clear();
    try {
      const begun = await post(base, { language: language.value });
      talk = begun.talk_id;
      show("shop", begun.text);
      text.focus();
      await offered();
    } catch (error) {
      window.ikkan.notice(error.message);
    }
  }

  // What went wrong is said before anyone asks, with what may be done about it; a no is remembered.
  async function offered() {
    const of = root.dataset.customer ? `?customer=${encodeURIComponent(root.dataset.customer)}` : "";
    const found = (await (await window.ikkan.call(`/a/shop/v1/offers${of}`)).json()).offers;
    for (const offer of found) {
      show("shop", offer.text[language.value]);
      const row = buttons([
        ...offer.choices.map((choice) => [choice.label[language.value], "", () => take(offer, choice)]),
        [words.no_thanks, "quiet", () => decline(offer, row)],
      ]);
      row.classList.add("offer");
      turns.lastElementChild.append(row);
    }
  }

  async function take(offer, choice) {
    try {
      talk = (await post(`/a/shop/v1/offers/${offer.offer_id}/take`, { language: language.value })).talk_id;
      await say(choice.say[language.value]);
    } catch (error) {
      window.ikkan.notice(error.message);
    }
  }

  async function decline(offer, row) {
    try {
      await post(`/a/shop/v1/offers/${offer.offer_id}/decline`, {});
      row.remove();
    } catch (error) {
      window.ikkan.notice(error.message);
    }
  }

  // What policy lets be done about it, a press each: the same as saying it.
  function offer(choices) {
    if (!choices.length || !turns.lastElementChild) return;
    turns.lastElementChild.append(buttons(choices.map((choice) => [choice.label, "", () => say(choice.say)])));
  }

  // A conversation that was begun elsewhere: by the store for a person it knows, or by the shop itself.
  async function resume(id) {
    clear();
    try {
      const kept = await (await window.ikkan.call(`${base}/${id}`)).json();
      talk = id;
      language.value = kept.language;
      kept.turns.forEach((turn) => show(turn.who, turn.text));
      heard = kept.turns.filter((turn) => turn.who === "person").length;
      follow(kept.state);
      offer(JSON.parse(root.dataset.choices || "[]"));
      text.focus();
    } catch (error) {
      window.ikkan.notice(error.message);
    }
  }

  async function deed(name, body, label) {
    show("customer", label);
    try {
      const reply = await post(`${base}/${talk}/${name}`, body);
      show("shop", reply.text, reply.outcome, reply.cited);
      follow(reply.state);
    } catch (error) {
      window.ikkan.notice(error.message);
    }
  }

  async function say(said) {
    const answers = asked;
    show("customer", said);
    try {
      const reply = await post(`${base}/${talk}/say`, answers ? { text: said, answers } : { text: said });
      show("shop", reply.text, reply.outcome, reply.cited);
      follow(reply.state);
    } catch (error) {
      window.ikkan.notice(error.message);
    }
  }

  document.getElementById("say").addEventListener("submit", (event) => {
    event.preventDefault();
    const said = text.value.trim();
    if (!said || !talk) return;
    text.value = "";
    say(said);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      document.getElementById("say").requestSubmit();
    }
  });
  document.getElementById("again").addEventListener("click", start);
  document.getElementById("person").addEventListener("click", () => deed("hand-over", {}, document.getElementById("person").textContent));
  language.addEventListener("change", start);
  if (root.dataset.talk) resume(root.dataset.talk);
  else start();
})();
