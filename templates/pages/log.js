// The log of a job: shows any part of it, searches it, and follows it while it is written.
//
// The server paints lines and says how many there are (…/log/lines, …/log/steps); the page holds blocks of
// lines, and only those near what is seen have lines in them. So a long log needs no more memory than a short
// one. Everything from a log is put in as text, never as HTML.

const log = document.getElementById("log");
const bar = document.getElementById("bar");
const at = (selector) => bar.querySelector(selector);

/** Lines of a block. */
const BLOCK = 250;
/** Pixels that the lines of all steps may take while they are not shown; browsers scroll some 16 million. */
const TALL = 12e6;
/** Requests at once. */
const MOST = 3;

const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

let base = log.dataset.log;
let lineHeight = 19;
let following = false;
/** The server's clock less ours, in milliseconds. */
let ahead = 0;
/** Where scrolling by this script has led. */
let led = null;

// Parts of the page.

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

async function ask(path, options) {
  const answer = await fetch(`${base}/${path}`, options);
  if (!answer.ok) throw new Error((await answer.text()).slice(0, 200));
  return answer.json();
}

function lineElement(step, line) {
  const name = `${step.anchor}:L${line.number}`;
  const link = element("a", "", String(line.number));
  link.href = `#${name}`;
  link.tabIndex = -1;
  const spans = line.spans.map(([look, text]) => (look ? element("span", look, text) : text));
  if (line.cut) spans.push(element("span", "cut", " …"));
  const made = element("span", "line", link, ...spans, "\n");
  made.id = name;
  made.dataset.ms = line.unix_ms;
  return made;
}

// Steps and their blocks.

class Step {
  constructor(details) {
    this.details = details;
    this.pre = details.querySelector("pre");
    this.anchor = details.id;
    this.index = Number(details.dataset.step);
    this.lines = 0;
    this.leftOut = "";
    this.blocks = [];
    const shown = [...this.pre.children];
    details.querySelector(".rest")?.remove();
    this.grow(Number(details.dataset.lines), details.dataset.leftOut);
    for (const block of this.blocks) {
      const lines = shown.splice(0, block.last - block.first + 1);
      if (lines.length < block.last - block.first + 1) break;
      block.put(lines, 1);
      near.add(block);
    }
    shown.forEach((line) => line.remove());
  }

  /** There are so many lines now, and these are left out. */
  grow(lines, leftOut) {
    if (leftOut !== this.leftOut) {
      this.blocks.forEach((block) => block.remove());
      this.blocks = [];
      this.pre.replaceChildren();
      this.gap = null;
      this.leftOut = leftOut;
    }
    this.lines = lines;
    this.details.classList.toggle("empty", lines === 0);
    this.details.classList.replace(
      [...this.details.classList].find((name) => /^d\d+$/.test(name)),
      `d${String(Math.max(lines, 100)).length}`,
    );
    const [gone, last] = leftOut ? leftOut.split("-").map(Number) : [Infinity, Infinity];
    let from = this.blocks.at(-1)?.first ?? 1;
    while (from <= lines) {
      if (from >= gone && from <= last) {
        if (!this.gap) {
          const count = number.format(last + 1 - gone);
          this.gap = element("div", "gap", `${count} lines are left out here`);
          this.pre.append(this.gap);
        }
        from = last + 1;
        continue;
      }
      const end = Math.min(from + BLOCK - 1, lines, from < gone ? gone - 1 : lines);
      const block = this.blocks.at(-1);
      if (block?.first !== from) this.blocks.push(new Block(this, from, end));
      else if (block.last !== end) block.extend(end);
      from = end + 1;
    }
  }

  /** The block of a line; of one that is left out, the next. */
  block(line) {
    return this.blocks.find((block) => line <= block.last) ?? this.blocks.at(-1);
  }
}

class Block {
  constructor(step, first, last) {
    Object.assign(this, { step, first, last, near: false, busy: false, have: 0, stale: false });
    this.element = element("div", "block");
    this.element.block = this;
    step.pre.append(this.element);
    this.size();
    observer.observe(this.element);
  }

  get ready() {
    return this.have > 0 && !this.stale;
  }

