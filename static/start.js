// Loads the terminal and the page's program side by side.
import { openTerminal } from "./terminal.js";
import init from "./page.js";

globalThis.kubariumTerminal = openTerminal;
globalThis.kubariumFetch = (path, got) =>
  fetch(path)
    .then((r) => (r.ok ? r.text() : null))
    .catch(() => null)
    .then((text) => got(text));

init({ module_or_path: "page_bg.wasm" });
