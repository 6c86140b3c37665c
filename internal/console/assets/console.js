"use strict";
// Theme, keyboard shortcuts and reloading. All pages except the live tail work without JavaScript.

const $ = (selector, root = document) => root.querySelector(selector);

// The theme is stored in a cookie, so that the server renders the page in that theme, without flicker.
function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Strict`;
}
$("[data-theme-toggle]")?.addEventListener("click", (e) => { e.preventDefault(); toggleTheme(); });

// A click outside an open drop-down closes it.
document.addEventListener("click", (e) => {
  for (const drop of document.querySelectorAll(".drop[open]")) if (!drop.contains(e.target)) drop.open = false;
});

const keys = $("#keys");
const keysButton = $("[data-keys]");
if (keys && keysButton) {
  keysButton.hidden = false;
  keysButton.addEventListener("click", () => keys.showModal());
}

const pages = { o: "/", c: "/customers", a: "/apis", t: "/routes", r: "/requests", l: "/live", s: "/sql", d: "/delivery" };
let goUntil = 0; // time until which a letter after g opens a page
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape") {
    for (const drop of document.querySelectorAll(".drop[open]")) { drop.open = false; $("summary", drop).focus(); }
    return;
  }
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select, dialog[open]")) return;
  if (e.timeStamp < goUntil && pages[e.key]) {
    goUntil = 0;
    const link = [...document.querySelectorAll(".menu a")].find((a) => new URL(a.href).pathname === pages[e.key]);
    if (link) link.click();
    return;
  }
  switch (e.key) {
    case "g": goUntil = e.timeStamp + 1500; break;
    case "t": toggleTheme(); break;
    case "r": location.reload(); break;
    case "?": keys?.showModal(); break;
    case "/": {
      const grep = $("#grep"), filter = $("[data-filter]");
      if (grep) grep.focus();
      else if (filter) { filter.parentElement.open = true; $("input:not([type=hidden])", filter.parentElement)?.focus(); }
      e.preventDefault();
    }
  }
});

// SQL: Ctrl+Enter runs the statement; the URL becomes a link to it.
const sql = $("#sql");
if (sql) {
  const text = $("#q");
  text.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); sql.requestSubmit($("button", sql)); }
  });
  if (text.value.length < 4000 && $(".result")) history.replaceState(null, "", "/sql?q=" + encodeURIComponent(text.value));
}

// Pages with data-refresh reload while visible. The response is parsed as a document, which runs no scripts.
const panels = $(".panels[data-refresh]");
if (panels) {
  setInterval(() => {
    if (document.hidden || panels.contains(document.activeElement) || !getSelection().isCollapsed) return;
    const load = new XMLHttpRequest();
    load.open("GET", location.href);
    load.responseType = "document";
    load.onload = () => {
      if (load.status !== 200 || !load.response) return;
      for (const part of [".panels", ".notices"]) {
        const fresh = $(part, load.response);
        if (fresh) $(part).replaceChildren(...[...fresh.children].map((child) => document.adoptNode(child)));
      }
    };
    load.send();
  }, Number(panels.dataset.refresh) * 1000);
}