  extend(last) {
    // The last line may have been unfinished.
    this.last = last;
    this.tall = 0;
    this.stale = true;
    this.size();
  }

  /** Room for lines that are not there. */
  size() {
    const share = scale();
    const height = (this.last - this.first + 1) * lineHeight * share;
    this.element.style.height = this.have ? "" : `${(share === 1 && this.tall) || height}px`;
  }

  put(lines, from) {
    lines.forEach((line) => stamp(line));
    const keep = [...this.element.children].slice(0, from - 1);
    this.element.replaceChildren(...keep, ...lines);
    this.have = this.element.children.length;
    this.stale = this.have < this.last - this.first + 1;
    this.size();
  }

  clear() {
    this.tall = this.element.offsetHeight;
    this.have = 0;
    this.element.replaceChildren();
    this.size();
  }

  remove() {
    observer.unobserve(this.element);
    near.delete(this);
    this.element.remove();
  }

  async fill() {
    this.busy = true;
    try {
      const keep = Math.max(this.have - 1, 0);
      const wanted = this.last - this.first + 1 - keep;
      const query = `lines?step=${this.step.index}&from=${this.first + keep}&count=${wanted}`;
      const answer = await ask(query);
      if (!this.element.isConnected || !answer.lines.length) return;
      const lines = answer.lines.filter((line) => line.number <= this.last);
      const made = lines.map((line) => lineElement(this.step, line));
      steady(() => this.put(made, keep + 1));
    } finally {
      this.busy = false;
    }
  }
}

/** Lines that are not shown are drawn lower where all of them would be too tall for a browser. */
function scale() {
  const lines = steps.reduce((sum, step) => sum + step.lines, 0);
  return Math.min(1, TALL / (lines * lineHeight || 1));
}

/** Gives every block without lines the room that is right now. */
function resize() {
  for (const step of steps) for (const block of step.blocks) if (!block.have) block.size();
}

/** Shows the time at which a line began. */
function stamp(line) {
  if (log.classList.contains("times") && line.dataset.ms > 0) {
    line.dataset.time = clock.format(Number(line.dataset.ms));
  }
}

/** Changes the page so that what is looked at stays where it is. */
function steady(change) {
  const top = bar.getBoundingClientRect().bottom + 4;
  const middle = log.getBoundingClientRect().left + log.clientWidth / 2;
  const found = document.elementFromPoint(middle, top);
  const seen = found?.closest(".line, .block, summary");
  const before = seen?.getBoundingClientRect();
  change();
  if (following) return toEnd();
  if (!seen?.isConnected || scrollY === 0) return;
  const after = seen.getBoundingClientRect();
  // In a block without lines, the share of it that is above.
  const share = seen.className === "block" ? (top - before.top) / before.height : 0;
  const moved = after.top + share * after.height - (before.top + share * before.height);
  if (Math.abs(moved) >= 1) lead(() => scrollBy(0, moved));
}

/** Scrolls, and remembers that it was not the reader. */
function lead(scroll) {
  scroll();
  led = scrollY;
}

// What is near gets its lines, what is far gives them back.

const near = new Set();
let running = 0;
const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.block.near = isIntersecting;
      if (isIntersecting) near.add(target.block);
    }
    pump();
  },
  { rootMargin: "1500px 0px" },
);

function pump() {
  for (const block of near) {
    if (block.near || block.busy) continue;
    near.delete(block);
    if (block.have) steady(() => block.clear());
  }
  const middle = innerHeight / 2;
  const distance = (block) => {
    const { top, bottom } = block.element.getBoundingClientRect();
    return top > middle ? top - middle : bottom < middle ? middle - bottom : 0;
  };
  const wanted = [...near].filter((block) => !block.ready && !block.busy);
  wanted.sort((one, other) => distance(one) - distance(other));
  for (const block of wanted.slice(0, MOST - running)) {
    running += 1;
    block.fill().then(
      () => [(running -= 1), mark(), block.ready && pump()],
      (error) => [(running -= 1), say(`The log cannot be read: ${error.message}`)],
    );
  }
}

// Going somewhere.

