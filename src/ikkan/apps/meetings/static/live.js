// A meeting that goes on: microphone and typed lines go out, what was said comes back; a broken line is taken up again.
"use strict";

(() => {
  const root = document.getElementById("live");
  const words = JSON.parse(root.dataset.words);
  const form = document.getElementById("begin");
  const said = document.getElementById("said");
  const how = document.getElementById("how");
  const caption = document.getElementById("caption");
  const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const MOST_WAITING = 10 * 60 * 32000;

  let meeting = root.dataset.meeting;
  let first = null;
  let socket = null;
  let isReady = false;
  let isOver = false;
  let tries = 0;
  let began = 0;
  // What was not acknowledged yet is sent again after a break: sound by its offset, captions by their number.
  let offset = 0;           // of the first byte in `waiting`
  let sent = 0;             // of the next byte to send
  let waiting = [];
  let captions = [];
  let seq = 0;

  const little = (buffer) => {
    if (LITTLE_ENDIAN) return buffer;
    const view = new DataView(buffer);
    for (let n = 0; n < view.byteLength; n += 2) view.setInt16(n, new Int16Array(buffer, n, 1)[0], true);
    return buffer;
  };
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  function show(segment) {
    const line = document.createElement("li");
    const who = document.createElement("span");
    const text = document.createElement("p");
    who.className = "small faint";
    who.textContent = [segment.start_s === null ? "" : clock(segment.start_s), segment.speaker].filter(Boolean).join(" ");
    text.textContent = segment.text;
    line.append(who, text);
    said.append(line);
    line.scrollIntoView({ block: "nearest" });
  }

  function refuse(text) {
    const line = document.getElementById("refused");
    line.textContent = text;
    line.hidden = !text;
  }

  // ---- the line to the house

  function connect() {
    isReady = false;
    how.textContent = tries ? words.again_soon : words.connecting;
    const address = new URL("/a/meetings/v1/live", window.location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => socket.send(JSON.stringify(meeting ? { type: "resume", meeting_id: meeting } : first)));
    socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      isReady = false;
      if (isOver) return;
      tries += 1;
      how.textContent = words.again_soon;
      setTimeout(connect, Math.min(10000, 500 * 2 ** Math.min(tries, 5)));
    });
  }

  function hear(told) {
    if (told.type === "ready") {
      tries = 0;
      meeting = told.meeting_id;
      window.history.replaceState(null, "", `/meetings/live?meeting=${encodeURIComponent(meeting)}`);
      said.replaceChildren();
      told.segments.forEach(show);
      document.getElementById("captions-only").hidden = Boolean(told.hears);
      if (!began) {
        offset = told.offset;
        sent = told.offset;
        began = Date.now() - (told.offset / 32000) * 1000;
        // Lines typed before the house answered follow those it has.
        captions.forEach((each, place) => { each.seq = told.seq + 1 + place; });
        seq = told.seq + captions.length;
      }
      letGo(told.offset);
      sent = Math.max(offset, told.offset);
      captions = captions.filter((each) => each.seq > told.seq);
      isReady = true;
      how.textContent = words.recording;
      captions.forEach((each) => socket.send(JSON.stringify(each)));
      flush();
    } else if (told.type === "ack") {
      if (told.offset !== undefined) letGo(told.offset);
      if (told.seq !== undefined) captions = captions.filter((each) => each.seq > told.seq);
      flush();
    } else if (told.type === "segment") show(told);
    else if (told.type === "behind") how.textContent = told.s ? words.behind : words.recording;
    else if (told.type === "ended") { isOver = true; window.location.assign(`/meetings/${told.meeting_id}`); }
    else if (told.type === "error") {
      refuse([told.error.message, told.error.hint].filter(Boolean).join(" "));
      if (!told.error.retryable) isOver = !isReady || told.error.code !== "upstream_failed";
    }
  }

  function letGo(until) {
    while (waiting.length && offset + waiting[0].byteLength <= until) offset += waiting.shift().byteLength;
  }

  function flush() {
    if (!isReady) return;
    let at = offset;
    for (const piece of waiting) {
      if (at + piece.byteLength > sent) {
        if (socket.bufferedAmount > 512000) return;   // the line is slower than speech: wait for an answer
        socket.send(piece.slice(Math.max(0, sent - at)));
        sent = at + piece.byteLength;
      }
      at += piece.byteLength;
    }
  }

  // ---- the microphone

  let context = null;
  let isMuted = false;

  async function listen() {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
    context = new AudioContext();
    await context.audioWorklet.addModule("/static/meetings/microphone.js");
    const source = context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => {
      document.getElementById("level").value = isMuted ? 0 : data.level;
      // Silence stands for what is muted, so that times stay those of the meeting.
      const piece = isMuted ? new ArrayBuffer(data.pcm.byteLength) : little(data.pcm);
      const kept = waiting.reduce((sum, each) => sum + each.byteLength, 0);
      if (isOver || kept > MOST_WAITING) return;
      waiting.push(piece);
      flush();
    };
    source.connect(node);
  }

  document.getElementById("mute").addEventListener("click", (event) => {
    isMuted = !isMuted;
    event.target.setAttribute("aria-pressed", isMuted);
    how.textContent = isMuted ? words.muted : words.recording;
  });

  // ---- what people do

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = form.elements;
    if (!meeting) {
      said.lang = fields.language.value;
      first = { type: "start", title: fields.title.value, language: fields.language.value, audience: fields.audience.value };
    }
    form.hidden = true;
    document.getElementById("going-on").hidden = false;
    if (fields.microphone.checked) {
      try { await listen(); } catch { window.ikkan.notice(words.no_microphone); document.getElementById("mute").hidden = true; }
    } else document.getElementById("mute").hidden = true;
    connect();
    setInterval(() => { if (began) document.getElementById("since").textContent = clock((Date.now() - began) / 1000); }, 500);
    caption.elements.text.focus();
  });

  caption.addEventListener("submit", (event) => {
    event.preventDefault();
    const { text, speaker } = caption.elements;
    seq += 1;
    const line = { type: "caption", seq, text: text.value, speaker: speaker.value };
    captions.push(line);
    if (isReady) socket.send(JSON.stringify(line));
    text.value = "";
    text.focus();
  });

  document.getElementById("end").addEventListener("click", () => {
    how.textContent = words.ending;
    if (context) context.close();
    const ask = () => {
      // Not before everything is there: what is on its way would be lost.
      if (isReady && !captions.length && !waiting.length) socket.send(JSON.stringify({ type: "end" }));
      else if (!isOver) setTimeout(ask, 200);
    };
    ask();
  });

  window.addEventListener("beforeunload", (event) => { if (isReady && !isOver && waiting.length) event.preventDefault(); });
})();
