// From an empty data directory to a registered App, an installed repository and a green job, as somebody with a
// browser does it:
//
//   node tests/browser/setup.mjs ADDRESS-WITH-CODE GITHUB
//
// GITHUB is the simulated one. Prints how long it took, the pages aside that wait for the job.

import { browse, open, timed } from "./common.mjs";

const [link, github] = process.argv.slice(2);
const origin = new URL(link).origin;
const browser = await browse();
const page = await open(browser, origin);

const at = (address, what) => {
  if (!page.url().startsWith(address)) throw new Error(`${what}: the browser is at ${page.url()}`);
};

const [ms] = await timed(async () => {
  await page.goto(link);
  at(`${origin}/setup`, "after the code");
  await page.check("#enterprise");
  await page.fill("#github_url", github);
  await page.click("button.primary");
  await page.click("button.primary");
  at(github, "GitHub asks");
  await page.click("button");
  await page.waitForURL(`${origin}/setup/next*`);
  await page.click("text=Install on repositories");
  await page.click("button");
  await page.waitForURL(`${origin}/setup/next*`);
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
if (faults.length) throw new Error(faults.join("\n"));
console.log(`from the address with the code to a green build: ${ms} ms`);
await browser.close();
