// Small things every page shares: notices, the CSRF token for fetch, confirm-before-submit, copy buttons.
"use strict";

window.ikkan = {
  /** Say something in the corner for a few seconds; screen readers hear it too. */
  notice(text) {
    const box = document.createElement("div");
    box.className = "notice";
    box.textContent = text;
    document.getElementById("notices").append(box);
    setTimeout(() => box.remove(), 7000);
  },

  /** Fetch as the signed-in person. Throws an Error whose message is the server's own words. */
  async call(path, body, options = {}) {
    const response = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { "content-type": "application/json", "x-csrf-token": document.body.dataset.csrf || "" },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
    if (!response.ok) {
      const told = await response.json().catch(() => null);
      const error = (told && told.error) || {};
      throw new Error([error.message || response.statusText, error.hint].filter(Boolean).join(" "));
    }
    return response;
  },
};

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const source = event.target.closest("[data-copy]");
  if (!source) return;
  await navigator.clipboard.writeText(document.querySelector(source.dataset.copy).textContent.trim());
  window.ikkan.notice(source.dataset.done || "✓");
});

// A job goes on while the gateway starts again; its line asks once more until somebody answers.
document.addEventListener("htmx:sendError", (event) => {
  const line = event.detail.elt.closest(".job[hx-get]");
  if (line) setTimeout(() => window.htmx.ajax("GET", line.getAttribute("hx-get"), { target: line, swap: "outerHTML" }), 2000);
});

document.addEventListener("htmx:responseError", (event) => {
  let told = null;
  try { told = JSON.parse(event.detail.xhr.responseText).error; } catch { told = null; }
  window.ikkan.notice(told ? [told.message, told.hint].filter(Boolean).join(" ") : event.detail.xhr.statusText);
});
