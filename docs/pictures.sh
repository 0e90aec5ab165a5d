#!/bin/sh
# Makes the pictures of the README from `herald demo`, in Chromium. Needs node, npm and Chromium.
#
# (Debian: chromium, fonts-noto-color-emoji.)
#
#   docs/pictures.sh [HERALD]      HERALD: the program, target/debug/herald unless told
set -eu
cd "$(dirname "$0")/.."
herald=${1:-target/debug/herald}
[ -x "$herald" ] || {
  echo "docs/pictures.sh: there is no $herald; build it with cargo build" >&2
  exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${HERALD_TEST_NODE_MODULES:-}" ]; then
  npm install --silent --no-audit --no-fund --prefix "$work" playwright-core@1 markdown-it@14 >/dev/null
  export HERALD_TEST_NODE_MODULES="$work/node_modules"
fi
mkdir "$work/pictures"
node tests/browser/pictures.mjs "$herald" "$work/pictures"
for picture in "$work"/pictures/*.png; do
  size=$(wc -c <"$picture")
  [ "$size" -le 153600 ] || {
    echo "docs/pictures.sh: ${picture##*/} has $size bytes; a README's pictures stay under 150 KiB" >&2
    exit 1
  }
done
mv "$work"/pictures/*.png docs/
