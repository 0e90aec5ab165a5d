// Follows a job in real Chromium while it runs. Started by tests/it/in_browser.rs with the address of the job's
// page: the job writes, holds until this says "release", and writes again.

import assert from "node:assert/strict";
import path from "node:path";
import { browse, open, seen } from "./common.mjs";

const job = process.argv[2];
const pictures = process.env.HERALD_TEST_PICTURES;
const browser = await browse();
try {
  const page = await open(browser, new URL(job).origin);
  const picture = async (name) => {
    if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`) });
  };

  await page.goto(job);
  // It holds in its second step; the page stays at the end of what was written.
  await seen(page, "hold:L1");
  await page.waitForFunction(() => document.querySelector("#hold .took").textContent.length > 0);
  assert.equal(await page.locator("#step-1 .mark").textContent(), "passed");
  assert.equal(await page.locator("#hold .mark").textContent(), "running");
  assert.equal(await page.locator("[data-do=follow]").getAttribute("aria-pressed"), "true");
  await picture("follow-running");

  // A step that is opened above moves nothing away. Who scrolls up is left alone, and comes back by the button.
  await page.locator("#step-1 summary").click();
  await seen(page, "hold:L1");
  await page.mouse.move(600, 500);
  await page.mouse.wheel(0, -3000);
  await page.waitForFunction(() =>
    document.querySelector("[data-do=follow]").getAttribute("aria-pressed") === "false",
  );
  await page.locator("#to-end").click();
  await seen(page, "hold:L1");

  console.log("release");
  await seen(page, "step-3:L3001");
  await page.waitForFunction(() => document.querySelector("h1 .mark").textContent === "passed");
  assert.equal(await page.locator("#step-3 .mark").textContent(), "passed");
  await picture("follow-passed");

  // Every line is there once, wherever one looks.
  const line = async (number) => {
    await page.goto(`${job}#step-3:L${number}`);
    await seen(page, `step-3:L${number}`);
    const text = await page.locator(`[id="step-3:L${number}"]`).textContent();
    assert.equal(text, `${number}line ${String(number - 1).padStart(6, "0")}\n`);
  };
  for (const number of [2, 1500, 3001]) await line(number);
  assert.deepEqual(page.faults, []);
} finally {
  await browser.close();
}
