// Takes the pictures of the README from `herald demo`; started by docs/pictures.sh:
//
//   HERALD_TEST_NODE_MODULES=DIR/node_modules node tests/browser/pictures.mjs HERALD FOLDER

import path from "node:path";
import { browse, open, require, start } from "./common.mjs";

const MarkdownIt = require("markdown-it");
const [herald, folder] = process.argv.slice(2);
const reader = new MarkdownIt({ html: true });

const server = await start(herald, ["demo", "--listen", "127.0.0.1:0"], "Press Ctrl-C", {
  env: { ...process.env, NO_COLOR: "1" },
});
const told = server.written().split("To look at")[1];
const [origin] = /http:\/\/127\.0\.0\.1:\d+/.exec(told);
const [pull] = /http:\S+\/pull\/1\b/.exec(told);
const repository = `${origin}/repos/octo/greet`;

/** What GitHub does with Markdown. */
async function rendered(page) {
  for (const text of await page.locator("pre.markdown").all()) {
    const html = reader.render(await text.textContent());
    await text.evaluate((element, html) => {
      const made = document.createElement("div");
      made.className = "markdown";
      made.innerHTML = html;
      element.replaceWith(made);
    }, html);
  }
}

const browser = await browse();
try {
  for (const colorScheme of ["light", "dark"]) {
    const take = async (name, address, { part, width = 1000, height = 1200, before } = {}) => {
      const site = new URL(address).origin;
      const page = await open(browser, site, { colorScheme, viewport: { width, height } });
      await page.goto(address, { waitUntil: "load" });
      await rendered(page);
      await before?.(page);
      const file = path.join(folder, `${name}-${colorScheme}.png`);
      await (part ? page.locator(part).first().screenshot({ path: file }) : page.screenshot({ path: file }));
      if (page.faults.length > 0) throw new Error(`${name}: ${page.faults.join("; ")}`);
      await page.context().close();
    };
    await take("repository", repository, { height: 720 });
    await take("build", `${repository}/builds/5`, { height: 760 });
    await take("job", `${repository}/builds/5/jobs/build`, { height: 420 });
    await take("badges", repository, { part: ".badges", width: 600 });
    await take("comment", pull, { height: 640 });
    const page = await open(browser, new URL(pull).origin);
    await page.goto(pull);
    const check = new URL(await page.locator(".checks li a").first().getAttribute("href"), pull).href;
    await page.context().close();
    await take("check", check, { height: 900 });
  }
} finally {
  await browser.close();
  await server.stop();
}
