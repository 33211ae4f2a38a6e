#!/bin/sh
# The Node package: its tests, and a session with the command. What it depends on is
# installed by `npm ci` in this directory, not here.
set -eu

if ! command -v node >/dev/null 2>&1; then
	echo "skipped: examples/node: no node"
	exit 77
fi
if [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
	echo "skipped: examples/node: node $(node --version) is older than 20"
	exit 77
fi
if [ ! -d examples/node/node_modules/koffi ]; then
	echo "skipped: examples/node: no koffi; (cd examples/node && npm ci) installs it"
	exit 77
fi
case $(uname) in
Darwin) KW_LIBRARY=$STAGE$LIBDIR/libkw.0.dylib ;;
*) KW_LIBRARY=$STAGE$LIBDIR/libkw.so.0 ;;
esac
export KW_LIBRARY
mkdir -p "$BUILD/node"
node --test examples/node/test/*.test.js
examples/test/session.sh "$BUILD/node/session" node "$PWD/examples/node/watch.js"
echo "node: the session went as expected"
