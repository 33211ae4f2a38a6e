#!/bin/sh
# The Zig module: its tests, and a session with the program.
set -eu

if ! command -v zig >/dev/null 2>&1; then
	echo "skipped: examples/zig: no zig"
	exit 77
fi
# Until Zig is 1.0 each version is another language.
case $(zig version) in
0.17.*) ;;
*)
	echo "skipped: examples/zig: zig $(zig version) is not 0.17"
	exit 77
	;;
esac
dir=$BUILD/zig
mkdir -p "$dir"
ZIG_LOCAL_CACHE_DIR=$dir/cache ZIG_GLOBAL_CACHE_DIR=$dir/cache
export ZIG_LOCAL_CACHE_DIR ZIG_GLOBAL_CACHE_DIR
zig fmt --check examples/zig
zig translate-c -lc $($PKG_CONFIG --cflags kw) examples/zig/c.h >"$dir/c.zig"
libs=$($PKG_CONFIG --libs kw)
zig test --dep c -Mroot=examples/zig/kw.zig -Mc="$dir/c.zig" -lc $libs 2>&1
zig build-exe --dep kw -Mroot=examples/zig/watch.zig --dep c -Mkw=examples/zig/kw.zig \
	-Mc="$dir/c.zig" -lc $libs -femit-bin="$dir/watch"
examples/test/session.sh "$dir/session" "$dir/watch"
echo "zig: the session went as expected"
