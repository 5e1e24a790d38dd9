// Meetings: bring a file, judge lines by click or key, jump to the words, name speakers, share, undo.
"use strict";

(() => {
  const root = document.getElementById("meeting") || document.getElementById("meetings");
  const words = JSON.parse(root.dataset.words);
  const api = "/a/meetings/v1";
  const say = (error) => window.ikkan.notice(error.message);
  const send = async (method, path, body) =>
    (await window.ikkan.call(api + path, body, { method, body: body === undefined ? undefined : JSON.stringify(body) })).json();

  // ---- the way in: a file is sent with its progress, and a refusal says why

  const bring = document.getElementById("bring");
  const PIECE = 4 << 20;
  const headers = () => ({ "x-csrf-token": document.body.dataset.csrf || "" });
  const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

  async function told(response) {
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    const error = body.error || {};
    const failure = new Error([error.message || response.statusText, error.hint].filter(Boolean).join(" "));
    failure.status = response.status;
    throw failure;
  }

  // A piece at a time; after a broken line the house says how much arrived, and it goes on from there.
  async function upload(file, fields, show) {
    const begun = await (await window.ikkan.call(`${api}/uploads`, { filename: file.name, bytes: file.size, fields })).json();
    const at = `${api}/uploads/${begun.id}`;
    let offset = 0;
    for (let tries = 0; offset < file.size;) {
      try {
        const reply = await told(await fetch(at, {
          method: "PATCH",
          headers: { ...headers(), "upload-offset": String(offset), "content-type": "application/offset+octet-stream" },
          body: file.slice(offset, offset + PIECE),
        }));
        offset = Number(reply.headers.get("upload-offset"));
        tries = 0;
      } catch (error) {
        const isFinal = error.status && ![409, 429, 502, 503, 504].includes(error.status);
        tries += 1;
        if (isFinal || tries > 20) throw error;
        await pause(Math.min(10000, 300 * 2 ** tries));
        const stands = await fetch(at, { method: "HEAD" }).catch(() => null);
        if (stands?.ok) offset = Number(stands.headers.get("upload-offset"));
      }
      show(offset / file.size);
    }
    return (await told(await fetch(`${at}/meeting`, { method: "POST", headers: headers() }))).json();
  }

  bring?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const line = document.getElementById("sending");
    const refused = document.getElementById("refused");
    const fields = {};
    for (const name of ["title", "held_on", "language", "audience", "level", "form"]) {
      if (bring.elements[name].value) fields[name] = bring.elements[name].value;
    }
    refused.hidden = true;
    line.hidden = false;
    try {
      const made = await upload(bring.elements.file.files[0], fields, (share) => { line.querySelector("progress").value = 100 * share; });
      window.location.assign(`/meetings/${made.id}`);
    } catch (error) {
      line.hidden = true;
      refused.hidden = false;
      refused.textContent = error.message;
    }
  });

  // ---- the list of actions: ticking off

  document.getElementById("actions")?.addEventListener("change", async (event) => {
    const row = event.target.closest(".task");
    try {
      await send("PATCH", `/meetings/${row.dataset.meeting}/items/${row.dataset.id}`, { is_done: event.target.checked });
      row.classList.toggle("is-done", event.target.checked);
    } catch (error) { event.target.checked = !event.target.checked; say(error); }
  });

  if (root.id !== "meeting") return;
  const at = `/meetings/${root.dataset.id}`;
  const undoing = [];
  const undo = document.getElementById("undo");

  // ---- one line: what it shows, what a person does to it

  function draw(item, told) {
    item.dataset.status = told.status;
    item.querySelector(".text").textContent = told.text;
    item.querySelector(".state").textContent = words[told.status];
    item.querySelector(".accept").setAttribute("aria-pressed", told.status === "accepted" || told.status === "edited");
    item.querySelector(".reject").setAttribute("aria-pressed", told.status === "rejected");
    if (item.dataset.kind !== "action") return;
    item.querySelector(".owner").textContent = told.owner || "";
    const due = item.querySelector(".due");
    due.dataset.due = told.due || "";
    due.textContent = told.due || told.due_words || "";
    item.querySelector(".done").checked = told.is_done;
  }

  async function change(item, asked, keep = true) {
    try {
      const told = await send("PATCH", `${at}/items/${item.dataset.id}`, asked);
      if (keep) undoing.push({ item, before: told.before });
      undo.disabled = undoing.length === 0;
      const follow = shown()[shown().indexOf(item) + 1];
      draw(item, told.item);
      if (told.item.status === "rejected" && root.classList.contains("hide-rejected")) (follow || shown().at(-1))?.focus();
      return true;
    } catch (error) { say(error); return false; }
  }

  async function takeBack() {
    const last = undoing.pop();
    undo.disabled = undoing.length === 0;
    if (!last) { window.ikkan.notice(words.nothing_to_undo); return; }
    const { status, text, owner, due, is_done } = last.before;
    if (await change(last.item, { status, text, owner: owner || "", due: due || "", is_done }, false)) {
      last.item.focus();
      window.ikkan.notice(words.undone);
    }
  }

  function shown() {
    return [...root.querySelectorAll(".item")].filter((item) => item.offsetParent !== null);
  }

  function light(item) {
    root.querySelectorAll(".said .lit").forEach((line) => line.classList.remove("lit"));
    const lines = item.dataset.evidence.split(" ").map((id) => document.getElementById(id)).filter(Boolean);
    lines.forEach((line) => line.classList.add("lit"));
    return lines[0];
  }

  function jump(item) {
    const first = light(item);
    first?.scrollIntoView({ block: "center" });
    first?.focus({ preventScroll: true });
  }

  function openForm(host, values, isNew, save) {
    host.querySelector(".edit-form")?.remove();
    const form = document.getElementById("edit-form").content.cloneNode(true).firstElementChild;
    form.elements.text.value = values.text;
    form.elements.owner.value = values.owner || "";
    form.elements.due.value = values.due || "";
    form.querySelector(".kind-only").hidden = !isNew;
    const fits = () => { form.querySelector(".action-only").hidden = (isNew ? form.elements.kind.value : host.dataset.kind) !== "action"; };
    form.elements.kind.addEventListener("change", fits);
    fits();
    const close = () => { form.remove(); host.focus(); };
    form.querySelector(".cancel").addEventListener("click", close);
    form.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") close();
      if (event.key === "Enter" && event.ctrlKey) form.requestSubmit();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await save(form.elements)) close();
    });
    host.append(form);
    form.elements.text.focus();
  }

  function edit(item) {
    const isAction = item.dataset.kind === "action";
    const values = {
      text: item.querySelector(".text").textContent,
      owner: isAction ? item.querySelector(".owner").textContent : "",
      due: isAction ? item.querySelector(".due").dataset.due : "",
    };
    openForm(item, values, false, (fields) => {
      const asked = { text: fields.text.value };
      if (isAction && fields.owner.value !== values.owner) asked.owner = fields.owner.value;
      if (isAction && fields.due.value !== values.due) asked.due = fields.due.value;
      return change(item, asked);
    });
  }

  const toggled = (item, status) => (item.dataset.status === status ? "open" : status);

  root.querySelector(".lines").addEventListener("click", (event) => {
    const item = event.target.closest(".item");
    if (!item || event.target.closest(".edit-form")) return;
    if (event.target.closest(".accept")) change(item, { status: item.dataset.status === "edited" ? "open" : toggled(item, "accepted") });
    else if (event.target.closest(".reject")) change(item, { status: toggled(item, "rejected") });
    else if (event.target.closest(".edit")) edit(item);
    else if (event.target.closest(".jump")) { event.preventDefault(); jump(item); }
    else if (!event.target.closest("label")) light(item)?.scrollIntoView({ block: "center" });
  });
  root.querySelector(".lines").addEventListener("change", (event) => {
    if (event.target.classList.contains("done")) change(event.target.closest(".item"), { is_done: event.target.checked });
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const item = event.target.closest(".item");
    const key = event.key.toLowerCase();
    if (key === "u") { event.preventDefault(); takeBack(); return; }
    if (!item || (event.target !== item && key === "enter")) return;
    const step = { arrowdown: 1, j: 1, arrowup: -1, k: -1 }[key];
    if (step) {
      event.preventDefault();
      shown()[shown().indexOf(item) + step]?.focus();
    } else if (key === "a") { event.preventDefault(); change(item, { status: "accepted" }); }
    else if (key === "r") { event.preventDefault(); change(item, { status: "rejected" }); }
    else if (key === "e") { event.preventDefault(); edit(item); }
    else if (key === "enter") { event.preventDefault(); jump(item); }
  });
  undo.addEventListener("click", takeBack);
  document.getElementById("show-rejected").addEventListener("change", (event) => {
    root.classList.toggle("hide-rejected", !event.target.checked);
  });

  // ---- a line of one's own, from what was said

  const sound = document.getElementById("sound");
  root.querySelector(".said").addEventListener("click", (event) => {
    if (sound && event.target.closest(".play")) {
      sound.currentTime = Number(event.target.closest("li").dataset.start);
      sound.play();
      return;
    }
    if (!event.target.closest(".add")) return;
    const line = event.target.closest("li");
    openForm(line, { text: line.querySelector("p").textContent }, true, async (fields) => {
      const isAction = fields.kind.value === "action";
      const asked = { kind: fields.kind.value, text: fields.text.value, evidence: [line.id] };
      if (isAction && fields.owner.value) asked.owner = fields.owner.value;
      if (isAction && fields.due.value) asked.due = fields.due.value;
      try { await send("POST", `${at}/items`, asked); window.location.reload(); return true; } catch (error) { say(error); return false; }
    });
  });

  // ---- the meeting itself

  const saved = async (deed) => {
    try { await deed(); window.location.reload(); } catch (error) { say(error); }
  };
  document.getElementById("speakers").addEventListener("submit", (event) => {
    event.preventDefault();
    const names = Object.fromEntries([...event.target.elements].filter((field) => field.name).map((field) => [field.name, field.value]));
    saved(async () => {
      await send("PUT", `${at}/speakers`, { names });
      for (const box of event.target.querySelectorAll(".me")) {
        if (box.checked !== box.defaultChecked) await send("PUT", `${at}/speakers/me`, { label: box.value, is_me: box.checked });
      }
    });
  });
  document.getElementById("share")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    saved(() => send("PUT", `${at}/audience`, { audience: form.get("audience"), people: form.getAll("people") }));
  });
  document.getElementById("facts").addEventListener("submit", (event) => {
    event.preventDefault();
    const { title, held_on } = event.target.elements;
    saved(() => send("PATCH", at, { title: title.value, held_on: held_on.value || null }));
  });
  document.getElementById("again").addEventListener("click", () => {
    const { level, form } = document.getElementById("redraw").elements;
    saved(() => send("POST", `${at}/draw`, { level: Number(level.value), form: form.value }));
  });
  root.addEventListener("click", (event) => {
    // The line of progress is drawn anew as the work goes on, so the button is found when it is pressed.
    if (event.target.id === "stop") saved(() => send("POST", `${at}/stop`));
  });
  document.getElementById("delete")?.addEventListener("click", async (event) => {
    if (!window.confirm(event.target.dataset.sure)) return;
    try { await send("DELETE", at); window.location.assign("/meetings"); } catch (error) { say(error); }
  });
  document.getElementById("form").addEventListener("change", (event) => {
    const form = document.getElementById("export");
    for (const link of form.querySelectorAll("[data-format]")) {
      link.href = `${form.dataset.path}${link.dataset.format}?form=${encodeURIComponent(event.target.value)}`;
    }
  });
})();
