// Looks at the page of a job with a log of a million lines, in real Chromium, and prints how long things take:
//
//   HERALD_TEST_NODE_MODULES=DIR/node_modules node tests/browser/log.mjs target/release/herald
//
// It starts `herald demo`, puts a log of its own in the place of one of the demonstration, and fails when something
// is not as it should be. HERALD_TEST_PICTURES=DIR keeps pictures.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { browse, open, start, timed } from "./common.mjs";
import { writeLog } from "./long_log.mjs";

const LINES = Number(process.env.HERALD_TEST_LINES ?? 1_000_000);
const herald = process.argv[2] ?? "target/debug/herald";
const pictures = process.env.HERALD_TEST_PICTURES;

const work = fs.mkdtempSync(path.join(os.tmpdir(), "herald-browser-"));
const figures = {};
let server;
let browser;
try {
  server = await start(herald, ["demo", "--listen", "127.0.0.1:0"], "To look at", {
    env: { ...process.env, TMPDIR: work, NO_COLOR: "1" },
  });
  const origin = /http:\/\/127\.0\.0\.1:\d+/.exec(server.written().split("To look at")[1])[0];
  // Build 5 is the failing pull request.
  const job = `${origin}/repos/octo/greet/builds/5/jobs/build`;
  const raw = await (await fetch(`${job}/log.txt`)).text();
  const logs = fs.readdirSync(work, { recursive: true }).map((name) => path.join(work, String(name)));
  const log = logs.find((name) => name.endsWith(".log") && fs.readFileSync(name, "utf8") === raw);
  assert(log, "the log of the job is not on the disk");
  const file = log.replace(/\.log$/, "");
  fs.rmSync(`${file}.log`);
  fs.rmSync(`${file}.index`);
  figures["log, MB"] = Math.round(writeLog(file, LINES) / 1e6);

  browser = await browse();
  const page = await open(browser, origin);
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const heap = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { metrics } = await devtools.send("Performance.getMetrics");
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    return { mb: Math.round(of("JSHeapUsedSize") / 1e5) / 10, nodes: of("Nodes") };
  };

  // The first time the server reads the index; the second time it knows it.
  for (const time of ["first paint, ms (index unread)", "first paint, ms"]) {
    await page.goto("about:blank");
    await page.goto(`${job}#tests`);
    await page.waitForFunction(() => document.querySelector(".block .line"));
    figures[time] = await page.evaluate(
      () => Math.round(performance.getEntriesByName("first-contentful-paint")[0].startTime),
    );
  }
  assert.equal(await page.locator("#tests").getAttribute("data-lines"), String(LINES));
  figures["memory at first"] = await heap();

  const shows = (line) =>
    page.waitForFunction((id) => {
      const box = document.getElementById(id)?.getBoundingClientRect();
      return box && box.top > 0 && box.bottom < innerHeight;
    }, `tests:L${line}`, { timeout: 60_000 });

  // To the last error, backwards from the beginning of the log.
  await page.evaluate(() => scrollTo(0, 0));
  [figures["jump to the last error, ms"]] = await timed(async () => {
    await page.keyboard.press("Shift+E");
    await shows(LINES - 10);
  });
  assert.match(await page.locator("#found").textContent(), /^2 of 2 error lines$/);
  assert.equal(new URL(page.url()).hash, `#tests:L${LINES - 10}`);

  const search = async (words, count) => {
    const [took] = await timed(async () => {
      await page.locator("#q").fill("");
      await page.locator("#q").fill(words);
      await page.waitForFunction(
        (count) => document.getElementById("found").textContent.endsWith(count),
        count,
        { timeout: 60_000 },
      );
    });
    return took;
  };
  figures["search with one hit, ms"] = await search(`compiling module ${LINES - 12} of`, " of 1");
  // Every thousandth line is long, but for the one in the middle.
  const middle = Math.floor(LINES / 2) % 1000 === 0 ? 1 : 0;
  const many = new Intl.NumberFormat("en").format(Math.floor(LINES / 1000) - middle);
  figures["search with many hits, ms"] = await search("TEST OF A LONG LINE", ` of ${many}`);
  await page.keyboard.press("Escape");

  // A line far away, by its address.
  const far = Math.floor(LINES * 0.7);
  [figures["open a link to a line, ms"]] = await timed(async () => {
    await page.goto("about:blank");
    await page.goto(`${job}#tests:L${far}-L${far + 3}`);
    await shows(far);
  });
  // The range may end in the next block.
  await page.waitForFunction(() => document.querySelectorAll(".picked").length === 4);
  if (pictures) await page.screenshot({ path: path.join(pictures, "log-range.png") });

  // Through all of it, a screen at a time where it is dense and in leaps.
  await page.evaluate(() => scrollTo(0, 0));
  const memory = [];
  let frames = 0;
  let slow = 0;
  for (let round = 0; round < 10; round += 1) {
    const told = await page.evaluate(async (round) => {
      const tall = document.documentElement.scrollHeight;
      scrollTo(0, (tall * round) / 10);
      const gaps = [];
      let last = performance.now();
      for (let frame = 0; frame < 120; frame += 1) {
        scrollBy(0, 60);
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        gaps.push(now - last);
        last = now;
      }
      return gaps;
    }, round);
    frames += told.length;
    slow += told.filter((gap) => gap > 50).length;
    await page.waitForFunction(() =>
      [...document.querySelectorAll(".block")].some((block) => {
        const box = block.getBoundingClientRect();
        return box.top < innerHeight && box.bottom > 0 && block.querySelector(".line");
      }),
    );
    memory.push(await heap());
  }
  figures["frames over 50 ms while scrolling"] = `${slow} of ${frames}`;
  figures["memory while scrolling, MB"] = memory.map((one) => one.mb).join(" ");
  figures["nodes while scrolling"] = memory.map((one) => one.nodes).join(" ");
  const later = memory.slice(2).map((one) => one.mb);
  assert(Math.max(...later) < 1.5 * Math.min(...later) + 5, "memory grows");

  // The very end.
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.locator(`[id="tests:L${LINES}"]`).waitFor({ timeout: 30_000 });
  assert.deepEqual(page.faults, []);
} finally {
  await browser?.close();
  await server?.stop();
  fs.rmSync(work, { recursive: true, force: true });
}
for (const [name, value] of Object.entries(figures)) {
  console.log(`${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
}