const steps = [];
for (const details of log.querySelectorAll("details.step")) steps.push(new Step(details));
lineHeight = log.querySelector(".line")?.getClientRects()[0]?.height ?? lineHeight;
resize();

/** Step and lines of an address: `#tests:L120-L135`. */
function place(hash) {
  const name = decodeURIComponent(hash.slice(1));
  const [, anchor, from, to] = /^(.*):L(\d+)(?:-L(\d+))?$/.exec(name) ?? [];
  const step = steps.find((step) => step.anchor === (anchor ?? name));
  if (!step) return null;
  const ends = [Number(from ?? 0), Number(to ?? from ?? 0)].sort((one, other) => one - other);
  return { step, from: ends[0], to: ends[1] };
}

let picked = null;

/** Scrolls to a line, and fetches it where it is not there. */
async function go(step, line) {
  follow(false);
  step.details.open = true;
  const block = step.block(line);
  if (!block) return step.details.scrollIntoView();
  near.add(block);
  block.near = true;
  if (!block.ready && !block.busy) {
    lead(() => block.element.scrollIntoView({ block: "center" }));
    await block.fill();
  }
  const name = `${step.anchor}:L${Math.max(line, block.first)}`;
  lead(() => (document.getElementById(name) ?? block.element).scrollIntoView({ block: "center" }));
  pump();
  mark();
}

function pick(step, from, to) {
  picked = { step, from, to };
  mark();
}

/** Where the reader is: what is picked if it can be seen, else the first line that can. */
function here() {
  if (picked) {
    const line = document.getElementById(`${picked.step.anchor}:L${picked.from}`);
    const box = line?.getBoundingClientRect();
    if (box && box.bottom > 0 && box.top < innerHeight) return [steps.indexOf(picked.step), picked.from];
  }
  const top = bar.getBoundingClientRect().bottom;
  const all = [...log.querySelectorAll(".line")];
  const line = all.find((line) => line.getClientRects().length && line.getBoundingClientRect().top >= top);
  if (!line) return [0, 0];
  const { step, from } = place(`#${line.id}`);
  return [steps.indexOf(step), from - 1];
}

/** The next of some matches from here, or the one before; round at the ends. */
async function jump(matches, back) {
  const now = here();
  const order = ([step, line]) => step - now[0] || line - now[1];
  let index = back
    ? matches.findLastIndex((match) => order(match) < 0)
    : matches.findIndex((match) => order(match) > 0);
  if (index < 0) index = back ? matches.length - 1 : 0;
  const [step, line] = matches[index];
  pick(steps[step], line, line);
  history.replaceState(null, "", `#${steps[step].anchor}:L${line}`);
  await go(steps[step], line);
  return index + 1;
}

// Searching.

let search = { text: "", matches: [], count: 0 };

function say(words) {
  at("#found").textContent = words;
}

/** Places of matches by the order of steps on the page. */
function places(answer) {
  const order = new Map(steps.map((step, index) => [step.index, index]));
  return answer.matches.map(({ step, line }) => [order.get(step) ?? 0, line]);
}

function told(answer, index, what) {
  const count = number.format(answer.count) + (answer.complete ? "" : " or more");
  return answer.count ? `${index ? `${number.format(index)} of ` : ""}${count}${what}` : `None${what}`;
}

async function find(back) {
  const text = at("#q").value;
  if (!text) {
    search = { text: "", matches: [], count: 0 };
    say("");
    return mark();
  }
  if (text !== search.text || log.dataset.running !== undefined) {
    say("Searching …");
    const answer = await ask(`search?limit=10000&q=${encodeURIComponent(text)}`);
    if (text !== at("#q").value) return;
    search = { text, answer, matches: places(answer) };
  }
  const index = search.matches.length ? await jump(search.matches, back) : 0;
  say(told(search.answer, index, ""));
  mark();
}

let errors = null;

async function nextError(back) {
  if (!errors || log.dataset.running !== undefined) {
    say("Searching …");
    const answer = await ask("errors?limit=10000");
    errors = { answer, matches: places(answer) };
  }
  const index = errors.matches.length ? await jump(errors.matches, back) : 0;
  const what = errors.answer.count === 1 ? " error line" : " error lines";
  say(told(errors.answer, index, what));
}

