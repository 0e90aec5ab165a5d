// Writes a long log as Herald keeps it: the format is described in src/logs/index.rs.

import fs from "node:fs";

/** FNV-1a, as in src/logs/index.rs. */
function check(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

/** A record of an index; see src/logs/index.rs. */
function record(offset, unixMs, length, step, lines) {
  const bytes = Buffer.alloc(40);
  bytes.writeBigUInt64LE(BigInt(offset), 0);
  bytes.writeBigUInt64LE(BigInt(unixMs), 8);
  bytes.writeUInt32LE(length, 24);
  bytes.writeUInt32LE(step, 28);
  bytes.writeUInt8(1, 32);
  bytes.writeUIntLE(lines * 2, 33, 3);
  bytes.writeUInt32LE(check(bytes.subarray(0, 36)), 36);
  return bytes;
}

/** Writes a log whose second step has `count` lines, some of them coloured, long, or of an error. */
export function writeLog(file, count) {
  const data = fs.openSync(`${file}.log`, "w");
  const index = fs.openSync(`${file}.index`, "w");
  const head = Buffer.alloc(40);
  head.write("HERALDL3");
  fs.writeSync(index, head);
  let offset = 0;
  const write = (step, unixMs, lines) => {
    const bytes = Buffer.from(lines.join(""));
    fs.writeSync(data, bytes);
    fs.writeSync(index, record(offset, unixMs, bytes.length, step, lines.length));
    offset += bytes.length;
  };
  write(0, Date.now(), ["syntax is fine\n"]);
  for (let first = 1; first <= count; first += 20) {
    const lines = [];
    for (let line = first; line < first + 20 && line <= count; line += 1) lines.push(text(line, count));
    write(1, Date.now() - (count - first), lines);
  }
  fs.closeSync(data);
  fs.closeSync(index);
  return offset;
}

function text(line, count) {
  if (line === count - 10) return "\x1b[1m\x1b[31merror\x1b[0m: the last one\n";
  if (line === Math.floor(count / 2)) return "error: in the middle\n";
  if (line % 1000 === 0) return `test of a long line ${line} ${"and more ".repeat(60)}\n`;
  if (line % 3 === 0) return `\x1b[32mok\x1b[0m      test_${line} passed in ${line % 97} ms\n`;
  return `compiling module ${line} of ${count} with the usual options\n`;
}
