// Follows a job in real Chromium over a line that is cut for 20 seconds while the job writes, and ends. Started by
// tests/it/in_browser.rs with the address of the job's page: the job writes, holds until this says "release", and
// writes again.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { browse, open, seen } from "./common.mjs";

const CUT_MS = 20_000;
const job = new URL(process.argv[2]);

/** A line to the server that can be cut. */
class Line {
  #sockets = new Set();
  #server = net.createServer((socket) => {
    const onward = net.connect(Number(job.port), job.hostname);
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      this.#sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });

  async begin(port = 0) {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return this.#server.address().port;
  }

  async cut() {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

const line = new Line();
const port = await line.begin();
const address = new URL(job);
address.port = port;
const browser = await browse();
try {
  const page = await open(browser, address.origin);
  await page.goto(address.href);
  await seen(page, "hold:L1");
  await line.cut();
  console.log("release");
  await page.waitForFunction(() => document.querySelector("#found").textContent.includes("connection is lost"));
  await page.waitForTimeout(CUT_MS);
  assert.equal(await page.locator("h1 .mark").textContent(), "running");
  await line.begin(port);
  await seen(page, "step-3:L3001");
  await page.waitForFunction(() => document.querySelector("h1 .mark").textContent === "passed");
  assert.equal(await page.locator("#found").textContent(), "");
  // Every line once and in order, from the first that came after the break to the last.
  const lines = await page.locator("#step-3 .line").allTextContents();
  const last = lines.map((text) => text.trim()).slice(-50);
  assert.deepEqual(last, Array.from({ length: 50 }, (_, at) => `${2952 + at}line ${String(2951 + at).padStart(6, "0")}`));
  const console_ = page.faults.filter((fault) => !fault.includes("ERR_"));
  assert.deepEqual(console_, []);
} finally {
  await browser.close();
  await line.cut();
}