/** Marks what is picked and what was searched for in the lines that are there. */
function mark() {
  for (const line of log.querySelectorAll(".picked")) line.classList.remove("picked");
  for (let line = picked?.from; line && line <= Math.min(picked.to, picked.from + 5000); line += 1) {
    document.getElementById(`${picked.step.anchor}:L${line}`)?.classList.add("picked");
  }
  if (!CSS.highlights) return;
  CSS.highlights.delete("found");
  if (!search.text) return;
  const ranges = [];
  for (const block of near) for (const line of block.element.children) ranges.push(...hits(line));
  CSS.highlights.set("found", new Highlight(...ranges));
}

/** Ranges of a line in which the text that was searched for is. */
function* hits(line) {
  const fold = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const texts = [];
  const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.parentNode.localName !== "a") texts.push(node);
  }
  const whole = fold(texts.map((node) => node.data).join(""));
  const text = fold(search.text);
  const spot = (offset, end) => {
    for (const node of texts) {
      if (offset < node.length || (end && offset === node.length)) return [node, offset];
      offset -= node.length;
    }
    return [texts.at(-1), texts.at(-1).length];
  };
  for (let from = whole.indexOf(text); from >= 0; from = whole.indexOf(text, from + text.length)) {
    const range = new Range();
    range.setStart(...spot(from, false));
    range.setEnd(...spot(from + text.length, true));
    yield range;
  }
}

// Following.

function follow(on) {
  following = on;
  at("[data-do=follow]").setAttribute("aria-pressed", on);
  if (on) toEnd();
  else more();
}

/** The end of what was written last. */
function end() {
  const written = steps.filter((step) => step.lines && step.index < 2 ** 31);
  return written.at(-1);
}

function toEnd() {
  const step = end();
  if (!step) return;
  step.details.open = true;
  lead(() => step.blocks.at(-1).element.scrollIntoView({ block: "end" }));
}

/** The button that leads to the end is there when the end is not. */
function more() {
  const step = end();
  const box = step?.blocks.at(-1)?.element.getBoundingClientRect();
  const below = box && step.details.open && box.bottom > innerHeight + 2 * lineHeight;
  document.getElementById("to-end").hidden = !below || following;
}

addEventListener("scroll", () => {
  // Who scrolls up wants to read.
  if (following && led !== null && scrollY < led - 4) follow(false);
  more();
}, { passive: true });

/** Elapsed times go on by themselves. */
function tick() {
  for (const since of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() + ahead - since.dataset.since) / 1000));
    const minutes = Math.floor(seconds / 60);
    const text = minutes ? `${minutes}m ${String(seconds % 60).padStart(2, "0")}s` : `${seconds}s`;
    since.textContent = since.closest("#head") ? `, running for ${text}` : text;
  }
}

function standing(now) {
  if (String(now.attempt) !== log.dataset.attempt) return location.reload();
  ahead = now.now_ms - Date.now();
  steady(() => {
    const before = scale();
    for (const told of now.steps) {
      const step = steps.find((step) => step.index === told.step);
      if (!step) return location.reload();
      const part = (selector) => step.details.querySelector(`summary ${selector}`);
      const word = part(".mark");
      if (told.word === "running" && word.textContent !== "running") step.details.open = true;
      word.textContent = told.word;
      word.className = `mark ${told.class}`;
      part(".exit").textContent = told.exit;
      const took = part(".took");
      if (told.word === "running" && told.started_ms !== null) took.dataset.since = told.started_ms;
      else delete took.dataset.since;
      took.textContent = told.took;
      if (told.lines !== step.lines) {
        document.getElementById("silent").hidden = true;
        step.grow(told.lines, told.left_out?.join("-") ?? "");
      }
    }
    if (scale() < 0.9 * before) resize();
    tick();
  });
  more();
  pump();
}

