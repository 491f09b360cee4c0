// The ten steps of a first visit over the built page: node browser-tests.mjs DIST
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";
import { FLAGS } from "./shots.mjs";

const dist = process.argv[2];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const server = await serve(dist, 0);
const url = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });

let passed = 0;
const failed = [];

async function open(fragment = "", options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (e) => page.errors.push(String(e)));
  page.on("console", (m) => m.type() === "error" && page.errors.push(m.text()));
  await page.goto(url + fragment);
  await page.locator("svg g.node").first().waitFor();
  // On a narrow screen the terminal is one of four panes, and the drawing is the first.
  if (await page.locator(SHOWN).isVisible()) await screen(page, /# ?$/);
  return page;
}

// The terminal's pane that is shown; xterm's own element inside has the class `terminal` too.
const SHOWN = "[id^=terminal-]:not(.hidden)";
const text = (page) => page.locator(`${SHOWN} .xterm-rows`).innerText();

// Waits until a text shows up in the terminal.
async function screen(page, wanted, ms = 30000) {
  const end = Date.now() + ms;
  for (;;) {
    const t = (await text(page)).replaceAll("\u00a0", " ").trim();
    if (wanted.test(t)) return t;
    if (Date.now() > end) throw new Error(`waited for ${wanted}; the terminal shows:\n${t}`);
    await page.waitForTimeout(100);
  }
}

