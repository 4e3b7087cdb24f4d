// Light or dark, before anything is painted: what was chosen with the button in the top bar, else what the system says.
// Also hides the parts that the address names: ?hide=settings,chart. A plain script, not a module, so that no page flashes in the wrong colours.
(() => {
  const KEY = "beamscope-theme";
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* private windows may refuse */ } };
  const asked = new URLSearchParams(location.search).get("__theme");
  const system = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const wanted = () => (["light", "dark"].includes(asked) ? asked : kept() || system());

  function show(theme) {
    document.body.classList.toggle("dark", theme === "dark");
    document.documentElement.style.colorScheme = theme;
  }

  function hide() {
    const names = (new URLSearchParams(location.search).get("hide") || "").split(",").filter((name) => /^[a-z]+$/.test(name));
    document.body.classList.add(...names.map((name) => `bs-hide-${name}`));
  }

  function start() {
    hide();
    if (kept() || document.body.classList.contains("bs-document")) show(wanted());
    new MutationObserver(() => { if (kept() && document.body.classList.contains("dark") !== (wanted() === "dark")) show(wanted()); })
      .observe(document.body, { attributeFilter: ["class"] }); // Gradio follows the system on its own
    document.addEventListener("click", (event) => {
      if (!event.target.closest || !event.target.closest(".bs-theme")) return;
      const theme = document.body.classList.contains("dark") ? "light" : "dark";
      keep(theme);
      show(theme);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (!kept()) show(wanted()); });
  }

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
