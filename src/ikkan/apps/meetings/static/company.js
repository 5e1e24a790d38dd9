// What holds for all meetings: glossary, level, messages to other systems.
"use strict";

(() => {
  const api = "/a/meetings/v1";
  const words = JSON.parse(document.getElementById("company").dataset.words);
  const send = async (method, path, body) =>
    (await window.ikkan.call(api + path, body, { method, body: body === undefined ? undefined : JSON.stringify(body) })).json();
  const done = async (deed) => {
    try { await deed(); window.location.reload(); } catch (error) { window.ikkan.notice(error.message); }
  };
  const show = (secret) => {
    const line = document.getElementById("secret");
    line.querySelector("code").textContent = secret;
    line.hidden = false;
  };
  const on = (id, event, deed) => document.getElementById(id)?.addEventListener(event, deed);

  on("term", "submit", (event) => {
    event.preventDefault();
    const { heard, written } = event.target.elements;
    done(() => send("PUT", "/glossary", { terms: { [heard.value]: written.value } }));
  });
  on("terms", "click", (event) => {
    const row = event.target.closest(".remove")?.closest("tr");
    if (row) done(() => send("DELETE", `/glossary?heard=${encodeURIComponent(row.dataset.heard)}`));
  });
  on("level", "submit", (event) => {
    event.preventDefault();
    const { value } = event.target.elements.level;
    done(() => send("PATCH", "/company", { level: value === "" ? null : Number(value) }));
  });
  on("hook", "submit", async (event) => {
    event.preventDefault();
    try {
      const told = await send("PATCH", "/company", { hook_url: event.target.elements.hook_url.value });
      // A secret is shown once: the page stays until it was copied.
      if (told.secret) { show(told.secret); window.ikkan.notice(words.saved); } else window.location.reload();
    } catch (error) { window.ikkan.notice(error.message); }
  });
  on("renew", "click", async (event) => {
    if (!window.confirm(event.target.dataset.sure)) return;
    try { show((await send("POST", "/company/secret")).secret); } catch (error) { window.ikkan.notice(error.message); }
  });
  on("try", "click", () => done(() => send("POST", "/company/test")));
  on("log", "click", (event) => {
    const row = event.target.closest(".again")?.closest("tr");
    if (row) done(() => send("POST", `/deliveries/${row.dataset.id}/again`));
  });
})();
