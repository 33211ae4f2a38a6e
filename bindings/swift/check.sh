#!/bin/sh
# Builds the Swift package, runs its tests, and a session with its program.
set -eu

if ! command -v swift >/dev/null 2>&1; then
	echo "skipped: bindings/swift: no swift"
	exit 77
fi
session=$PWD/examples/test/session.sh
dir=$BUILD/swift
mkdir -p "$dir"
# SwiftPM reads kw.pc itself, and may know nothing of a stage; so the paths are told, too.
PKG_CONFIG_PATH=$PKG_CONFIG_LIBDIR
export PKG_CONFIG_PATH
set -- --package-path bindings/swift --scratch-path "$dir/build" \
	-Xcc "-I$STAGE$INCLUDEDIR" -Xlinker "-L$STAGE$LIBDIR"
swift build "$@"
swift test "$@"
"$session" "$dir/session" "$(swift build "$@" --show-bin-path)/kw-watch"
echo "swift: the session went as expected"
