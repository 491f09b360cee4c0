// Serves a folder with the page's content security policy: node serve.mjs DIR [PORT]
import { createServer } from "node:http";
import { createReadStream, statSync } from "node:fs";
import { extname, join, normalize, resolve } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".yaml": "text/yaml; charset=utf-8",
  ".json": "application/json",
};

export function serve(dir, port) {
  const root = resolve(dir);
  const server = createServer((req, res) => {
    const path = decodeURIComponent(new URL(req.url, "http://x").pathname);
    let file = join(root, normalize(path));
    try {
      if (!file.startsWith(root)) throw new Error("outside");
      if (statSync(file).isDirectory()) file = join(file, "index.html");
      const size = statSync(file).size;
      res.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-length": size,
        "cache-control": "no-cache",
        "content-security-policy":
          "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; worker-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
      });
      createReadStream(file).pipe(res);
    } catch {
      res.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    }
  });
  return new Promise((ok, bad) => {
    server.on("error", bad);
    server.listen(port, "127.0.0.1", () => ok(server));
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [dir, port] = process.argv.slice(2);
  serve(dir, Number(port ?? 8080)).catch((e) => {
    console.error(`cannot serve on port ${port}: ${e.message}; name another: ./dev serve 8081`);
    process.exit(1);
  });
}
