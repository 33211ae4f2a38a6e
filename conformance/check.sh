#!/bin/sh
# libkw held against the suite; watchers that are wrong, of which each must be found out; and
# what is no watcher at all. `make check-uses`.
set -eu

if ! command -v python3 >/dev/null 2>&1 ||
	! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
	echo "skipped: the conformance suite: no python3 of version 3.9 or later"
	exit 77
fi
# Itself, and not what chooses among several each time.
python=$(python3 -c 'import sys; print(sys.executable)')
here=$PWD/conformance
dir=$BUILD/conformance
rm -rf "$dir"
mkdir -p "$dir/log" "$dir/trees"
$CC -std=c11 -Wall -Wextra -pedantic -Werror -g $CFLAGS -o "$dir/kw" "$here/adapters/kw.c" \
	$($PKG_CONFIG --cflags --libs kw)

# In memory, where there is such a place: this is about what is told, not about disks.
trees=$dir/trees
if [ -n "${KW_TEST_DIR:-}" ]; then
	trees=$KW_TEST_DIR
elif [ -d /dev/shm ] && [ -w /dev/shm ]; then
	trees=/dev/shm
fi

# suite STATUS ARGUMENT...: whether it ends like that; its output is in $dir/out.
suite() {
	wanted=$1
	shift
	status=0
	"$python" -I -S "$here/run.py" --dir "$trees" --log "$dir/log" "$@" >"$dir/out" 2>&1 || status=$?
	[ "$status" -eq "$wanted" ] || {
		echo "run.py $*: status $status, not $wanted"
		grep -v '^ok' "$dir/out"
		exit 1
	}
}

# --- libkw ---------------------------------------------------------------------------------------

suite 0 "$dir/kw"
echo "kw: $(tail -n 1 "$dir/out")"
suite 0 --random 12 --writers 2 "$dir/kw"
suite 0 --random 6 --seed 100 --pace stopped "$dir/kw"
suite 0 --random 2 --seed 200 --pace step --operations 200 "$dir/kw"
echo "kw: 20 random runs hold"

# --- What is wrong -------------------------------------------------------------------------------

# wrong FAULT WHAT SCENARIO [OPTION...]: the scenario finds the fault, and says what is wrong.
faults=
wrong() {
	fault=$1
	what=$2
	faults="$faults$fault
"
	only=$3
	shift 3
	suite 1 --only "$only" "$@" "$python" -I -S "$here/adapters/faulty.py" "$fault"
	grep -q "^# $what:$" "$dir/out" || {
		echo "$fault is found by $only, but not as: $what"
		cat "$dir/out"
		exit 1
	}
}
applies="an event does not apply"
wrong silent "the watcher itself" write --pace fast --timeout 0.3
wrong ends "the watcher itself" append-in-pieces --pace step
wrong no-answer "the watcher itself" write --pace fast --timeout 0.5
wrong no-json "the protocol" write --pace fast
wrong absolute "the protocol" write --pace fast
wrong early "another tree" create-and-write --pace fast
wrong drop-created "$applies" copied-tree --pace fast
wrong drop-deleted "$applies" rmtree --pace fast
wrong drop-modified "a change not told of" write --pace stopped
wrong drop-attrib "a change not told of" chmod --pace stopped
wrong twice "$applies" create-and-write --pace fast
wrong child-first "$applies" mkdir-p --pace fast
wrong parent-first "$applies" rmtree --pace fast
wrong wrong-kind "$applies" made-and-filled --pace fast
wrong half-move "another tree" rename --pace fast
wrong onto "$applies" renamed-over --pace fast
wrong stale "$applies" renamed-then-written-into --pace stopped
wrong deaf "another tree" made-and-filled --pace step
wrong follow "another tree" symlink-to-a-directory --pace fast
wrong one-link "a change not told of" hard-link-written-to --pace fast
wrong mangled "another tree" latin-1 --pace fast
wrong cut "$applies" line-breaks --pace fast
wrong ghost "an expectation" nothing-happens --pace fast
wrong lossy "another tree" many-directories --pace stopped
wrong folded "a change not told of" renamed-over --pace fast
"$python" -I -S "$here/adapters/faulty.py" --list | sed 's/:.*//; /^none$/d' >"$dir/faults"
printf %s "$faults" | diff "$dir/faults" -
suite 0 --pace step --only 're*' --only 'symlink*' "$python" -I -S "$here/adapters/faulty.py" none
suite 0 --random 2 --pace stopped "$python" -I -S "$here/adapters/faulty.py" none
echo "faulty: each of $(wc -l <"$dir/faults" | tr -d ' ') faults is found, and nothing without one"

