// Makes the width tables of this folder from the npm package anafanafo 2 (MIT, see README.md):
//   npm install anafanafo@2 && node generate.mjs node_modules/anafanafo/data .
// A record is 8 bytes, little-endian: first code point (u32), how many (u16), width in hundredths
// of a pixel (u16). Records are sorted and do not overlap.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [data, out] = process.argv.slice(2)
const tables = [
  ['verdana-11px-normal.json', 'verdana-11.bin'],
  ['verdana-10px-normal.json', 'verdana-10.bin'],
  ['verdana-10px-bold.json', 'verdana-10-bold.bin'],
  ['helvetica-11px-bold.json', 'helvetica-11-bold.bin'],
]
for (const [from, to] of tables) {
  const records = []
  for (const [first, last, width] of JSON.parse(readFileSync(join(data, from), 'utf8'))) {
    for (let start = first; start <= last; start += 0xffff) {
      const count = Math.min(last - start + 1, 0xffff)
      const record = Buffer.alloc(8)
      record.writeUInt32LE(start, 0)
      record.writeUInt16LE(count, 4)
      record.writeUInt16LE(Math.round(width * 100), 6)
      records.push(record)
    }
  }
  writeFileSync(join(out, to), Buffer.concat(records))
}
