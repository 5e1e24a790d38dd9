// The store: says which wares are in a list now that were not there a moment ago. Everything else works without scripts.
"use strict";

(() => {
  const store = document.querySelector(".store");
  if (!store) return;
  // A mood that was said or switched off: the lists on this page are no longer what they would be.
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.closest(".mood") || event.detail.elt?.classList.contains("mood")) window.location.reload();
  });
  for (const list of store.querySelectorAll(".suggested[data-surface=home]")) {
    const key = `ikkan.shop.${list.dataset.surface}.${document.getElementById("as")?.value ?? ""}`;
    const now = [...list.querySelectorAll(".ware")].map((ware) => ware.dataset.product);
    const before = JSON.parse(sessionStorage.getItem(key) || "null");
    sessionStorage.setItem(key, JSON.stringify(now));
    if (!before) continue;
    for (const ware of list.querySelectorAll(".ware")) {
      if (before.includes(ware.dataset.product)) continue;
      const mark = document.createElement("span");
      mark.className = "tag fresh";
      mark.textContent = store.dataset.fresh;
      ware.append(mark);
    }
  }
})();
