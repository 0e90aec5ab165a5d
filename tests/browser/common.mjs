// What the scripts for a real browser share. They need node, Chromium and the npm package playwright-core:
//
//   npm install --prefix DIR playwright-core
//   NODE_PATH is not read by modules; HERALD_TEST_NODE_MODULES=DIR/node_modules says where it is.

import { createRequire } from "node:module";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";

/** Where the npm packages are. */
export const modules = path.resolve(process.env.HERALD_TEST_NODE_MODULES ?? "node_modules");
export const require = createRequire(path.join(modules, "x.js"));
const { chromium } = require("playwright-core");

/** A browser, and where it asks for anything but `origin` a list of what it asked for. */
export async function browse() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--enable-precise-memory-info"],
  });
}

/** A page that notes what it must not do: errors on the console, requests to elsewhere. */
export async function open(browser, origin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.faults = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.faults.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(origin)) page.faults.push(`asks for ${request.url()}`);
  });
  return page;
}

/** Waits until the element of this id is to be seen. */
export function seen(page, id) {
  return page.waitForFunction((id) => {
    const box = document.getElementById(id)?.getBoundingClientRect();
    return box && box.top >= 0 && box.top < innerHeight;
  }, id);
}

/** Starts a program and waits until it has written `ready`. */
export async function start(program, args, ready, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let written = "";
  await new Promise((resolve, reject) => {
    const read = (bytes) => {
      written += bytes;
      if (written.includes(ready)) resolve();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) => reject(new Error(`${program} ended with ${code}:\n${written}`)));
  });
  return {
    written: () => written,
    async stop() {
      child.removeAllListeners("exit");
      if (child.exitCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
    },
  };
}

/** Milliseconds that something takes, with its result. */
export async function timed(work) {
  const begin = performance.now();
  const result = await work();
  return [Math.round(performance.now() - begin), result];
}
