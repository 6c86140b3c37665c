"use strict";
// Charts: the pointer or the arrow keys select a column in all charts of the page; dragging or Enter zooms in. The values are read
// from the chart's table.

const charts = [...document.querySelectorAll("figure.chart")].map((figure) => {
  const plot = figure.querySelector(".plot");
  return {
    figure, plot, cross: plot.querySelector(".cross"), zoom: plot.querySelector(".zoom"),
    names: [...figure.querySelectorAll("thead th.num")], rows: [...figure.querySelectorAll("tbody tr")],
  };
});

let tip = null;
function hide() {
  tip?.remove();
  tip = null;
  for (const c of charts) c.cross.setAttribute("width", 0);
}

// show marks column i in all charts and shows its values in a tooltip on the given chart.
function show(chart, i) {
  const row = chart.rows[i];
  if (!row) return;
  for (const c of charts) {
    c.cross.setAttribute("x", i);
    c.cross.setAttribute("width", c.rows.length > i ? 1 : 0);
  }
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
  }
  const when = document.createElement("p");
  when.textContent = row.cells[0].textContent;
  const list = document.createElement("dl");
  chart.names.forEach((name, j) => {
    const label = document.createElement("dt"), value = document.createElement("dd");
    label.textContent = name.textContent;
    label.className = name.className.replace("num", "");
    value.textContent = row.cells[j + 1].textContent;
    list.append(label, value);
  });
  tip.replaceChildren(when, list);
  chart.figure.append(tip);
  const box = chart.plot.getBoundingClientRect(), frame = chart.figure.getBoundingClientRect();
  const x = box.left - frame.left + (i + .5) / chart.rows.length * box.width;
  const right = x + 14 + tip.offsetWidth < frame.width;
  tip.style.left = Math.max(0, right ? x + 14 : x - 14 - tip.offsetWidth) + "px";
  tip.style.top = box.top - frame.top + 4 + "px";
}

// zoomIn reloads the page for the time range from column a to column b.
function zoomIn(chart, a, b) {
  const from = Number(chart.figure.dataset.from), step = Number(chart.figure.dataset.step), until = Number(chart.figure.dataset.until);
  const to = new URL(location.href);
  const text = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19) + (to.searchParams.has("zone") ? "Z" : "");
  to.searchParams.delete("range");
  to.searchParams.delete("before");
  to.searchParams.set("from", text(from + Math.min(a, b) * step));
  to.searchParams.set("to", text(Math.min(until, from + (Math.max(a, b) + 1) * step)));
  location.assign(to);
}

for (const chart of charts) {
  let at = chart.rows.length - 1, start = -1;
  const column = (e) => {
    const box = chart.plot.getBoundingClientRect();
    return Math.max(0, Math.min(chart.rows.length - 1, Math.floor((e.clientX - box.left) / box.width * chart.rows.length)));
  };
  const stop = () => { start = -1; chart.zoom.setAttribute("width", 0); };
  chart.plot.addEventListener("pointermove", (e) => {
    at = column(e);
    show(chart, at);
    if (start < 0) return;
    chart.zoom.setAttribute("x", Math.min(start, at));
    chart.zoom.setAttribute("width", Math.abs(start - at) + 1);
  });
  chart.plot.addEventListener("pointerleave", () => { hide(); if (start < 0) stop(); });
  chart.plot.addEventListener("pointerdown", (e) => {
    if (e.button !== 0 || e.pointerType === "touch") return;
    start = column(e);
    chart.plot.setPointerCapture(e.pointerId);
  });
  chart.plot.addEventListener("pointerup", (e) => {
    const from = start;
    stop();
    if (from >= 0 && Math.abs(column(e) - from) >= 1) zoomIn(chart, from, column(e));
  });
  chart.plot.addEventListener("pointercancel", stop);
  chart.plot.addEventListener("focus", () => { if (chart.plot.matches(":focus-visible")) show(chart, at); });
  chart.plot.addEventListener("blur", hide);
  chart.plot.addEventListener("keydown", (e) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[e.key];
    if (move) {
      at = Math.max(0, Math.min(chart.rows.length - 1, at + move));
      show(chart, at);
      e.preventDefault();
    } else if (e.key === "Enter") zoomIn(chart, at, at);
    else if (e.key === "Escape") hide();
  });
}
