#!/bin/sh
# Builds and runs what uses the library: the examples and the bindings, against a staged
# installation; `make check-uses` says with what settings. Each of them has a check.sh,
# which answers 0 (passed), 77 (skipped: what it needs is not installed) or something else, and
# says `skipped: WHAT: WHY` for each part that it leaves out. At the end all of these are
# listed.
set -eu

absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$PWD/$1" ;;
	esac
}

BUILD=$(absolute "$BUILD")
STAGE=$BUILD/stage-uses
rm -rf "$STAGE"
DESTDIR=$STAGE sh build-aux/libkw.sh install >/dev/null
LD_LIBRARY_PATH=$STAGE$LIBDIR
DYLD_LIBRARY_PATH=$STAGE$LIBDIR
PKG_CONFIG_LIBDIR=$STAGE$LIBDIR/pkgconfig
PKG_CONFIG_SYSROOT_DIR=$STAGE
export BUILD STAGE LD_LIBRARY_PATH DYLD_LIBRARY_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
export PREFIX LIBDIR INCLUDEDIR CC CXX CFLAGS PKG_CONFIG

log=$BUILD/uses.log
skipped=
failed=
for check in cmake/check.sh c-tests/*/check.sh examples/check.sh examples/*/check.sh \
	bindings/*/check.sh kwatch/check.sh man/check.sh docs/check.sh conformance/check.sh; do
	[ -f "$check" ] || continue
	name=$(dirname "$check")
	echo "== $name"
	status=0
	sh "$check" >"$log" 2>&1 || status=$?
	cat "$log"
	skipped="$skipped$(sed -n "s|^skipped: |  $name: |p" "$log")
"
	case $status in
	0 | 77) ;;
	*) failed="$failed $name" ;;
	esac
done
skipped=$(echo "$skipped" | sed '/^$/d')
[ -z "$skipped" ] || printf 'skipped, for what is not installed:\n%s\n' "$skipped"
[ -z "$failed" ] || {
	echo "failed:$failed"
	exit 1
}
