#!/bin/sh
# A session with a program of the examples: `PROGRAM DIR` prints what changes below a
# directory until it gets SIGINT. Each step waits for its line; at the end the lines
# are compared, and the program must have ended with 0.
# usage: session.sh WORK PROGRAM [ARGUMENT...]; WORK is a directory that it makes anew
set -u
work=$1
shift
rm -rf "$work"
mkdir -p "$work/beside"
cd "$work" || exit 1

fail() {
	echo "$1"
	[ ! -s log ] || sed 's/^/  it printed: /' log
	[ ! -s errors ] || sed 's/^/  and said: /' errors
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	exit 1
}

# The program is another process, so there is only time to wait for: 20 s at most.
expect() {
	printf '%s\n' "$1" >>expected
	patience=400
	until grep -q -x -F -e "$1" log; do
		patience=$((patience - 1))
		[ "$patience" -gt 0 ] || fail "no line: $1"
		kill -0 "$pid" 2>/dev/null || fail "it has ended before: $1"
		sleep 0.05
	done
}

# What is wrong is said, with the path, and is the status.
pid=
"$@" nothing-there >log 2>errors && fail "a directory that is not there is watched"
grep -q nothing-there errors || fail "the message does not name the path"
grep -q -i 'no such file\|not found' errors || fail "the message does not say why"

mkdir tree
: >log
LC_ALL=C
export LC_ALL
"$@" tree >log 2>errors &
pid=$!
expect "watching tree"
mkdir tree/a
expect "created tree/a/"
echo one >beside/f
mv beside/f tree/a/f
expect "created tree/a/f"
echo two >>tree/a/f
expect "modified tree/a/f"
chmod 600 tree/a/f
expect "attrib tree/a/f"
echo three >beside/f
mv beside/f tree/a/f
expect "replaced tree/a/f"
mv tree/a tree/b
expect "moved tree/a/ -> tree/b/"
ln -s a tree/link
expect "created tree/link@"
# A name is bytes: this one is no UTF-8.
bytes=$(printf 'tree/\377\nname')
: >"$bytes"
expect "$(printf 'created tree/\377\\nname')"
rm "$bytes"
expect "$(printf 'deleted tree/\377\\nname')"
rm tree/link
expect "deleted tree/link@"
rm tree/b/f
expect "deleted tree/b/f"
rmdir tree/b
expect "deleted tree/b/"
rmdir tree
expect "root gone tree/"
mkdir tree
expect "root back tree/"

kill -INT "$pid"
# One that does not end is ended, and has failed.
(sleep 20 && kill -KILL "$pid") >/dev/null 2>&1 &
killer=$!
wait "$pid"
status=$?
kill "$killer" 2>/dev/null
[ "$status" -eq 0 ] || {
	pid=
	fail "SIGINT ends it with status $status"
}
# A file may be told of as modified once more, just after it was written to.
uniq log >told
if ! diff expected told; then
	echo "these lines differ (< expected)"
	exit 1
fi
[ ! -s errors ] || fail "it has something to say"
