// Keys that work anywhere on the page.

export function mountKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      document.querySelector("#bs-search")?.click(); // Learn has no such buttons
    } else if (event.key === "Escape" && !event.defaultPrevented) {
      document.querySelector("#bs-stop")?.click();
    }
  });
}
