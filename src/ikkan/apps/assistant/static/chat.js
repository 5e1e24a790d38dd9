// The chat page: asks, streams the answer, shows where it came from and what it cost, and records corrections.
"use strict";

(() => {
  const root = document.getElementById("chat");
  const words = JSON.parse(root.dataset.words);
  const turns = document.getElementById("turns");
  const form = document.getElementById("ask");
  const box = document.getElementById("question");
  const send = document.getElementById("send");
  const stop = document.getElementById("stop");
  const STORE = "ikkan.chat";
  let history = [];
  let leaving = null;

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  const copy = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);
  const keep = () => sessionStorage.setItem(STORE, JSON.stringify(history));

  function showQuestion(text) {
    const turn = copy("question-turn");
    turn.querySelector(".said").textContent = text;
    turns.append(turn);
    document.getElementById("starters").hidden = true;
  }

  function showAnswer(question, answer) {
    const turn = copy("answer-turn");
    turns.append(turn);
    paint(turn, answer);
    wire(turn, question, answer);
    return turn;
  }

  function paint(turn, answer) {
    turn.querySelector(".said").textContent = answer.text;
    const about = answer.about;
    const origin = turn.querySelector(".origin");
    origin.replaceChildren();
    if (about && about.source) {
      const tag = document.createElement("span");
      tag.className = "tag " + (about.source === "knowledge" ? "good" : "note");
      tag.textContent = { knowledge: words.knowledge, none: words.nobody }[about.source] || words.model;
      origin.append(tag, " ");
      if (about.source === "knowledge") {
        origin.append(fill(words.from, { title: about.title || "", sure: Math.round(100 * (about.confidence ?? 0)) }));
      } else if (about.source === "model") {
        origin.append(fill(words.by, { model: about.model || about.upstream_model || "" }));
      }
    }
    if (answer.done) {
      turn.querySelector(".meter").textContent = fill(words.meter, {
        input: answer.usage?.prompt_tokens ?? "–",
        output: answer.usage?.completion_tokens ?? "–",
        seconds: ((about?.latency_ms ?? answer.elapsed_ms) / 1000).toFixed(2),
        cost: about?.cost ?? "–",
      }) + (answer.stopped ? " · " + words.stopped : "") + (answer.error ? " · " + answer.error : "");
      turn.querySelector(".marks").hidden = !answer.id;
    }
    turn.classList.toggle("waiting", !answer.done);
    // A screen reader waits for the whole answer instead of reading every piece.
    turn.setAttribute("aria-busy", String(!answer.done));
  }

  async function mark(answer, body, said) {
    await window.ikkan.call("/a/assistant/v1/feedback", { answer_id: answer.id, ...body });
    window.ikkan.notice(said);
  }

  async function offerIntents() {
    const response = await window.ikkan.call("/a/assistant/v1/intents");
    document.getElementById("intents").replaceChildren(...(await response.json()).intents.map((name) => {
      const option = document.createElement("option");
      option.value = name;
      return option;
    }));
  }

  function wire(turn, question, answer) {
    const up = turn.querySelector(".up"), down = turn.querySelector(".down");
    const correction = turn.querySelector(".correction"), text = correction.querySelector("textarea");
    const candidates = turn.querySelector(".candidates");
    const attempt = (work) => work().catch((error) => window.ikkan.notice(error.message));
    const thumb = (button, other, value) => button.addEventListener("click", () => attempt(async () => {
      await mark(answer, { kind: "thumb", value }, words.thanks);
      button.setAttribute("aria-pressed", "true");
      other.setAttribute("aria-pressed", "false");
    }));
    thumb(up, down, 1);
    thumb(down, up, -1);
    // Each form opens with a button, and gives the focus back to it: by Escape as by its own button.
    const opens = (button, form, field, fill) => {
      button.addEventListener("click", () => { fill(); form.hidden = false; field.focus(); });
      const leave = () => { form.hidden = true; button.focus(); };
      form.querySelector(".cancel").addEventListener("click", leave);
      form.addEventListener("keydown", (event) => {
        if (event.isComposing || event.keyCode === 229) return;
        if (event.key === "Escape") { event.stopPropagation(); leave(); }
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
      });
      return leave;
    };
    const closeCorrection = opens(turn.querySelector(".correct"), correction, text, () => {
      text.value = answer.corrected || answer.text;
    });
    const label = turn.querySelector(".label"), about = label.querySelector("input");
    const closeLabel = opens(turn.querySelector(".about"), label, about, () => {
      about.value = answer.label || "";
      attempt(offerIntents);
    });
    label.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(async () => {
        await mark(answer, { kind: "label", after: about.value.trim() }, words.recorded);
        answer.label = about.value.trim();
        closeLabel();
        keep();
      });
    });
    correction.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(async () => {
        await mark(answer, { kind: "edit", before: answer.text, after: text.value.trim() }, words.recorded);
        answer.corrected = text.value.trim();
        closeCorrection();
        keep();
      });
    });
    turn.querySelector(".others").addEventListener("click", () => attempt(async () => {
      const response = await window.ikkan.call("/a/assistant/v1/candidates?question=" + encodeURIComponent(question));
      const found = (await response.json()).candidates;
      candidates.replaceChildren(...found.map((candidate) => {
        const choose = document.createElement("button");
        choose.className = "candidate";
        const title = document.createElement("strong"), body = document.createElement("span");
        title.textContent = candidate.question;
        body.textContent = candidate.answer;
        choose.append(title, body);
        choose.addEventListener("click", () => attempt(async () => {
          await mark(answer, { kind: "choice", knowledge_id: candidate.knowledge_id }, words.recorded);
          answer.corrected = candidate.answer;
          candidates.hidden = true;
          keep();
        }));
        return choose;
      }));
      if (!found.length) candidates.textContent = words.none;
      candidates.hidden = false;
    }));
  }

  async function* frames(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      const parts = rest.split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("");
        if (data && data !== "[DONE]") yield JSON.parse(data);
      }
    }
  }

  async function ask(question) {
    const messages = history.flatMap((turn) => [
      { role: "user", content: turn.question }, { role: "assistant", content: turn.answer.corrected || turn.answer.text },
    ]).slice(-8);
    showQuestion(question);
    const answer = { id: null, text: "", about: null, usage: null, done: false };
    const turn = showAnswer(question, answer);
    turn.scrollIntoView({ block: "end" });
    const started = performance.now();
    leaving = new AbortController();
    send.hidden = true;
    stop.hidden = false;
    try {
      const response = await window.ikkan.call("/a/assistant/v1/ask", { question, history: messages }, { signal: leaving.signal });
      for await (const chunk of frames(response.body)) {
        if (chunk.error) throw new Error(chunk.error.message);
        answer.id = chunk.id || answer.id;
        answer.text += chunk.choices?.[0]?.delta?.content || "";
        answer.about = { ...(answer.about || {}), ...(chunk.ikkan || {}) };
        answer.usage = chunk.usage || answer.usage;
        // Follow the answer, unless the person has scrolled away to read.
        const follows = window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 200;
        paint(turn, answer);
        if (follows) turn.scrollIntoView({ block: "end" });
      }
    } catch (error) {
      if (error.name === "AbortError") answer.stopped = true;
      else answer.error = error.message;
    }
    answer.done = true;
    answer.elapsed_ms = performance.now() - started;
    paint(turn, answer);
    send.hidden = false;
    stop.hidden = true;
    history.push({ question, answer });
    keep();
    box.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = box.value.trim();
    if (!question || !stop.hidden) return;
    box.value = "";
    ask(question);
  });
  box.addEventListener("keydown", (event) => {
    // An Enter that picks a kanji candidate must not send the question.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
      event.preventDefault();
      form.requestSubmit();
    }
    if (event.key === "Escape" && leaving) leaving.abort();
  });
  stop.addEventListener("click", () => leaving?.abort());
  document.querySelectorAll(".starter").forEach((button) => button.addEventListener("click", () => ask(button.textContent)));
  document.getElementById("new-chat").addEventListener("click", () => {
    sessionStorage.removeItem(STORE);
    history = [];
    turns.replaceChildren();
    document.getElementById("starters").hidden = false;
    box.focus();
  });
  document.getElementById("export-chat").addEventListener("click", () => {
    const lines = history.map((turn) => `## ${turn.question}\n\n${turn.answer.corrected || turn.answer.text}\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/markdown" }));
    link.download = "ikkan-chat.md";
    link.click();
    URL.revokeObjectURL(link.href);
  });

  for (const turn of JSON.parse(sessionStorage.getItem(STORE) || "[]")) {
    history.push(turn);
    showQuestion(turn.question);
    showAnswer(turn.question, turn.answer);
  }
})();
