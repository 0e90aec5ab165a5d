// Keeps the page of a build that is not over as it stands. Without this script the page loads itself again.

const AGAIN_MS = 5000;
const OWN = "script[src='/assets/build.js']";

/** Puts the new content in the place of the old one; what was open or had the focus has it again. */
function renew(read) {
  const [old, made] = [document, read].map((page) => page.querySelector("main"));
  if (!made || made.textContent === old.textContent) return;
  const opened = [...old.querySelectorAll("details")].map((part) => part.open);
  made.querySelectorAll("details").forEach((part, at) => {
    part.open = opened[at] ?? false;
  });
  const can = "a[href], button, summary, [tabindex]";
  const at = [...old.querySelectorAll(can)].indexOf(document.activeElement);
  old.replaceWith(document.adoptNode(made));
  document.title = read.title;
  if (at >= 0) made.querySelectorAll(can)[at]?.focus({ preventScroll: true });
}

async function look() {
  let over = false;
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (answer.ok) {
      const read = new DOMParser().parseFromString(await answer.text(), "text/html");
      renew(read);
      over = read.querySelector(OWN) === null;
    }
  } catch {
    // The server is away; it comes back.
  }
  if (!over) setTimeout(look, AGAIN_MS);
}

setTimeout(look, AGAIN_MS);
