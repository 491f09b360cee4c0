// Screenshots of the page: node shots.mjs DIST OUT
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

export const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [dist, out] = process.argv.slice(2);
  mkdirSync(out, { recursive: true });
  const server = await serve(dist, 0);
  const url = `http://127.0.0.1:${server.address().port}/`;
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
  for (const [w, h] of [
    [1440, 900],
    [390, 844],
  ])
    for (const scheme of ["light", "dark"]) {
      const page = await browser.newPage({ viewport: { width: w, height: h }, colorScheme: scheme });
      page.on("console", (m) => ["error", "warning"].includes(m.type()) && console.error(m.text()));
      page.on("pageerror", (e) => console.error(String(e)));
      await page.goto(url);
      await page.waitForTimeout(4000);
      await page.screenshot({ path: `${out}/${w}-${scheme}.png` });
      await page.close();
    }
  await browser.close();
  server.close();
}
