// From an empty data directory to a registered App, an installed repository and a green job, as somebody with a
// browser does it:
//
//   node tests/browser/setup.mjs ADDRESS-WITH-CODE GITHUB
//
// GITHUB is the simulated one. Prints how long it took, without the time in which it looked at the pages on the way,
// in light and dark and in two sizes.

import path from "node:path";
import { browse, open, timed } from "./common.mjs";
import { accessible, look } from "./looks.mjs";

const [link, github] = process.argv.slice(2);
const origin = new URL(link).origin;
const browser = await browse();
const page = await open(browser, origin);

const at = (address, what) => {
  if (!page.url().startsWith(address)) throw new Error(`${what}: the browser is at ${page.url()}`);
};

let aside = 0;
const wrong = [];
/** Looks at one of Herald's pages. */
const see = async (name) => {
  const [ms] = await timed(async () => {
    for (const [width, height] of [[390, 844], [1440, 900]]) {
      await page.setViewportSize({ width, height });
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        const found = [...(await look(page, [new URL(github).origin, "https://docs.github.com"])), ...(await accessible(page))];
        wrong.push(...found.map((one) => `${name}, ${width} px, ${colorScheme}: ${one}`));
        const pictures = process.env.HERALD_TEST_PICTURES;
        if (pictures) await page.screenshot({ path: path.join(pictures, `setup-${name}-${width}-${colorScheme}.png`), fullPage: true });
      }
    }
  });
  aside += ms;
};

await page.goto(`${origin}/`);
await see("door");
const [ms] = await timed(async () => {
  await page.goto(link);
  at(`${origin}/setup`, "after the code");
  await see("address");
  await page.check("#enterprise");
  await page.fill("#github_url", github);
  await page.click("button.primary");
  await see("review");
  await page.click("button.primary");
  at(github, "GitHub asks");
  await page.click("button");
  await page.waitForURL(`${origin}/setup/next*`);
  await see("registered");
  await page.click("text=Install on repositories");
  await page.click("button");
  await page.waitForURL(`${origin}/setup/next*`);
  await see("installed");
  await page.click("text=Add .herald.yml on GitHub");
  await page.fill("textarea", 'execute: ["true"]\n');
  await page.click("button");
  await page.waitForLoadState();
  // The page of the repository on Herald, until its build is green.
  for (let tries = 0; ; tries += 1) {
    await page.goto(`${origin}/repos/octo/project`);
    if (await page.locator(".mark.good").count()) break;
    if (tries === 200) throw new Error(`no green build: ${await page.innerText("main")}`);
    await page.waitForTimeout(100);
  }
});
// GitHub's pages are another origin, as they should be.
const faults = page.faults.filter((fault) => !fault.includes(github));
faults.push(...wrong);
if (faults.length) throw new Error(faults.join("\n"));
console.log(`from the address with the code to a green build: ${ms - aside} ms`);
await browser.close();
