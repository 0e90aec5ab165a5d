// What may be wrong with a page that is open.

import fs from "node:fs";
import path from "node:path";
import { modules } from "./common.mjs";
import { vocabulary } from "./vocabulary.mjs";

const axe = fs.readFileSync(path.join(modules, "axe-core/axe.min.js"), "utf8");
const words = vocabulary();

/** What is wrong with the page as it stands, in one colour scheme and size; it may lead to these other origins. */
export async function look(page, elsewhere = []) {
  return page.evaluate(
    ({ tags, attributes, elsewhere }) => {
      const wrong = [];
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth > clientWidth) {
        const wide = [...document.querySelectorAll("body *")].filter((element) => {
          const box = element.getBoundingClientRect();
          return box.right > clientWidth + 1 && getComputedStyle(element).position !== "fixed";
        });
        wrong.push(`scrolls sideways, ${scrollWidth} of ${clientWidth}: ${wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 120))}`);
      }
      const here = (address) => [location.origin, ...elsewhere].includes(new URL(address, location.href).origin);
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
    { ...words, elsewhere },
  );
}

/** What axe-core finds. */
export async function accessible(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `axe: ${one.id} (${one.impact}): ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

/** What the Tab key does not reach, or does not show. */
export async function byKeyboard(page) {
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
