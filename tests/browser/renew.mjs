// The page of a build that runs tells that it has ended, without being loaded again. Started by
// tests/it/in_browser.rs with the page's address; says "release" when the build may go on.

import assert from "node:assert/strict";
import { browse, open } from "./common.mjs";

const build = process.argv[2];
const browser = await browse();
try {
  const page = await open(browser, new URL(build).origin);
  await page.goto(build);
  await page.evaluate(() => {
    window.stayed = true;
  });
  assert.equal(await page.locator("h1 .mark").textContent(), "running");
  const job = page.locator(".card a").first();
  await job.focus();
  const focused = await job.getAttribute("href");
  console.log("release");
  await page.waitForFunction(() => document.querySelector("h1 .mark").textContent === "passed");
  assert.match(await page.title(), /passed/);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), focused);
  assert.equal(await page.evaluate(() => window.stayed), true);
  assert.deepEqual(page.faults, []);
} finally {
  await browser.close();
}
