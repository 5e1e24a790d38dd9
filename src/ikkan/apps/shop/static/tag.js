// Tells the shop's own ikkan what visitors do. Silent before consent(true); Do Not Track and GPC are a no.
// First party: one id and the events not sent yet, in this site's localStorage.
"use strict";
(() => {
  const script = document.currentScript;
  const key = script.dataset.key;
  const door = new URL("/a/shop/v1/collect", script.src).href;
  const PLACE = "ikkan.tag", GONE = "ikkan.tag.gone";
  const MOST = 200, BATCH = 50, SOON_MS = 1500, SLOW_MS = 60000, SESSION_MS = 1800000;
  let kept = read(PLACE), timer = 0, busy = false, failed = 0;

  function read(place) {
    try { return JSON.parse(localStorage.getItem(place)); } catch { return null; }
  }
  function keep(place, value) {
    try {
      if (value) localStorage.setItem(place, JSON.stringify(value));
      else localStorage.removeItem(place);
    } catch { /* private mode or full: this page alone remembers */ }
  }
  function random(bytes) {
    return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
  }
  function refused() {
    return navigator.globalPrivacyControl === true || navigator.doNotTrack === "1" || window.doNotTrack === "1";
  }
  function send(body) {
    const text = JSON.stringify({ key, ...body });
    // Plain text: no preflight. keepalive: outlives the page. What is not acknowledged is sent again.
    return fetch(door, { method: "POST", body: text, keepalive: true, credentials: "omit", mode: "cors",
      headers: { "content-type": "text/plain" } });
  }
  function later(ms) {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  }
  function again(reply) {
    return !reply || reply.status >= 500 || reply.status === 429;
  }

  async function flush() {
    if (busy) return;
    busy = true;
    const gone = read(GONE) || [];
    try {
      if (gone.length) {
        const reply = await send({ visitor: gone[0], consent: "withdrawn" }).catch(() => null);
        if (again(reply)) throw 0;
        keep(GONE, gone.length > 1 ? gone.slice(1) : null);
      } else if (kept && kept.q.length) {
        const of = kept, some = of.q.slice(0, BATCH), ids = new Set(some.map((e) => e.id));
        const reply = await send({ visitor: of.v, events: some }).catch(() => null);
        if (again(reply)) throw 0;
        if (kept === of) {
          kept.q = kept.q.filter((e) => !ids.has(e.id));
          keep(PLACE, kept);
        }
      }
      failed = 0;
    } catch {
      failed += 1;
    }
    busy = false;
    if ((read(GONE) || []).length || (kept && kept.q.length)) {
      later(failed ? Math.min(SLOW_MS, SOON_MS * 2 ** failed) : 0);
    }
  }

  function tell(deed, more = {}) {
    if (!kept || refused()) return false;
    const now = Date.now();
    if (!kept.s || now - kept.t > SESSION_MS) kept.s = random(8);
    kept.t = now;
    kept.q.push({ ...more, id: random(8), deed, at: new Date(now).toISOString(), session: kept.s });
    kept.q = kept.q.slice(-MOST);
    keep(PLACE, kept);
    if (!busy && !failed) later(kept.q.length >= BATCH ? 0 : SOON_MS);
    return true;
  }

  function consent(given) {
    if (given && !refused()) {
      if (!kept) {
        kept = { v: "v-" + random(16), q: [], s: "", t: 0 };
        keep(PLACE, kept);
        look();
      }
      return true;
    }
    if (kept) {
      keep(GONE, [...(read(GONE) || []), kept.v]);
      kept = null;
      keep(PLACE, null);
      later(0);
    }
    return false;
  }

  // A product's page names its product: <meta name="ikkan:product" content="A-1">
  function look() {
    const named = document.querySelector('meta[name="ikkan:product"]');
    if (named) tell("viewed", { product: named.content });
  }

  addEventListener("online", () => { failed = 0; flush(); });
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") flush(); });
  window.ikkanTag = { consent, tell, flush, visitor: () => (kept ? kept.v : null) };
  if (kept) {
    if (refused()) consent(false);
    else { look(); later(SOON_MS); }
  } else if (read(GONE)) later(SOON_MS);
})();