/** What is known only in the end comes from the page as the server has it then. */
async function over() {
  const page = await (await fetch(location.pathname)).text();
  const read = new DOMParser().parseFromString(page, "text/html");
  document.title = read.title;
  steady(() => {
    for (const id of ["head", "artifacts", "silent"]) {
      const now = read.getElementById(id);
      if (now) document.getElementById(id).replaceWith(document.adoptNode(now));
    }
  });
  delete log.dataset.running;
  errors = null;
  follow(false);
}

const LOST = "The connection is lost; trying again…";
const AGAIN_MS = 2000;
const LONGEST_MS = 60_000;

/** Follows the job; what is asked again after a break begins with how all of it stands. */
function watch(wait = AGAIN_MS) {
  const events = new EventSource(`${base}/steps`);
  events.addEventListener("steps", ({ data }) => {
    wait = AGAIN_MS;
    if (at("#found").textContent === LOST) say("");
    standing(JSON.parse(data));
  });
  events.addEventListener("error", () => {
    say(LOST);
    // Where a server, or one before it, has answered with an error, the browser does not ask again by itself.
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(() => watch(Math.min(2 * wait, LONGEST_MS)), wait);
  });
  events.addEventListener("end", () => {
    events.close();
    over();
  });
}

// Hands.

function toggle(name) {
  steady(() => {
    const on = log.classList.toggle(name);
    at(`[data-do=${name}]`).setAttribute("aria-pressed", on);
    localStorage.setItem(`log.${name}`, on);
    if (name === "times") log.querySelectorAll(".line").forEach(stamp);
  });
}

const actions = {
  next: () => (at("#q").value ? find(false) : at("#q").focus()),
  previous: () => (at("#q").value ? find(true) : at("#q").focus()),
  error: (event) => nextError(event.shiftKey),
  follow: () => follow(!following),
  times: () => toggle("times"),
  wrap: () => toggle("wrap"),
};

async function act(name, event) {
  try {
    await actions[name](event);
  } catch (error) {
    say(error.message);
  }
}

bar.addEventListener("click", (event) => {
  const name = event.target.closest("[data-do]")?.dataset.do;
  if (name) act(name, event);
});
at("form").addEventListener("submit", (event) => event.preventDefault());
at("#q").addEventListener("keydown", (event) => {
  if (event.key === "Enter") act(event.shiftKey ? "previous" : "next", event);
  if (event.key === "Escape") event.target.blur();
});
let typed = 0;
at("#q").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => act("next", new Event("input")), 300);
  if (!at("#q").value) find(false);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) return;
  if (event.key === "/") {
    event.preventDefault();
    at("#q").select();
    return;
  }
  const keys = { n: "next", N: "previous", e: "error", E: "error", f: "follow", t: "times", w: "wrap" };
  if (keys[event.key]) act(keys[event.key], event);
});
document.getElementById("to-end").addEventListener("click", () => {
  if (log.dataset.running !== undefined) follow(true);
  else go(end(), end().lines);
});
log.addEventListener("click", (event) => {
  const link = event.target.closest(".line > a");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const { step, from } = place(link.hash);
  const start = event.shiftKey && picked?.step === step ? picked.from : from;
  const [first, last] = start < from ? [start, from] : [from, start];
  pick(step, first, last);
  const range = first === last ? `L${first}` : `L${first}-L${last}`;
  history.replaceState(null, "", `#${step.anchor}:${range}`);
});
log.addEventListener("toggle", more, true);

function toAddress() {
  const found = location.hash && place(location.hash);
  if (!found) return;
  if (!found.from) return (found.step.details.open = true), found.step.details.scrollIntoView();
  pick(found.step, found.from, found.to);
  go(found.step, found.from).catch((error) => say(error.message));
}

addEventListener("hashchange", toAddress);
for (const name of ["times", "wrap"]) {
  const wanted = localStorage.getItem(`log.${name}`);
  if (wanted && (wanted === "true") !== log.classList.contains(name)) toggle(name);
}
for (const hidden of bar.querySelectorAll("[hidden]")) hidden.hidden = false;
at("[data-do=follow]").hidden = log.dataset.running === undefined;
tick();
more();
toAddress();
if (log.dataset.running !== undefined) {
  watch();
  setInterval(tick, 1000);
  if (!location.hash) follow(true);
}
