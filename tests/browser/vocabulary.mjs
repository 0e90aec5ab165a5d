// What a page may be made of: the elements and attributes that stand in our own templates and scripts. Whatever
// else is on a page came out of data, and must not be there.

import fs from "node:fs";
import path from "node:path";

const folder = path.join(import.meta.dirname, "../../templates/pages");

/** Names of elements and of attributes. */
export function vocabulary() {
  const tags = new Set(["tbody", "html", "head", "body"]);
  const attributes = new Set();
  for (const file of fs.readdirSync(folder)) {
    const text = fs.readFileSync(path.join(folder, file), "utf8");
    if (file.endsWith(".html")) {
      // What is filled in is no part of the template's own words.
      const own = text.replace(/\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}/gs, " ");
      for (const [, tag, rest] of own.matchAll(/<([a-z][a-z0-9]*)((?:"[^"]*"|[^">])*)>/gi)) {
        tags.add(tag.toLowerCase());
        for (const [name] of rest.replace(/"[^"]*"/g, "").matchAll(/[a-z][a-z0-9-]*/gi)) {
          attributes.add(name.toLowerCase());
        }
      }
    } else if (file.endsWith(".js")) {
      // Scripts make elements by `createElement`, and name attributes as texts.
      for (const [, word] of text.matchAll(/["'`]([a-z][a-z0-9-]*)["'`]/g)) {
        tags.add(word);
        attributes.add(word);
      }
      for (const [, word] of text.matchAll(/dataset\.([a-zA-Z]+)/g)) {
        attributes.add(`data-${word.replace(/[A-Z]/g, (big) => `-${big.toLowerCase()}`)}`);
      }
    }
  }
  for (const name of ["id", "class", "href", "tabindex", "hidden", "style"]) attributes.add(name);
  for (const name of ["iframe", "object", "embed", "base"]) tags.delete(name);
  return { tags: [...tags], attributes: [...attributes] };
}
