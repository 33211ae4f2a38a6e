#!/bin/sh
# The examples of event loops: each whose library is installed is built and run. TAP.
# usage: check.sh, from the top of the source; the environment is that of `make check`
set -u
count=0 failed=0
here=examples/loops
work=$BUILD/loops
rm -rf "$work"
mkdir -p "$work"

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

# The flags of a package of the system, not of the staged installation.
system_flags() {
	(
		unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
		$PKG_CONFIG --cflags --libs "$1" 2>/dev/null
	)
}

# Whether there is such a header and, with the flags, such a library.
# has HEADER COMPILER [FLAG...]
has() {
	printf '#include <sys/types.h>\n#include <%s>\nint main(void) { return 0; }\n' "$1" \
		>"$work/has.c"
	shift
	compiler=$1
	shift
	$compiler $CFLAGS "$work/has.c" "$@" -o "$work/has" >/dev/null 2>&1
}

# Until the log has such a line. There is nothing to wait for but time: the program is
# another process. It is there at once, and is given a hundred times as long.
says() {
	for _ in 0 1 2 3 4 5 6 7 8 9; do
		for _ in 0 1 2 3 4 5 6 7 8 9; do
			grep -q -x -F -e "$1" "$work/log" 2>/dev/null && return 0
			sleep 0.1
		done
	done
	echo "no line: $1"
	cat "$work/log"
	return 1
}

# A directory where nothing is: status 1, and the reason.
missing() {
	"$work/$1" "$work/nothing there" 2>"$work/log"
	[ $? -eq 1 ] && says "$work/nothing there: watch: No such file or directory"
}

start() {
	rm -rf "$work/tree" "$work/log"
	mkdir "$work/tree"
	"$work/$1" "$work/tree" >"$work/log" 2>&1 &
	pid=$!
}

# ends SIGNAL: whether a signal ends it, with status 0.
ends() {
	kill "-$1" "$pid"
	# One that does not end is ended, and has failed.
	(sleep 10 && kill -KILL "$pid") >/dev/null 2>&1 &
	killer=$!
	wait "$pid"
	ended=$?
	kill "$killer" 2>/dev/null
	[ "$ended" -eq 0 ]
}

# example NAME COMPILER STANDARD [FLAG...]
example() {
	name=$1 compiler=$2 standard=$3
	shift 3
	try "$name.c builds" $compiler "-std=$standard" -Wall -Wextra -pedantic -Werror $CFLAGS \
		"$here/$name.c" $($PKG_CONFIG --cflags --libs kw) "$@" -o "$work/$name"
	[ -x "$work/$name" ] || return
	try "$name: it says what is wrong" missing "$name"
	start "$name"
	tree=$work/tree
	try "$name: it begins" says "watching $tree"
	mkdir "$tree/a"
	try "$name: a directory" says "created $tree/a"
	echo text >"$tree/a/f"
	try "$name: a file" says "created $tree/a/f"
	mv "$tree/a" "$tree/b"
	try "$name: a rename" says "moved $tree/a -> $tree/b"
	rm -r "$tree/b"
	try "$name: a deletion" says "deleted $tree/b"
	try "$name: SIGTERM ends it" ends TERM
	start "$name"
	try "$name: it begins again" says "watching $tree"
	try "$name: SIGINT ends it" ends INT
}

skipped() {
	echo "skipped: $here/$1.c: $2"
}

example poll "$CC" c11

if [ "$(uname)" = Linux ]; then
	example epoll "$CC" c11
else
	skipped epoll "not Linux"
fi

# The headers of the others want more than C11 has; so gnu11, the compilers' own default.
if has sys/event.h "$CC"; then
	example kqueue "$CC" gnu11
elif flags=$(system_flags libkqueue); then
	example kqueue "$CC" gnu11 $flags
else
	skipped kqueue "no kqueue here, nor libkqueue"
fi

if flags=$(system_flags libuv); then
	example libuv "$CC" gnu11 $flags
else
	skipped libuv "libuv is not installed"
fi

if flags=$(system_flags glib-2.0); then
	example glib "$CC" gnu11 $flags
else
	skipped glib "GLib is not installed"
fi

if has dispatch/dispatch.h "$CC"; then
	example libdispatch "$CC" gnu11
elif has dispatch/dispatch.h "$CC" -ldispatch; then
	example libdispatch "$CC" gnu11 -ldispatch
elif has dispatch/dispatch.h clang -ldispatch; then
	example libdispatch clang gnu11 -ldispatch
else
	skipped libdispatch "libdispatch is not installed, or no compiler that can read its headers"
fi

echo "1..$count"
[ "$failed" -eq 0 ]
