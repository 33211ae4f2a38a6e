#!/bin/sh
# The installation: what is in it, and what it is like to use it. TAP.
# usage: installed.sh; the environment is that of check.sh
set -u
count=0 failed=0

# A test: its label, and a command whose output is shown if it fails.
try() {
	label=$1
	shift
	count=$((count + 1))
	if "$@" >"$work/output" 2>&1; then
		echo "ok $count - $label"
	else
		echo "not ok $count - $label"
		sed 's/^/# /' "$work/output" >&2
		failed=$((failed + 1))
	fi
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

lib=$STAGE$LIBDIR
work=$BUILD/installed
# An older log would answer in place of the one to come.
rm -rf "$work"
mkdir -p "$work"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed 1q)
strict="-Wall -Wextra -pedantic -Werror"

# --- The header ---------------------------------------------------------------
printf '#include <kw.h>\nint libkw_test(void) { return KW_VERSION; }\n' >"$work/header.c"
cp "$work/header.c" "$work/header.cc"
header=$STAGE$INCLUDEDIR
try "kw.h is C99" $CC -std=c99 $strict -I"$header" -c "$work/header.c" -o "$work/header.o"
try "kw.h is C11" $CC -std=c11 $strict -I"$header" -c "$work/header.c" -o "$work/header.o"
try "kw.h is C++17" $CXX -x c++ -std=c++17 $strict -I"$header" -c "$work/header.cc" \
	-o "$work/header.o"

# What a C++ program does with it: initialisers, calls, C linkage.
cat >"$work/use.cc" <<'END'
#include <kw.h>
#include <cstdio>
int main()
{
    kw_options options = KW_OPTIONS_INIT;
    kw_watch_options watch_options = KW_WATCH_OPTIONS_INIT;
    kw_stats stats = KW_STATS_INIT;
    kw_error error = KW_ERROR_INIT;
    kw_handle *handle = nullptr;
    watch_options.flags = KW_RECURSIVE;
    int status = kw_open(&options, &handle);
    if (status == KW_OK)
        status = kw_add(handle, ".", &watch_options, nullptr);
    if (status == KW_OK)
        status = kw_stats_get(handle, &stats);
    kw_last_error(handle, &error);
    kw_free(handle);
    std::printf("%s %d %d\n", kw_version(), status, (int)stats.watches);
    return status != KW_OK;
}
END

# --- Building with nothing but pkg-config --------------------------------------
pc() {
	env PKG_CONFIG_LIBDIR="$1$LIBDIR/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$1" \
		$PKG_CONFIG "--cflags" "--libs" $2 kw
}

# Runs a command with the staged library.
with_library() {
	env LD_LIBRARY_PATH="$lib" DYLD_LIBRARY_PATH="$lib" "$@"
}

try "pkg-config knows the version" test "$version" = "$(
	PKG_CONFIG_LIBDIR=$lib/pkgconfig $PKG_CONFIG --modversion kw
)"
try "minimal.c builds, shared" $CC -std=c99 $strict examples/minimal.c $(pc "$STAGE" "") \
	-o "$work/minimal"
