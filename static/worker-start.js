// The worker's entry: loads its program.
import init from "./worker.js";

globalThis.kubariumBytes = (path, got) => {
  fetch(path)
    .then((r) => (r.ok ? r.arrayBuffer() : null))
    .then((b) => got(b && new Uint8Array(b)))
    .catch(() => got(null));
};

init({ module_or_path: "worker_bg.wasm" });