# Order is what --lenient does not ask for; and a log does the same again.
suite 0 --only rmtree --pace fast --lenient "$python" -I -S "$here/adapters/faulty.py" parent-first
suite 1 --only rename --pace fast --lenient "$python" -I -S "$here/adapters/faulty.py" half-move
suite 1 --random 1 --seed 17 "$python" -I -S "$here/adapters/faulty.py" drop-deleted
grep -q 'log: .*random-17\.fast\.txt' "$dir/out"
again=$dir/log/random-17.fast.txt
mv "$again" "$dir/again.txt"
suite 1 --scenarios "$dir/again.txt" --pace fast \
	"$python" -I -S "$here/adapters/faulty.py" drop-deleted
suite 0 --scenarios "$dir/again.txt" --pace fast "$dir/kw"

# --- The protocol ---------------------------------------------------------------------------------

# says WHY OUTPUT...: a watcher that prints these lines is refused for that reason.
says() {
	why=$1
	shift
	suite 1 --only nothing-happens --pace fast --quiet-ms 100 sh -c \
		'printf "%s\n" "$0"; cat >/dev/null' "$(printf '%s\n' "$@")"
	grep -q -F -e "$why" "$dir/out" || {
		echo "it is not said that: $why"
		cat "$dir/out"
		exit 1
	}
}
ready='{"ready":true}'
says "no JSON" ready
says "no object" '[]'
says "neither an event nor an answer" '{}'
says "its first line does not say that it is ready" '{"synced":true}'
says '"sync" is neither true nor false' '{"ready":true,"sync":1}'
says "it says twice that it is ready" "$ready" "$ready"
says "it answers what it was not asked" '{"ready":true,"sync":false}' '{"synced":true}'
says "no such event" "$ready" '{"event":"renamed","path":"f"}'
says "no path" "$ready" '{"event":"deleted"}'
says "no dest" "$ready" '{"event":"moved","path":"f"}'
for path in /f f/ a//b ./f ../f; do
	says "path is not relative to the directory" "$ready" "{\"event\":\"deleted\",\"path\":\"$path\"}"
done
says '"created" without "dir"' "$ready" '{"event":"created","path":"g"}'
says '"dir" is neither true nor false' "$ready" '{"event":"created","path":"g","dir":1}'
says "a surrogate that is no byte in path" "$ready" '{"event":"deleted","path":"\ud800"}'
suite 1 --only write --pace fast sh -c 'exit 3'
grep -q "it has ended with status 3" "$dir/out"
suite 1 --only write --pace fast sh -c 'echo oh >&2; kill -9 $$'
grep -q "it has ended by signal 9" "$dir/out"
grep -q "stderr: oh" "$dir/out"
suite 0 --only nothing-happens --quiet-ms 100 sh -c \
	'echo "{\"ready\":true,\"sync\":false}"; cat >/dev/null'

# --- Misuse --------------------------------------------------------------------------------------

# misuse WHY ARGUMENT...
misuse() {
	why=$1
	shift
	suite 2 "$@"
	grep -q -F -e "$why" "$dir/out" || {
		echo "it is not said that: $why"
		cat "$dir/out"
		exit 1
	}
}
scenario() {
	printf '%s\n' "$@" >"$dir/scenario.txt"
}
misuse "no watcher is named"
misuse "unrecognized arguments" --nothing --only write
misuse "no scenario is called nothing" --only nothing true
misuse "nothing is left to run" --skip '*' true
misuse "no such pace" --pace slow true
misuse "must be more than 0" --timeout 0 true
misuse "No such file or directory" --only write "$dir/nothing"
misuse "no directory" --dir "$dir/nothing" true
misuse "No such file or directory" --scenarios "$dir/nothing" true
scenario 'write f'
misuse "scenario.txt:1: before the first scenario" --scenarios "$dir/scenario.txt" true
scenario 'scenario a' watch 'remove f'
misuse "scenario.txt:3: no such operation: remove" --scenarios "$dir/scenario.txt" true
scenario 'scenario a' watch 'mv f'
misuse "scenario.txt:3: the wrong number of words" --scenarios "$dir/scenario.txt" true
scenario 'scenario a' watch 'must be f'
misuse "scenario.txt:3: no such event" --scenarios "$dir/scenario.txt" true
scenario 'scenario a' watch 'write f' 'scenario a' watch 'write f'
misuse "two scenarios are called a" --scenarios "$dir/scenario.txt" true
scenario 'scenario a' 'write f'
misuse "nothing is done in a" --scenarios "$dir/scenario.txt" true
suite 0 --list --only 'symlink*'
grep -q '^symlink-loop: ' "$dir/out"
echo "run.py: says what is wrong with a watcher, and with its own arguments"
