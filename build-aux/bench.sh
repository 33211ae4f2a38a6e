#!/bin/sh
# The benchmark; the Makefile says with what settings. Everything but the report is in
# $BUILD/bench: programs, peers and, while it runs, trees.
# usage: bench.sh run [OPTION...] | cost [update] | peers
set -eu

mkdir -p "$BUILD/bench"
here=$(cd "$BUILD/bench" && pwd)
stage=$here/stage
target=$here/target

# Sees the library as a user does: through pkg-config.
install_library() {
	rm -rf "$stage"
	DESTDIR=$stage sh build-aux/libkw.sh install >/dev/null
	flags=$(PKG_CONFIG_LIBDIR=$stage$LIBDIR/pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage \
		$PKG_CONFIG --cflags --libs kw)
	if grep -q crawl_threads include/kw.h; then
		flags="-DKW_HAS_CRAWL_THREADS $flags"
	fi
	mkdir -p "$here/bin"
}

build() {
	install_library
	mkdir -p "$here/contenders"
	compile floor bench/floor/floor.c bench/contenders/protocol.c
	compile kw bench/contenders/kw.c bench/contenders/protocol.c $flags
	compile change bench/cost/change.c $flags
	# Beside the packages, because node looks for these beside the script.
	cp bench/contenders/*.py bench/contenders/*.mjs "$here/contenders"
	$CARGO build --quiet --release --locked --manifest-path bench/Cargo.toml --target-dir "$target"
}

compile() { # PROGRAM SOURCE... FLAG...
	program=$1
	shift
	$CC -std=c11 -Wall -Wextra -pedantic -O2 $CFLAGS -pthread -o "$here/bin/$program" "$@" \
		"-Wl,-rpath,$stage$LIBDIR"
}

# The commit, and whether there is more than that.
revision() {
	git describe --always --dirty --exclude '*' 2>/dev/null || echo unknown
}

run() {
	build
	KW_BENCH_REVISION=$(revision)
	export KW_BENCH_REVISION
	exec "$target/release/kw-bench" --dir "$here" --out docs/bench --part-out "$here/report" \
		--bin "$here/bin" --lib "$stage$LIBDIR" --peers "$here" "$@"
}

# The counters that do not shake.
cost() {
	install_library
	compile change bench/cost/change.c $flags
	VALGRIND=$VALGRIND sh bench/cost/check.sh "$here/bin/change" "$here/trees" "$@"
}

# What needs no privilege is installed; for the rest it says how.
peers() {
	if command -v python3 >/dev/null 2>&1 && python3 -m venv "$here/venv"; then
		"$here/venv/bin/pip" install --quiet --requirement bench/contenders/requirements.txt
	else
		echo "no watchdog and no watchfiles: they need python3 with venv (apt-get install python3-venv)"
	fi
	if command -v npm >/dev/null 2>&1; then
		cp bench/contenders/package.json "$here"
		npm install --prefix "$here" --no-package-lock --no-audit --no-fund --loglevel=error
	else
		echo "no @parcel/watcher and no chokidar: they need npm (apt-get install npm)"
	fi
	echo "The others: apt-get install inotify-tools fswatch watchman valgrind"
}

command=$1
shift
case $command in
run) run "$@" ;;
cost) cost "$@" ;;
peers) peers ;;
*) exit 2 ;;
esac