try "kwatch builds, shared" $CC -std=c11 $strict -pthread kwatch/*.c $(pc "$STAGE" "") \
	-o "$work/kwatch"
try "kwatch builds, static" $CC -std=c11 $strict -pthread kwatch/*.c \
	$(pc "$STATIC_STAGE" --static) -o "$work/kwatch-static"
try "a C++ program builds" $CXX -std=c++17 $strict "$work/use.cc" $(pc "$STAGE" "") \
	-o "$work/use"
try "and runs" with_library "$work/use"

missing() {
	with_library "$work/$1" "$work/nothing there" 2>"$work/said"
	[ $? -eq 1 ]
}
try "kwatch fails properly, shared" missing kwatch
try "and says why" grep -q "nothing there: .*: No such file or directory" "$work/said"
try "kwatch fails properly, static" missing kwatch-static
cp "$STAGE${BINDIR:-$PREFIX/bin}/kwatch" "$work/kwatch-installed"
try "kwatch fails properly, installed" missing kwatch-installed

if [ "$(uname)" = Linux ]; then
	# All of it, the C library included.
	try "kwatch builds with cc -static" $CC -static -std=c11 $strict -pthread kwatch/*.c \
		$(pc "$STAGE" --static) -o "$work/kwatch-all-static"
	try "and runs" missing kwatch-all-static
else
	skip "kwatch builds with cc -static" "not on this system"
	skip "and runs" "not on this system"
fi

# --- kwatch at work -------------------------------------------------------------

# Until the output has such a line; it is there within a second of its cause,
# and is given ten times that on a busy machine.
says() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 \
		21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do
		grep -q -x -e "$1" "$work/log" 2>/dev/null && return 0
		sleep 0.25
	done
	echo "no line: $1"
	cat "$work/log"
	return 1
}

mkdir "$work/tree"
# Not with_library: the process that gets the signal has to be kwatch itself.
env LD_LIBRARY_PATH="$lib" DYLD_LIBRARY_PATH="$lib" "$work/kwatch" "$work/tree" >"$work/log" 2>&1 &
watcher=$!
try "kwatch begins" says "watching  .*/tree"
mkdir -p "$work/tree/a/b"
try "it reports a new directory" says "created   .*/tree/a/b/"
echo text >"$work/tree/a/f"
try "and a new file" says "created   .*/tree/a/f"
mv "$work/tree/a" "$work/tree/c"
try "and a rename" says "moved     .*/tree/a/ -> .*/tree/c/"
echo more >>"$work/tree/c/f"
try "and a change" says "modified  .*/tree/c/f"
touch "$work/tree/line
break"
try "and an odd name, on one line" says 'created   .*/tree/line\\nbreak'
rm -r "$work/tree/c"
try "and a deletion" says "deleted   .*/tree/c/"
kill -TERM "$watcher"
try "a signal ends it" wait "$watcher"
try "with a summary" says "-- [0-9]* events: .*created.*deleted.*moved.*"

# --- What is exported -------------------------------------------------------------
if [ "$(uname)" = Darwin ]; then
	shared=$lib/libkw.dylib
	try "nothing but kw_ is exported" test -z "$(nm -gU "$shared" | grep -v ' _kw_')"
	skip "the SONAME" "macOS has install names"
else
	shared=$lib/libkw.so
	# Versions and sections are no symbols of ours; the BSDs' linkers add these.
	others=$(nm -D --defined-only "$shared" | awk '{ print $NF }' |
		grep -v -E '^(kw_|_init$|_fini$|__bss_start$|_edata$|_end$)')
	try "nothing but kw_ is exported" test -z "$others"
	soname() {
		readelf -d "$shared" | grep -i soname | grep -F "[libkw.so.${version%%.*}]" ||
			readelf -d "$shared" | grep -i soname | grep -F "libkw.so.${version%%.*}"
	}
	try "the SONAME is libkw.so.${version%%.*}" soname
	try "libkw.so.$version is the file" test -f "$lib/libkw.so.$version"
	try "and not a link" test ! -h "$lib/libkw.so.$version"
	try "libkw.so.${version%%.*} is a link" test -h "$lib/libkw.so.${version%%.*}"
fi
declared=$(sed -n 's/.*[ *]\(kw_[a-z_]*\)(.*/\1/p' "$header/kw.h" | grep -v '^$' | sort -u)
count_declared() {
	for function in $declared; do
		nm -D "$shared" 2>/dev/null | grep -q -w "$function" ||
			nm -g "$shared" | grep -q -w "_*$function" || {
			echo "$function is declared and not exported"
			return 1
		}
	done
}
try "all that kw.h declares is exported" count_declared

# --- Removing it ------------------------------------------------------------------
settings() {
	env DESTDIR="$work/gone" PREFIX=/opt/kw LIBDIR=/opt/kw/lib64 INCLUDEDIR=/opt/kw/include/kw \
		BINDIR= DATADIR= MANDIR= sh build-aux/libkw.sh "$1"
}
try "it is installed elsewhere" settings install
try "with every file where it was told to be" test -f "$work/gone/opt/kw/lib64/pkgconfig/kw.pc" \
	-a -f "$work/gone/opt/kw/include/kw/kw.h" -a -x "$work/gone/opt/kw/bin/kwatch" \
	-a -f "$work/gone/opt/kw/share/man/man3/kw.3"
try "and found there" test "$(
	PKG_CONFIG_LIBDIR=$work/gone/opt/kw/lib64/pkgconfig $PKG_CONFIG --cflags --libs kw |
		sed 's/ *$//'
)" = "-I/opt/kw/include/kw -L/opt/kw/lib64 -lkw"
try "it is uninstalled" settings uninstall
try "and nothing is left" test -z "$(find "$work/gone" ! -type d)"

echo "1..$count"
[ "$failed" -eq 0 ]
