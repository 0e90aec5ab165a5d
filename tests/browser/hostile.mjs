// Proves that texts which mean harm do nothing outside of pages: in badges as documents and as pictures, in JSON,
// in raw logs, and in what GitHub makes of our Markdown. Started by tests/it/in_browser.rs with
// `{pictures, data, texts: [address], markdown: [text]}`.

import { browse, require } from "./common.mjs";

const MarkdownIt = require("markdown-it");
const plan = JSON.parse(process.argv[2]);
const faults = [];
const origin = new URL(plan.data[0]).origin;

/** A page that notes whatever takes effect. */
async function watched(browser, where, expected) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("dialog", (dialog) => {
    faults.push(`${where}: a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("pageerror", (error) => faults.push(`${where}: ${error}`));
  page.on("request", (request) => {
    const icon = request.url() === `${origin}/favicon.ico`;
    if (request.url() !== expected && !icon) faults.push(`${where}: a request to ${request.url()}`);
  });
  return page;
}

/** No element, no attribute and no style that could do something. */
const active = () => {
  const wrong = [];
  const plain = ["svg", "title", "desc", "g", "rect", "text", "path", "linearGradient", "stop", "clipPath", "mask", "filter", "feGaussianBlur", "image", "a", "tspan", "defs", "use"];
  for (const element of document.querySelectorAll("*")) {
    if (!plain.includes(element.localName)) wrong.push(`element ${element.localName}`);
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on")) wrong.push(`attribute ${name}`);
      if (/href$/.test(name) && !/^(https?:\/\/|\/|#|data:image\/)/.test(value)) wrong.push(`${name}=${value}`);
      if (/url\((?!#)/.test(value)) wrong.push(`${name}=${value}`);
    }
  }
  if ("hacked" in window) wrong.push("a script ran");
  return wrong;
};

async function pictures(browser) {
  for (const address of plan.pictures) {
    const whole = new URL(address).href;
    let page = await watched(browser, address, whole);
    const answer = await page.goto(address);
    if (answer.status() !== 200) faults.push(`${address}: ${answer.status()}`);
    const root = await page.evaluate(() => document.documentElement.localName);
    if (root !== "svg") faults.push(`${address}: is no SVG but ${root}`);
    faults.push(...(await page.evaluate(active)).map((one) => `${address}: ${one}`));
    await page.context().close();
    page = await watched(browser, `${address} as a picture`, whole);
    await page.setContent(`<img src="${whole.replaceAll("&", "&amp;").replaceAll('"', "%22")}">`, { waitUntil: "load" });
    const width = await page.evaluate(() => document.images[0].naturalWidth);
    if (!(width > 0)) faults.push(`${address}: does not show as a picture`);
    await page.context().close();
  }
}

async function data(browser) {
  for (const [address, type] of [
    ...plan.data.map((address) => [address, "application/json"]),
    ...plan.texts.map((address) => [address, "text/plain"]),
  ]) {
    const answer = await fetch(address);
    const given = answer.headers.get("content-type") ?? "";
    if (answer.status !== 200 || !given.startsWith(type)) faults.push(`${address}: ${answer.status}, ${given}`);
    if (answer.headers.get("x-content-type-options") !== "nosniff") faults.push(`${address}: may be sniffed`);
    if (type === "application/json") JSON.parse(await answer.text());
    const page = await watched(browser, address, new URL(address).href);
    await page.goto(address);
    const made = await page.evaluate(() => ({
      tags: [...document.querySelectorAll("body *")].map((element) => element.localName),
      hacked: "hacked" in window,
    }));
    // What the browser itself puts around a text.
    const foreign = made.tags.filter((tag) => !["pre", "div"].includes(tag));
    if (foreign.length > 0 || made.hacked) faults.push(`${address}: ${JSON.stringify(made)}`);
    await page.context().close();
  }
}

/** What GitHub would make of it: its own HTML, links, pictures, mentions. */
function markdown() {
  const reader = new MarkdownIt({ html: true, linkify: true });
  const ours = /^(?:\s|<!--[^>]*-->|<\/?details>|<summary>[A-Za-z ]*<\/summary>)*$/;
  for (const text of plan.markdown) {
    const tell = (what) => faults.push(`Markdown: ${what}\n  in ${JSON.stringify(text.slice(0, 4000))}`);
    const walk = (tokens) => {
      let linked = 0;
      for (const token of tokens) {
        if (token.children) walk(token.children);
        if (token.type.startsWith("html_") && !ours.test(token.content)) tell(`HTML ${token.content}`);
        if (token.type === "image") tell(`a picture ${token.attrGet("src")}`);
        if (token.type === "link_open") {
          linked += 1;
          if (!token.attrGet("href").startsWith("https://herald.test/")) tell(`a link to ${token.attrGet("href")}`);
        }
        if (token.type === "link_close") linked -= 1;
        if (token.type === "text" && linked === 0) {
          if (/(^|[^\w`])@\w/.test(token.content)) tell(`a mention in ${token.content}`);
          if (/(^|[^\w&])(#|GH-)\d/i.test(token.content)) tell(`a reference in ${token.content}`);
        }
        if (/[\u202a-\u202e\u2066-\u2069]/.test(token.content)) tell("the direction of writing is turned");
      }
    };
    walk(reader.parse(text, {}));
  }
}

const browser = await browse();
try {
  await pictures(browser);
  await data(browser);
  markdown();
} finally {
  await browser.close();
}
for (const fault of faults) console.log(fault);
console.log(`${faults.length} faults`);
process.exitCode = faults.length === 0 ? 0 : 1;
