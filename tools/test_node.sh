#!/usr/bin/env bash
# Puts the clients for Node that tests/serve needs, those of tests/serve/node/package.json, into build/node-test; anew when the
# list has changed. Nothing they bring is run at installation.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=tests/serve/node
there=build/node-test
cmp -s "$wanted/package-lock.json" "$there/package-lock.json" && [ -e "$there/done" ] && exit 0
echo "test: installing clients for Node into $there (about 50 MB, once)" >&2
rm -rf "$there"
mkdir -p "$there"
cp "$wanted/package.json" "$wanted/package-lock.json" "$there"
(cd "$there" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2 ||
    { echo "test: error: npm could not install $wanted/package.json" >&2; exit 1; }
touch "$there/done"