// Types a line and waits for its prompt; gives what it printed.
async function sh(page, line, ms = 60000) {
  await page.locator(`${SHOWN} textarea`).focus();
  await page.keyboard.type("clear\n");
  await screen(page, /^\S* ?\S*# ?$/);
  await page.keyboard.type(line + "; echo done:$?\n");
  const t = await screen(page, /done:\d+\n.*# ?$/, ms);
  return t.slice(t.indexOf("\n") + 1);
}

function has(value, wanted, what) {
  if (!(wanted instanceof RegExp ? wanted.test(value) : value === wanted)) throw new Error(`${what ?? "got"}: ${value}\nwanted: ${wanted}`);
}

async function test(name, body) {
  const start = Date.now();
  try {
    await body();
    passed++;
    console.log(`ok    ${name} (${Date.now() - start} ms)`);
  } catch (e) {
    failed.push(name);
    console.log(`FAIL  ${name}\n      ${String(e.message ?? e).split("\n").join("\n      ")}`);
  }
}

async function accessible(page, where) {
  await page.evaluate(axe);
  const bad = await page.evaluate(async () => {
    const r = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return r.violations
      .filter((v) => ["serious", "critical"].includes(v.impact))
      .map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 4).join(", ")}`);
  });
  has(bad.join("; "), "", `axe-core, ${where}`);
}

const MANIFEST = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: kubia
spec:
  replicas: 3
  selector:
    matchLabels:
      app: kubia
  template:
    metadata:
      labels:
        app: kubia
    spec:
      containers:
      - name: kubia
        image: luksa/kubia:v1
        ports:
        - containerPort: 8080
---
apiVersion: v1
kind: Service
metadata:
  name: kubia
spec:
  selector:
    app: kubia
  ports:
  - port: 80
    targetPort: 8080
`;

let page;
await test("1 a cluster is there: terminal and drawing agree", async () => {
  page = await open();
  const t = await sh(page, "kubectl get nodes -o wide");
  for (const n of ["control-plane", "worker-1", "worker-2"]) {
    has(t, new RegExp(`^${n} +Ready `, "m"));
    await page.locator("svg g.node", { hasText: n }).waitFor();
  }
});

await test("2 a manifest is edited, marked and applied", async () => {
  await page.getByRole("tab", { name: "Manifest" }).click();
  const editor = page.getByLabel("Manifest", { exact: true }).and(page.locator("textarea"));
  await editor.fill(MANIFEST.replace("replicas: 3", "replicaz: 3"));
  await page.locator("#marks li").first().waitFor();
  has(await page.locator("#marks").innerText(), /line 6.*replicaz/s);
  await editor.fill(MANIFEST);
  await page.getByText("No mistakes found.").waitFor();
  await page.locator("#apply").click();
  await page.getByRole("tab", { name: "Terminal 1" }).click();
  await screen(page, /service\/kubia created/);
});

await test("3 pods appear in drawing, terminal and events", async () => {
  await sh(page, "kubectl rollout status deployment/kubia");
  has(await sh(page, "kubectl get pods"), /(kubia-\S+ +1\/1 +Running.*\n){3}/);
  has(await sh(page, "kubectl get events | tail -40"), /Scheduled|Pulled|Started/);
  has(String(await page.locator("svg g.pod:not(.system)").count()), "3", "pods drawn");
  await page.getByRole("tab", { name: "Events" }).click();
  await page.getByText("Successfully assigned default/kubia-").first().waitFor();
  await page.getByRole("tab", { name: "Topology" }).click();
});

await test("4 the service answers from different pods, by address and by name", async () => {
  await sh(page, "sleep 2");
  const t = await sh(
    page,
    "P=$(kubectl get pods -o name | head -1); IP=$(kubectl get svc kubia -o jsonpath='{.spec.clusterIP}'); for i in 1 2 3 4 5 6 7 8; do kubectl exec $P -- curl -s http://$IP; done; kubectl exec $P -- curl -s http://kubia",
  );
  const hits = new Set([...t.matchAll(/You've hit (kubia-\S+)/g)].map((m) => m[1]));
  if (hits.size < 2) throw new Error(`one pod answers all: ${t}`);
});

await test("5 the packet's path shows the rules that iptables-save prints", async () => {
  await page.getByRole("tab", { name: "Packets" }).click();
  await page.locator(".packet", { hasText: /\.80: Flags \[S\]/ }).first().click();
  const path = await page.locator(".packet-path").innerText();
  for (const w of [/sent by a socket/, /KUBE-SERVICES/, /KUBE-SVC-/, /KUBE-SEP-/, /DNAT/, /POSTROUTING/, /delivered to TCP/]) has(path, w);
  const chain = path.match(/KUBE-SEP-\w+/)[0];
  await page.getByRole("tab", { name: "Topology" }).click();
  await page.locator("svg g.node", { hasText: "worker-1" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Open a shell" }).click();
  await page.getByRole("tab", { name: "node worker-1", selected: true }).waitFor();
  await screen(page, /# ?$/);
  has(await sh(page, `iptables-save | grep -c -- '-A ${chain}'`), /^[1-9]/m, "rules in worker-1");
  await page.getByRole("tab", { name: "Terminal 1" }).click();
});

await test("6 the cluster heals, scales and rolls", async () => {
  await sh(page, "kubectl delete $(kubectl get pods -o name | head -1)");
  await sh(page, "kubectl scale deployment kubia --replicas=4; kubectl rollout status deployment/kubia");
  await sh(page, "kubectl set image deployment/kubia kubia=luksa/kubia:v2; kubectl rollout status deployment/kubia");
  has(await sh(page, "kubectl get pods"), /(kubia-\S+ +1\/1 +Running.*\n){4}/);
  has(await sh(page, "kubectl exec deploy/kubia -- curl -s localhost:8080"), /This is v2 running in pod/);
});

await test("7 the clock pauses, steps, runs fast and goes back", async () => {
  const time = () => page.locator("#time").innerText();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.waitForTimeout(300);
  const a = await time();
  await page.waitForTimeout(500);
  has(await time(), a, "time while paused");
  await page.getByRole("button", { name: "Run one event" }).click();
  await page.getByRole("button", { name: "Go back 30 seconds" }).click();
  await page.waitForFunction((a) => document.querySelector("#time").innerText < a, a);
  await page.getByLabel("Speed of the clock").selectOption({ label: "10×" });
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForFunction((a) => document.querySelector("#time").innerText > a, a, { timeout: 30000 });
  await page.getByLabel("Speed of the clock").selectOption({ label: "1×" });
});

await test("8 a link carries the cluster, equal to the bit", async () => {
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#share").click();
  await page.getByText("The link is in the clipboard").waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const fragment = link.slice(link.indexOf("#"));
  has(fragment, /^#s=/);
  const other = await browser.newContext();
  const second = await other.newPage();
  await second.goto(url + fragment);
  await second.getByText("equal to the bit").waitFor({ timeout: 60000 });
  await other.close();
  const bad = await browser.newContext();
  const third = await bad.newPage();
  await third.goto(url + fragment.slice(0, 40));
  await third.locator(".notice").waitFor();
  has(await third.locator(".notice").innerText(), /link/i);
  await bad.close();
});

await test("9 the first lesson turns green by itself", async () => {
  const p = await open();
  await sh(p, "kubectl get nodes -o wide");
  await sh(p, "kubectl create deployment kubia --image=luksa/kubia:v1; kubectl rollout status deploy/kubia");
  await p.waitForFunction(() => /[2-9] of \d/.test(document.querySelector(".pane.lesson").innerText));
  await p.context().close();
});

await test("10 history, completion and keys alone", async () => {
  const p = await open();
  await p.keyboard.type("kubectl get nod");
  await p.keyboard.press("Tab");
  await screen(p, /kubectl get nodes/);
  await p.keyboard.press("Enter");
  await screen(p, /worker-2 +Ready/);
  await p.keyboard.press("ArrowUp");
  await screen(p, /kubectl get nodes *$/);
  await p.keyboard.press("Control+c");
  await p.keyboard.press("F6");
  await p.keyboard.press("3");
  has(await p.getByRole("tab", { name: "Objects" }).getAttribute("aria-selected"), "true", "F6 leaves the terminal");
  await p.keyboard.press("F6");
  await p.keyboard.type("echo back$((1+1))\n");
  await screen(p, /back2/);
  await p.context().close();
});

await test("a worker that dies comes back with its history", async () => {
  const p = await open();
  await sh(p, "kubectl create deployment kept --image=luksa/kubia:v1; kubectl rollout status deploy/kept");
  await p.workers()[0].evaluate(() => {
    setTimeout(() => {
      throw new Error("broken on purpose");
    });
  });
  await p.getByText("It is here again").waitFor({ timeout: 30000 });
  await p.keyboard.press("Escape");
  has(await sh(p, "kubectl get deploy kept"), /^kept +1\/1 /m);
  await p.context().close();
});

await test("no serious accessibility violation, wide and narrow, light and dark", async () => {
  await accessible(page, "wide");
  for (const colorScheme of ["light", "dark"]) {
    const p = await open("", { colorScheme, viewport: { width: 390, height: 844 } });
    for (const pane of ["Lesson", "Stage", "Terminal", "Inspector"]) {
      await p.getByRole("navigation", { name: "Panes" }).getByRole("button", { name: pane }).click();
      await accessible(p, `narrow ${colorScheme}, ${pane}`);
      const wide = await p.evaluate(() => document.documentElement.scrollWidth);
      if (wide > 390) throw new Error(`the narrow page is ${wide} pixels wide with ${pane}`);
    }
    await p.context().close();
  }
});

await test("nothing was logged as an error", async () => has(page.errors.join("\n"), ""));

await browser.close();
server.close();
console.log(`${passed} passed, ${failed.length} failed`);
process.exit(failed.length ? 1 : 0);
