"use strict";
// The live tail. Lines are untrusted text; they are added to the page only through textContent.

(() => {
  const panel = document.getElementById("live");
  if (!panel) return;
  const maxRows = 300, maxHeld = 1000; // rows on the page; lines held while paused
  const body = document.getElementById("lines"), state = document.getElementById("state"), pause = document.getElementById("pause");
  const grep = document.getElementById("grep"), waiting = document.getElementById("waiting");
  let held = [], paused = false, skipped = 0, connected = false, ended = false;

  const showState = () => {
    state.className = "state " + (connected ? paused ? "" : "on" : "off");
    state.textContent = ended ? "Ended; reload the page" : !connected ? "Reconnecting" : paused ? `Paused, ${held.length} waiting` : skipped ? `Live, ${skipped} skipped` : "Live";
  };
  const cell = (row, name, text) => {
    const td = document.createElement("td");
    td.className = name;
    td.textContent = text;
    row.append(td);
    return td;
  };
  const mark = (name, text) => {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    return span;
  };
  const text = (line) => [line.time, line.status, line.method, line.path, line.route, line.customer, line.key, line.plan, line.api, line.stage, line.ip, line.error].join(" ").toLowerCase();
  const row = (line) => {
    const tr = document.createElement("tr");
    tr.wanted = text(line);
    cell(tr, "at", line.time);
    const status = cell(tr, "st", "");
    status.append(mark("status s" + (line.status ? Math.floor(line.status / 100) : "x"), line.status || "–"));
    const what = cell(tr, "what", "");
    what.append(mark("method", line.method), " ", mark("path", line.path || line.route || "–"));
    if (line.error) what.title = line.error;
    cell(tr, "who", line.customer || line.key || "–");
    cell(tr, "plan", line.plan || "–");
    cell(tr, "where", line.api + (line.stage ? "/" + line.stage : ""));
    cell(tr, "num took", line.latency === null ? "–" : line.latency.toLocaleString("en") + " ms");
    return tr;
  };
  const applyGrep = (tr) => { tr.hidden = grep.value !== "" && !tr.wanted.includes(grep.value.toLowerCase()); };
  const add = (lines) => {
    const rows = lines.slice(-maxRows).map(row).reverse();
    rows.forEach(applyGrep);
    body.prepend(...rows);
    while (body.children.length > maxRows) body.lastElementChild.remove();
    waiting.hidden = body.children.length > 0;
  };

  const source = new EventSource(panel.dataset.stream);
  source.onopen = () => { connected = true; showState(); };
  source.onerror = () => { connected = false; ended = source.readyState === EventSource.CLOSED; showState(); };
  source.onmessage = (e) => {
    const batch = JSON.parse(e.data);
    skipped += batch.skipped;
    if (paused) held = held.concat(batch.lines).slice(-maxHeld);
    else add(batch.lines || []);
    showState();
  };
  const toggle = () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) { add(held); held = []; }
    showState();
  };
  pause.addEventListener("click", toggle);
  document.addEventListener("keydown", (e) => {
    if (e.key === " " && !e.target.closest("input, button, a, summary")) { e.preventDefault(); toggle(); }
  });
  grep.addEventListener("input", () => { for (const tr of body.children) applyGrep(tr); });
  document.getElementById("clear").addEventListener("click", () => { body.replaceChildren(); held = []; skipped = 0; waiting.hidden = false; showState(); });
})();
