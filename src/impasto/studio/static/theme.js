// A classic script in the head: the page must not flash in the wrong colours before the modules come.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("impasto-theme");
  } catch {
    // Storage may be forbidden; the system's scheme does then.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
