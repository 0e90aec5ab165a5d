// Looks at pages in real Chromium, in light and dark, on a telephone and on a desk:
//
//   HERALD_TEST_NODE_MODULES=DIR/node_modules node tests/browser/pages.mjs '[{"name": …, "address": …}]'
//
// Each page may have `status` (200) and `has`, a text that is to be read on it. Nothing on the console, no request
// that fails or leads elsewhere, no scrolling sideways, nothing that axe-core calls serious, everything that can be
// operated is reached by the Tab key and shows it; and nothing is there but what stands in our own templates: no
// dialog, no script, no element and no attribute out of data. Prints what it found, and fails on any of it.
// HERALD_TEST_PICTURES=DIR keeps pictures.

import fs from "node:fs";
import path from "node:path";
import { browse, modules } from "./common.mjs";
import { vocabulary } from "./vocabulary.mjs";

const axe = fs.readFileSync(path.join(modules, "axe-core/axe.min.js"), "utf8");
const pages = JSON.parse(process.argv[2]);
const pictures = process.env.HERALD_TEST_PICTURES;
const words = vocabulary();
const SIZES = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];

/** What is wrong with the page as it stands, in one colour scheme and size. */
async function look(page, words) {
  return page.evaluate(
    ({ tags, attributes }) => {
      const wrong = [];
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth > clientWidth) {
        const wide = [...document.querySelectorAll("body *")].filter((element) => {
          const box = element.getBoundingClientRect();
          return box.right > clientWidth + 1 && getComputedStyle(element).position !== "fixed";
        });
        wrong.push(`scrolls sideways, ${scrollWidth} of ${clientWidth}: ${wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 120))}`);
      }
      const here = (address) => new URL(address, location.href).origin === location.origin;
      for (const element of document.querySelectorAll("*")) {
        const tag = element.localName;
        const is = element.outerHTML.slice(0, 160);
        if (!tags.includes(tag)) wrong.push(`an element from elsewhere: ${is}`);
        for (const { name, value } of element.attributes) {
          if (!attributes.includes(name.toLowerCase()) || name.startsWith("on")) wrong.push(`an attribute from elsewhere: ${name} of ${is}`);
          if (["href", "src", "action"].includes(name) && value !== "data:," && !here(value)) wrong.push(`leads elsewhere: ${is}`);
        }
        if (tag === "script" && !(element.src.startsWith(`${location.origin}/assets/`) && element.text === "")) wrong.push(`a script: ${is}`);
        if (tag === "img" && !element.getAttribute("src").startsWith("/badges/")) wrong.push(`a picture: ${is}`);
        if (tag === "img" && element.complete && element.naturalWidth === 0) wrong.push(`a picture that is broken: ${is}`);
      }
      if ("hacked" in window) wrong.push("a script out of data ran");
      return wrong;
    },
    words,
  );
}

/** What axe-core finds. */
async function accessible(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `axe: ${one.id} (${one.impact}): ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

/** What the Tab key does not reach, or does not show. */
async function byKeyboard(page) {
  const count = await page.evaluate(() => {
    const looks = (element) => {
      const style = getComputedStyle(element);
      const shape = element.querySelector("rect");
      return [style.outlineStyle, style.outlineWidth, shape ? getComputedStyle(shape).stroke : ""].join();
    };
    const can = "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']";
    const list = [...document.querySelectorAll(can)];
    window.toReach = new Map(
      list
        .filter((element) => element.tabIndex >= 0 && !element.disabled && element.checkVisibility({ visibilityProperty: true }))
        .map((element) => [element, looks(element)]),
    );
    window.badlyShown = [];
    document.addEventListener("focusin", ({ target }) => {
      const before = window.toReach.get(target);
      if (before === undefined) return;
      window.toReach.delete(target);
      const box = target.getBoundingClientRect();
      const out = box.bottom < 0 || box.top > innerHeight;
      if (before === looks(target) || out) window.badlyShown.push(target.outerHTML.slice(0, 160));
    });
    document.activeElement?.blur();
    return window.toReach.size;
  });
  const left = () => page.evaluate(() => window.toReach.size);
  for (let press = 0; press < 3 * count + 20; press += 1) {
    if (press % 10 === 0 && (await left()) === 0) break;
    await page.keyboard.press("Tab");
  }
  return page.evaluate(() => [
    // What has hidden itself meanwhile is not there to be reached.
    ...[...window.toReach.keys()].filter((one) => one.isConnected && one.checkVisibility({ visibilityProperty: true })).map((one) => `the Tab key does not reach ${one.outerHTML.slice(0, 160)}`),
    ...window.badlyShown.map((one) => `has the focus and does not show it: ${one}`),
  ]);
}

/** A page in one size. */
async function visit(browser, { name, address, status = 200, has = [] }, viewport) {
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
    note(colorScheme, await look(page, words));
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
