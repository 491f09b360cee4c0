// xterm.js behind the few calls that the page makes.
import { Terminal } from "./xterm.mjs";
import { FitAddon } from "./addon-fit.mjs";

const encoder = new TextEncoder();

function colours() {
  const css = getComputedStyle(document.documentElement);
  const v = (name) => css.getPropertyValue(name).trim();
  return {
    background: v("--term-bg"),
    foreground: v("--term-fg"),
    cursor: v("--term-cursor"),
    cursorAccent: v("--term-bg"),
    selectionBackground: v("--term-select"),
    black: v("--term-black"),
    red: v("--term-red"),
    green: v("--term-green"),
    yellow: v("--term-yellow"),
    blue: v("--term-blue"),
    magenta: v("--term-magenta"),
    cyan: v("--term-cyan"),
    white: v("--term-white"),
  };
}

export function openTerminal(id, typed, resized) {
  const element = document.getElementById(id);
  if (!element) return null;
  const terminal = new Terminal({
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: 13,
    lineHeight: 1.15,
    cursorBlink: false,
    screenReaderMode: true,
    scrollback: 5000,
    convertEol: false,
    theme: colours(),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element);
  // F6 is the page's: the way out for those who use no mouse.
  terminal.attachCustomKeyEventHandler((e) => e.key !== "F6");
  terminal.onData((s) => typed(encoder.encode(s)));
  terminal.onBinary((s) => typed(Uint8Array.from(s, (c) => c.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => resized(cols, rows));
  new MutationObserver(() => (terminal.options.theme = colours())).observe(document.documentElement, {
    attributeFilter: ["data-theme"],
  });
  const fitPane = () => {
    if (element.clientWidth > 40 && element.clientHeight > 20) fit.fit();
  };
  new ResizeObserver(fitPane).observe(element);
  return {
    show: (bytes) => terminal.write(bytes),
    fitPane,
    focusTerminal: () => terminal.focus(),
    clearAll: () => terminal.reset(),
    text: () => {
      const b = terminal.buffer.active;
      const lines = [];
      for (let i = 0; i < b.length; i++) lines.push(b.getLine(i)?.translateToString(true) ?? "");
      return lines.join("\n").trimEnd();
    },
    element,
  };
}
