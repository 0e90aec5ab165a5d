// Looks at pages in real Chromium, in light and dark, on a telephone and on a desk:
//
//   HERALD_TEST_NODE_MODULES=DIR/node_modules node tests/browser/pages.mjs '[{"name": …, "address": …}]'
//
// Each page may have `status` (200), `has`, texts that are to be read on it, `leads`, other origins that it may link to, and
// `form`, which is sent there. Nothing on the console, no request
// that fails or leads elsewhere, no scrolling sideways, nothing that axe-core calls serious, everything that can be
// operated is reached by the Tab key and shows it; and nothing is there but what stands in our own templates: no
// dialog, no script, no element and no attribute out of data. Prints what it found, and fails on any of it.
// HERALD_TEST_PICTURES=DIR keeps pictures.

import path from "node:path";
import { browse } from "./common.mjs";
import { accessible, byKeyboard, look } from "./looks.mjs";

const pages = JSON.parse(process.argv[2]);
const pictures = process.env.HERALD_TEST_PICTURES;
const SIZES = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];

/** A page in one size. */
async function visit(browser, { name, address, status = 200, has = [], leads = [], form }, viewport) {
  const origin = new URL(address).origin;
  const context = await browser.newContext({ viewport, colorScheme: "light", reducedMotion: "reduce" });
  const page = await context.newPage();
  const faults = [];
  const note = (where, list) => faults.push(...list.map((one) => `${name}, ${viewport.width} px, ${where}: ${one}`));
  // A page that is to say 404 is one line on the console.
  let refusals = status >= 400 ? 1 : 0;
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type())) return;
    if (refusals > 0 && message.text().includes(`status of ${status}`)) refusals -= 1;
    else note("console", [message.text()]);
  });
  page.on("pageerror", (error) => note("script", [String(error)]));
  page.on("dialog", (dialog) => {
    note("dialog", [dialog.message()]);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(`${origin}/`) && to !== "data:,") note("request", [`to ${to}`]);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && response.url() !== address) note("request", [`${response.status()} of ${response.url()}`]);
  });
  if (form !== undefined) {
    await page.route(address, (route) => {
      const headers = { ...route.request().headers(), origin, "content-type": "application/x-www-form-urlencoded" };
      route.continue({ method: "POST", postData: form, headers });
    });
  }
  const answer = await page.goto(address, { waitUntil: "load" });
  if (answer.status() !== status) note("answer", [`${answer.status()}, not ${status}`]);
  for (const text of has) {
    const there = await page.evaluate((text) => document.documentElement.textContent.includes(text), text);
    if (!there) note("text", [`does not say ${JSON.stringify(text)}`]);
  }
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    if (pictures) {
      const file = `${name.replaceAll(/[^a-z0-9]+/gi, "-")}-${viewport.width}-${colorScheme}.png`;
      await page.screenshot({ path: path.join(pictures, file), fullPage: true });
    }
    note(colorScheme, await look(page, leads));
    note(colorScheme, await accessible(page));
  }
  note("keyboard", await byKeyboard(page));
  await context.close();
  return faults;
}

/** The same again where a page that renews itself did so in between. */
async function patiently(browser, page, size) {
  for (let time = 1; ; time += 1) {
    try {
      return await visit(browser, page, size);
    } catch (error) {
      if (time === 4 || !/context was destroyed|navigation/i.test(String(error))) throw error;
    }
  }
}

const browser = await browse();
const faults = [];
try {
  const visits = pages.flatMap((page) => SIZES.map((size) => [page, size]));
  const worker = async () => {
    for (let next = visits.shift(); next; next = visits.shift()) {
      faults.push(...(await patiently(browser, ...next)));
    }
  };
  await Promise.all([worker(), worker()]);
} finally {
  await browser.close();
}
for (const fault of [...new Set(faults)]) console.log(fault);
console.log(`${pages.length} pages, ${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
