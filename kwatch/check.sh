#!/bin/sh
# Tests kwatch: every option, on the disk and over a libkw that does as it is told.
# The environment is that of every check.sh: PKG_CONFIG and what it reads,
# LD_LIBRARY_PATH, CC, CFLAGS, BUILD. TAP on standard output.
#
# No test sleeps until something "must have come". kwatch says on standard error (-v) when
# a path is watched, a command runs and has ended, and tests wait for such lines; and what
# has happened before a signal ends it is reported first.
set -u

here=$PWD/kwatch
work=$BUILD/kwatch-check
rm -rf "$work"
mkdir -p "$work"
count=0 failed=0

# A test: its label, and a command whose output is shown if it fails.
try() {
	label=$1
	shift
	count=$((count + 1))
	if "$@" >"$work/said" 2>&1; then
		echo "ok $count - $label"
	else
		echo "not ok $count - $label"
		sed 's/^/# /' "$work/said"
		failed=$((failed + 1))
	fi
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# --- Building -------------------------------------------------------------------

strict="-std=c11 -Wall -Wextra -pedantic -Werror -g -pthread"
kwatch=$work/bin/kwatch
mkdir "$work/bin"
if ! $CC $strict ${CFLAGS-} -o "$kwatch" "$here"/*.c $($PKG_CONFIG --cflags --libs kw) ||
	! $CC $strict ${CFLAGS-} -o "$work/fake" "$here"/*.c "$here/tests/fake.c" \
		$($PKG_CONFIG --cflags kw) ||
	! $CC $strict ${CFLAGS-} -o "$work/run" "$here/tests/run.c"; then
	echo "Bail out! kwatch does not compile"
	exit 1
fi

# --- Running it -------------------------------------------------------------------

# Nothing of a developer's settings, and no test that never ends.
unset NO_COLOR KWATCH_PATHS POSIXLY_CORRECT
seconds=${KW_TEST_SECONDS:-60}
under=

# Runs it to its end: its status is in $status, its output in out and err.
run() {
	"$work/run" "$seconds" $under "$kwatch" "$@" >out 2>err </dev/null
	status=$?
}

# A fresh directory to be in, with a directory `t` in it.
fresh() {
	cd "$work" || exit 1
	rm -rf files
	mkdir files files/t
	cd files || exit 1
	mkfifo err.fifo
}

# Starts it in the background; what it writes to standard error comes on descriptor 4.
begin() {
	"$work/run" "$seconds" $under "$kwatch" -v "$@" >out 2>err.fifo </dev/null &
	pid=$!
	exec 4<err.fifo
}

# Reads lines of its standard error up to one that matches.
until_line() {
	while read -r line <&4; do
		echo "$line"
		case $line in
		$1) return 0 ;;
		esac
	done
	echo "no line: $1"
	return 1
}

# Waits for its end; what is left of its standard error is in err.
ended() {
	cat <&4 >err
	exec 4<&-
	wait "$pid"
	status=$?
}

# Runs a command with a terminal: on_terminal [-w TEXT KEYS] COMMAND...
# What is shown is in out, a line for each and for what is written over it.
on_terminal() {
	env TERM=vt100 "$work/run" -p "$seconds" "$@" >screen </dev/null
	status=$?
	sed "s/$(printf '\r')\$//" screen | tr '\r' '\n' >out
}

finish() {
	kill -TERM "$pid"
	ended
}

# is_status N
is_status() {
	[ "$status" -eq "$1" ] && return 0
	echo "status $status, not $1"
	cat out err
	return 1
}

# is_text FILE: is it what comes on standard input? The summary has figures that differ.
is_text() {
	sed '/^-- /d' "$1" >got
	cat >want
	diff want got
}

has() {
	grep -q -e "$2" "$1" && return 0
	echo "no such line in $1: $2"
	cat "$1"
	return 1
}

has_not() {
	! grep -e "$2" "$1"
}

empty() {
	[ ! -s "$1" ] && return 0
	cat "$1"
	return 1
}

# both COMMAND COMMAND
both() {
	eval "$1" && eval "$2"
}

# --- The command line ----------------------------------------------------------------

fresh
run --help
try "--help is on standard output" both 'is_status 0' 'has out "^  -R, --no-recursive "'
run --version
try "--version" both 'is_status 0' 'has out "^kwatch [0-9.]*, libkw [0-9.]*$"'

usage() {
	label=$1 message=$2
	shift 2
	run "$@"
	try "$label" both 'is_status 2' "has err \"$message\""
}
usage "an unknown option" "usage: kwatch" --nonsense
usage "an option without its value" "usage: kwatch" --depth
usage "a number that is none" "depth: \\\"x\\\" is not acceptable" --depth x t
usage "a depth of 0" "depth: \\\"0\\\" is not acceptable" --depth 0 t
usage "a time that is none" "timeout: \\\"1y\\\" is not acceptable" --timeout 1y t
usage "a time that is too long" "timeout: \\\"999h\\\" is not acceptable" --timeout 999h t
usage "a kind that is none" "no kind of event named \\\"cremated\\\"" -k created,cremated t
usage "a signal that is none" "no signal \\\"STOPPED\\\"" --signal STOPPED t -- true
usage "a color that is none" "is none of always, never, auto" --color=blue t
usage "a conversion that is none" "unknown conversion" -f %z t
usage "a format that ends too soon" "a % at the end" -f "%p %" t
usage "an escape that is none" "unknown escape" -f '\q' t
usage "two forms" "neither --format nor --print0" --json -0 t
usage "no command after --" "no command after" t --
usage "an option of commands without one" "restart: there is no command" -r t
usage "depth without recursion" "contradict" -R --depth 2 t
usage "a limit of watches for polling" "contradict" --poll --watch-limit 2 t
usage "quiet and verbose" "contradict" -q -v t
usage "since and initial" "contradict" --since f --initial t
usage "a state of two paths" "for one path" --save f t .
usage "to settle for longer than the longest" "less than --settle" --settle 2s --settle-max 1s t
usage "a longest settling of nothing" "there is no --settle" --settle-max 5 t

run -e -- -t0 t
try "-- may be the value of an option" is_status 3

run "nothing
here"
try "a path that is not there" both 'is_status 1' \
	'has err "^kwatch: nothing.nhere: .*: No such file or directory$"'

# --- Events as text -------------------------------------------------------------------

fresh
mkdir t/a t/b
begin t
until_line "kwatch: watching t" >/dev/null
mkdir t/d
ln -s nowhere t/link
mv t/b t/c
rmdir t/a
finish
try "a signal ends it" is_status 0
sort out >sorted
try "what happened before is reported" is_text sorted <<'END'
created   t/d/
created   t/link@
deleted   t/a/
moved     t/b/ -> t/c/
watching  t
END
try "the summary counts" has out "^-- 4 events: 2 created, 1 deleted, 1 moved$"
try "and tells how it is watched" has out "^-- [a-z]*: 4 entries, [0-9]* watched, 0 polled"

cd t || exit 1
mkfifo err.fifo
begin
until_line "kwatch: watching ." >/dev/null
mkdir e
finish
try "without a path it is here" has out "^created   ./e/$"
try "its own output is no news" has_not out "^modified"
cd .. || exit 1

begin t/c t/d
until_line "kwatch: watching t/d" >/dev/null
mkdir t/c/x t/d/y
finish
try "two paths" both 'has out "^created   t/c/x/$"' 'has out "^created   t/d/y/$"'

run -q --initial -1 t/c
try "--quiet: no word besides" is_text out <<'END'
root back t/c/
created   t/c/x/
ready     t/c/
END
try "and no summary" has_not out "^--"

run --initial -1 t/c
try "without it there are both" both 'has out "^watching  t/c$"' 'has out "^-- 3 events"'

mkdir "t/c/x/$(printf 'a\nb\\\033[m\303\251')"
run -q --initial -1 t/c/x
try "a name spoils nothing" has out '^created   t/c/x/a\\nb\\\\\\x1b\[mé/$'

run -q --color=always --initial -1 t/c
esc=$(printf '\033')
try "--color=always" has out "^$esc\[32mcreated$esc\[m   t/c/x/$"
run -q --color=never --initial -1 t/c
try "--color=never" has_not out "$esc"
run -q --color --initial -1 t/c
try "--color" has out "$esc"
run -q --initial -1 t/c
try "no colors in a file" has_not out "$esc"

on_terminal "$kwatch" -q --initial -1 t/c
try "colors on a terminal" has out "^$esc\[32mcreated$esc\[m   t/c/x/$"
on_terminal env NO_COLOR=1 "$kwatch" -q --initial -1 t/c
try "but not with NO_COLOR" both 'has out "^created"' 'has_not out "$esc"'
on_terminal env NO_COLOR= "$kwatch" -q --initial -1 t/c
try "which has to be something" has out "$esc"
on_terminal env TERM=dumb "$kwatch" -q --initial -1 t/c
try "nor on a dumb one" both 'has out "^created"' 'has_not out "$esc"'

# --- What is watched --------------------------------------------------------------------

# What it finds at first, one a line, without the root.
lists() {
	run -0 --initial -1 -k created "$@"
	tr '\0' '\n' <out | sort >list
	cat >want
	diff want list
}

fresh
mkdir -p t/a/b/c t/.git t/target
touch t/f.c t/f.o t/a/f.c t/a/.hidden t/a/b/f.o t/a/b/c/f.c t/.git/x t/target/y
try "everything" lists t <<'END'
t/.git
t/.git/x
t/a
t/a/.hidden
t/a/b
t/a/b/c
t/a/b/c/f.c
t/a/b/f.o
t/a/f.c
t/f.c
t/f.o
t/target
t/target/y
END
try "--no-recursive" lists -R t <<'END'
t/.git
t/a
t/f.c
t/f.o
t/target
END
try "--depth" lists --depth 2 t/a <<'END'
t/a/.hidden
t/a/b
t/a/b/c
t/a/b/f.o
t/a/f.c
END
try "--exclude" lists -e '.*' -e '*.o' --exclude=/target t <<'END'
t/a
t/a/b
t/a/b/c
t/a/b/c/f.c
t/a/f.c
t/f.c
END
try "--include" lists -i '*.c' --include 'target/*' -e .git t <<'END'
t/a
t/a/b
t/a/b/c
t/a/b/c/f.c
t/a/f.c
t/f.c
t/target
t/target/y
END
try "--no-hidden" lists --no-hidden t/a <<'END'
t/a/b
t/a/b/c
t/a/b/c/f.c
t/a/b/f.o
t/a/f.c
END
try "--dirs-only" lists -d t <<'END'
t/.git
t/a
t/a/b
t/a/b/c
t/target
END

printf '*.o\n/target/\n' >t/.gitignore
printf '!f.o\n' >t/a/b/.gitignore
try "--gitignore" lists --gitignore t <<'END'
t/.gitignore
t/a
t/a/.hidden
t/a/b
t/a/b/.gitignore
t/a/b/c
t/a/b/c/f.c
t/a/b/f.o
t/a/f.c
t/f.c
END
begin -g t
until_line "kwatch: watching t" >/dev/null
touch t/g.o t/g.c
finish
try "and later" both 'has out "^created   t/g.c$"' 'has_not out "g\.o"'
begin -g t
until_line "kwatch: watching t" >/dev/null
printf '*.c\n' >t/.gitignore
finish
sort out >sorted
try "a .gitignore that changes" is_text sorted <<'END'
created   t/f.o
created   t/g.o
created   t/target/
created   t/target/y
deleted   t/a/b/c/f.c
deleted   t/a/f.c
deleted   t/f.c
deleted   t/g.c
modified  t/.gitignore
watching  t
END
rm t/.gitignore t/a/b/.gitignore

run -e '[' t
try "a bad pattern is an error" both 'is_status 1' 'has err "^kwatch: "'

if [ -d /proc/self ] && [ "$(uname)" = Linux ]; then
	run -0 --initial -1 -k created -x --depth 2 -e '/[!p]*' /
	tr '\0' '\n' <out >list
	try "--one-file-system" both 'has list "^/proc$"' 'has_not list "^/proc/"'
	run -0 --initial -1 -k created --depth 2 -e '/[!p]*' /
	tr '\0' '\n' <out >list
	try "and without it" has list "^/proc/self$"
else
	skip "--one-file-system" "no file system is known to be mounted"
	skip "and without it" "likewise"
fi

begin -w t/later/still
until_line "kwatch: watching t/later/still" >/dev/null
mkdir t/later
mkdir t/later/still
mkdir t/later/still/x
finish
try "--wait" is_text out <<'END'
watching  t/later/still
root back t/later/still/
created   t/later/still/x/
END

# --- What is reported -----------------------------------------------------------------------

fresh
mkdir t/a t/b
echo x >t/a/f
touch -t 200001010000 t/a/f
begin --kinds=created,moved t
until_line "kwatch: watching t" >/dev/null
mkdir t/c
mv t/a t/d
rmdir t/b
finish
sort out >sorted
try "--kinds" is_text sorted <<'END'
created   t/c/
moved     t/a/ -> t/d/
watching  t
END

begin -k replaced t
until_line "kwatch: watching t" >/dev/null
echo more >>t/d/f
echo new >new
mv new t/d/f
finish
try "a kind of modification" both 'has out "^replaced  t/d/f$"' 'has_not out "^modified"'

begin -k modified t
until_line "kwatch: watching t" >/dev/null
echo new >new
mv new t/d/f
finish
try "which is one" has out "^replaced  t/d/f$"

begin --dir-modified t
until_line "kwatch: watching t" >/dev/null
mkdir t/d/sub
finish
try "--dir-modified" has out "^modified  t/d/$"

begin --expand-moves t
until_line "kwatch: watching t" >/dev/null
mv t/d t/e
finish
try "--expand-moves" both 'has out "^moved     t/d/ -> t/e/$"' \
	'has out "^moved     t/d/sub/ -> t/e/sub/$"'

# The second one shows that the first could have seen it.
begin --settle 1h t
until_line "kwatch: watching t" >/dev/null
mkdir t/x
"$work/run" "$seconds" "$kwatch" -q -1 -t 10s --initial t >other 2>&1
rmdir t/x
finish
try "--settle: what cancels out" both 'has other "^created   t/x/$"' 'has out "^-- 0 events$"'

begin --settle 1h t
until_line "kwatch: watching t" >/dev/null
mkdir t/x
finish
try "what has not settled when it ends" has out "^created   t/x/$"

begin --settle 50ms --settle-max 1s -1 t
until_line "kwatch: watching t" >/dev/null
rmdir t/x
ended
try "what has settled" both 'is_status 0' 'has out "^deleted   t/x/$"'

mkdir t/s
run --save state -t 0 t/s
try "--save, and nothing has changed" is_status 3
mkdir t/s/one
run -q --since state --save state -t 0 t/s
try "--since: what has changed" is_text out <<'END'
created   t/s/one/
ready     t/s/
END
try "tells so" is_status 0
run -q --since state -t 0 t/s
try "--save anew" both 'is_status 3' 'has_not out one'
run --since nothing t/s
try "no state" both 'is_status 1' 'has err "^kwatch: nothing: "'
echo x >state
run --since state t/s
try "a bad state" both 'is_status 1' 'has err "^kwatch: state: "'
run --save no/state -t 0 t/s
try "a state that cannot be saved" both 'is_status 1' 'has err "^kwatch: no/state: "'

# --- When it ends ---------------------------------------------------------------------------

fresh
begin -1 t
until_line "kwatch: watching t" >/dev/null
mkdir t/a
ended
try "--once" both 'is_status 0' 'has out "^created   t/a/$"'

run -1 -t 50ms t
try "--timeout, and nothing has changed" both 'is_status 3' 'has out "^-- 0 events$"'
begin -t 2s t
until_line "kwatch: watching t" >/dev/null
mkdir t/b
ended
try "--timeout, after a change" both 'is_status 0' 'has out "^created   t/b/$"'
begin -t 1.9s --settle 1h t
until_line "kwatch: watching t" >/dev/null
mkdir t/c
ended
try "--timeout, before a change has settled" both 'is_status 0' 'has out "^created   t/c/$"'

# --- Other forms of output -------------------------------------------------------------------

run --json --initial -1 -k created,root-back t
try "--json" has out '^{"kind":"created","type":"directory","root":"t","path":"t/a","initial":true,"sequence":[0-9]*,"device":[0-9]*,"inode":[1-9][0-9]*,"size":[0-9]*,"mtime_ns":[1-9][0-9]*}$'
try "and root-back" has out '^{"kind":"root-back","type":"directory","root":"t","path":"t",'
try "and nothing else" empty err
run --json -q --stats -t 0 t
try "--json --stats" has out '^{"kind":"stats","engine":"[a-z]*","watches":1,"entries":4,.*}$'

mkdir "t/x
y"
begin -0 t
until_line "kwatch: watching t" >/dev/null
mv "t/x
y" t/z
finish
printf 't/x\ny\0t/z\0' >want
try "--print0" cmp want out

run -f '%k|%p|%P|%f|%y|%%|\t\\' --initial -1 -k created t/a t
tab=$(printf '\t')
try "--format" has out "^created|t/b|b|b|d|%|$tab\\\\$"
run -0 -f '%P' --initial -1 -k created t
tr '\0' '\n' <out | sort >list
try "--format --print0" is_text list <<'END'
a
b
c
z
END

# --- All that a library may say ---------------------------------------------------------------

# story: runs it over a library that reports what comes on standard input.
story() {
	cat >script
	KW_FAKE=$PWD/script KW_FAKE_LOG=$PWD/log "$work/run" "$seconds" $under "$work/fake" \
		"$@" >out 2>err </dev/null
	status=$?
}

cat >../all <<'END'
event 1 1 t/a\xff/ -
with size 5
with inode 5
with mtime 1500000000000000001
with device 7
event 2 2 t/\x22\x5c\x0a\x7f -
event 4 4 t/r -
with mtime -1500000000
event 4 0 t/m -
event 8 1 t/d -
event 16 17 t/from\xed\xa0\x80 t/to\xc3\xa9
event 32 1 t -
event 64 1 t -
event 128 9 t -
event 256 1 t/mnt -
event 512 1 t -
with count 12
event 512 1 t -
event 1024 1 t/secret -
with error 13
event 2048 1 t -
event 4096 0 t/later -
polled 12 watch_limit
END
story -t 0 t <../all
try "every kind as text" is_text out <<'END'
watching  t
created   t/a\xff/
deleted   t/"\\\n\x7f@
replaced  t/r
modified  t/m
attrib    t/d/
moved     t/from\xed\xa0\x80/ -> t/toé/
rescanned t/
root gone t/
root back t/
unmounted t/mnt/
degraded  t/: 12 polled, for watch_limit
degraded  t/: nothing is polled any more
error     t/secret/: Permission denied
ready     t/
?         t/later
END
try "and what is polled" has out "^-- polled for watch_limit: a round takes 0 ms$"
story -t 0 -q --color=always t <../all
try "every kind has its color" test "$(grep -c "^$esc\[3[1-6]m[a-z ?]*$esc\[m *t" out)" -eq 15

story -t 0 --json t <../all
cat >want.json <<'END'
{"kind":"created","type":"directory","root":"t","path":"t/a�/","path_bytes":"742f61ff2f","sequence":1,"device":7,"inode":5,"size":5,"mtime_ns":1500000000000000001}
{"kind":"deleted","type":"symlink","root":"t","path":"t/\"\\\u000a\u007f","sequence":2,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"replaced","type":"file","root":"t","path":"t/r","sequence":3,"device":0,"inode":0,"size":0,"mtime_ns":-1500000000}
{"kind":"modified","type":"file","root":"t","path":"t/m","sequence":4,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"attrib","type":"directory","root":"t","path":"t/d","sequence":5,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"moved","type":"directory","root":"t","path":"t/from���","path_bytes":"742f66726f6deda080","dest":"t/toé","expanded":true,"sequence":6,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"rescanned","type":"directory","root":"t","path":"t","sequence":7,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"root-gone","type":"directory","root":"t","path":"t","sequence":8,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"root-back","type":"directory","root":"t","path":"t","initial":true,"sequence":9,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"unmounted","type":"directory","root":"t","path":"t/mnt","sequence":10,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"degraded","type":"directory","root":"t","path":"t","count":12,"limited_by":"watch_limit","sequence":11,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"degraded","type":"directory","root":"t","path":"t","count":0,"sequence":12,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"error","type":"directory","root":"t","path":"t/secret","errno":13,"error":"Permission denied","sequence":13,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"ready","type":"directory","root":"t","path":"t","sequence":14,"device":0,"inode":0,"size":0,"mtime_ns":0}
{"kind":"?","type":"file","root":"t","path":"t/later","sequence":15,"device":0,"inode":0,"size":0,"mtime_ns":0}
END
try "every kind as JSON" diff want.json out
if command -v python3 >/dev/null 2>&1; then
	try "which a parser reads" python3 -c '
import json, sys
events = [json.loads(line) for line in open("out", encoding="utf-8")]
assert len(events) == 15
assert bytes.fromhex(events[0]["path_bytes"]) == b"t/a\xff/"
assert events[1]["path"] == "t/\"\\\n\x7f"
'
else
	skip "which a parser reads" "no python3"
fi

story -t 0 -f '%k %y %H %P>%N %s %i %D %t %e %E %c %q' t <../all
sed -n '1p;3p;6p;11p;13p' out >some
try "every conversion" is_text some <<'END'
created d t a\xff/> 5 5 7 1500000000.000000001 0  0 1
replaced f t r> 0 0 0 -2.500000000 0  0 3
moved d t from\xed\xa0\x80>toé 0 0 0 0.000000000 0  0 6
degraded d t > 0 0 0 0.000000000 0  12 11
error d t secret> 0 0 0 0.000000000 13 Permission denied 0 13
END
story -t 0 -0 -f '%n' -k all t <../all
try "bytes as they are" test "$(tr '\0' '\n' <out | sed -n 6p)" = "t/toé"
story -t 0 -f '%T' t <../all
try "the time" has out '^20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9][+-][0-9]*$'
story -1 -f '%k' t <../all
try "--once is for all that came at once" test "$(wc -l <out)" -eq 15

story -t 0 t <<'END'
event 512 1 t -
event 1024 1 t -
event 32 1 t -
END
try "news of the watch are no change" is_status 3
story -t 0 -k error t <<'END'
event 1024 1 t -
END
try "but if asked for" is_status 0

story t <<'END'
fail kw_open -2 24 -
END
try "kw_open fails" both 'is_status 1' 'has err "^kwatch: -: test: Too many open files$"'
story t <<'END'
fail kw_add -8 13 t/\x0a
END
try "kw_add fails" both 'is_status 1' 'has err "^kwatch: t/..x0a: test: Permission denied$"'
story t <<'END'
fail kw_poll -6 0 t
END
try "kw_poll fails" both 'is_status 1' 'has err "^kwatch: t: test: failed on purpose$"'

# What it asks for.
story -t 0 --threads 4 --poll-interval 2s --watch-limit 7 -R -d -x -w --expand-moves \
	--dir-modified --sync-all --no-hidden -g -e a -e 'b c' -i d -k created,ready -s 1m \
	--settle-max 1h --since old t </dev/null
try "what is asked of the library" diff - log <<'END'
open flags=1 interval=2000 limit=7 threads=4
add t flags=1014 events=2049 exclude=a exclude=b c include=d depth=0 settle=60000,3600000 since=old
sync
END
story -t 0 --poll --depth 3 t </dev/null
try "and with --poll" diff - log <<'END'
open flags=3 interval=0 limit=0 threads=0
add t flags=1 events=0 depth=3 settle=0,0
sync
END
story -t 200ms --sync-interval 20ms t </dev/null
try "--sync-interval" test "$(grep -c sync log)" -gt 3

# --- A reader that is gone, or slow -------------------------------------------------------------

if [ -c /dev/full ]; then
	"$work/run" "$seconds" "$kwatch" --initial -1 t >/dev/full 2>err
	status=$?
	try "output that cannot be written" both 'is_status 1' \
		'has err "^kwatch: standard output: No space left on device$"'
else
	skip "output that cannot be written" "no /dev/full"
fi
# The pipe is full, and nobody reads: a signal must end it.
awk 'BEGIN { for (i = 0; i < 190; i++) {
	path = sprintf("t/%d-", i); for (j = 0; j < 90; j++) path = path "abcdefghij";
	print "event 1 0 " path " -" } }' >script
mkfifo slow.fifo
(
	KW_FAKE=$PWD/script exec "$work/run" "$seconds" $under "$work/fake" --json -v t >slow.fifo 2>err.fifo
) &
pid=$!
exec 5<slow.fifo 4<err.fifo
until_line "kwatch: watching t" >/dev/null
dd bs=1 count=1 <&5 >/dev/null 2>&1
kill -TERM "$pid"
wait "$pid"
status=$?
exec 5<&- 4<&-
try "a reader that does not read" is_status 0
(
	exec "$work/run" "$seconds" $under "$kwatch" -v -p -r t -- sleep 1000 >slow.fifo 2>err.fifo
) &
pid=$!
exec 5<slow.fifo 4<err.fifo
until_line "kwatch: running *" >/dev/null
exec 5<&-
mkdir t/nobody
until_line "kwatch: sleep: ended by signal 15*" >/dev/null
try "a reader that has gone: the command is ended" test $? -eq 0
ended
try "and nothing is said" both 'is_status 1' 'has_not err standard'

# --- Progress ------------------------------------------------------------------------------------

# The crawl goes on until Ctrl-C is typed, and that when there is something to be seen.
interrupt=$(printf '\003')
echo crawl >script
export KW_FAKE="$PWD/script"
on_terminal -w " entries, 0 s" "$interrupt" "$work/fake" t
try "Ctrl-C ends a crawl" is_status 0
try "a terminal shows how far it has come" has out "^[0-9]*001 entries, 0 s$esc\[K"
try "and no more when it is over" has out "^$esc\[K-- 0 events"
try "it was not watched" has_not out "^watching"
unset KW_FAKE
run --initial -1 t
try "no progress but on a terminal" empty err

# --- Commands --------------------------------------------------------------------------------------

fresh
begin t -- sh -c 'echo "$KWATCH_PATHS" >>runs'
until_line "kwatch: running sh *" >/dev/null
until_line "kwatch: sh: exit status 0" >/dev/null
mkdir t/a
until_line "kwatch: sh: exit status 0" >/dev/null
rmdir t/a
until_line "kwatch: sh: exit status 0" >/dev/null
mkdir t/a t/c
until_line "kwatch: sh: exit status 0" >/dev/null
finish
sed '4,$d' runs >some
try "a command runs at first and on change" is_text some <<'END'

t/a
t/a
END
try "a signal ends it all" is_status 0
try "the events are not printed" empty out

rm -f runs
begin -n t -- sh -c 'echo "${KWATCH_PATHS-nothing}" >>runs'
until_line "kwatch: watching t" >/dev/null
mkdir t/d
until_line "kwatch: sh: exit status 0" >/dev/null
finish
try "--no-initial-run" is_text runs <<'END'
t/d
END

begin -1 -e '*.tmp' t -- printf '[%s]' a {} b{} {}
until_line "kwatch: watching t" >/dev/null
mkdir "t/one two"
mkdir t/x.tmp
ended
try "{} is replaced by the paths" test "$(cat out)" = "[a][t/one two][b{}][t/one two]"
run --initial -1 t -- sh -c 'for path; do echo "$path"; done' sh {}
sort out >list
try "--initial: what is there" is_text list <<'END'
t
t/a
t/c
t/d
t/one two
t/x.tmp
END
story -1 t -- sh -c 'for path; do echo "$path"; done' sh {} <<'END'
event 1 0 t/new -
event 16 0 t/a t/b
event 4 0 t/new -
event 2 0 t/b -
event 1 0 t/a -
event 2048 1 t -
END
try "each path, each once" is_text out <<'END'
t/new
t/a
t/b
END

begin -p t -- sh -c 'echo run >>runs'
until_line "kwatch: sh: exit status 0" >/dev/null
mkdir t/f
until_line "kwatch: sh: exit status 0" >/dev/null
finish
try "--print" both 'has out "^watching  t$"' 'has out "^created   t/f/$"'
begin --json t -- true
until_line "kwatch: true: exit status 0" >/dev/null
mkdir t/g
until_line "kwatch: true: exit status 0" >/dev/null
finish
try "a form prints, too" has out '^{"kind":"created"'

# The first run goes on until it is told.
rm -f runs
mkfifo go
begin -p t -- sh -c 'echo run >>runs; read go <go'
until_line "kwatch: running *" >/dev/null
mkdir t/h
mkdir t/i
"$work/run" "$seconds" "$kwatch" -q -1 --initial t >/dev/null 2>&1
echo go >go
until_line "kwatch: running *" >/dev/null
echo go >go
until_line "kwatch: sh: exit status 0" >/dev/null
finish
try "changes during a run: one more run" test "$(wc -l <runs)" -eq 2

# --- Its status ---

for wanted in 0 7; do
	begin -1 t -- sh -c "exit $wanted"
	until_line "kwatch: watching t" >/dev/null
	mkdir "t/status$wanted"
	ended
	try "--once: the status of the command, $wanted" is_status $wanted
done
begin -1 t -- sh -c 'kill -KILL $$'
until_line "kwatch: watching t" >/dev/null
mkdir t/status
ended
try "--once: killed" both 'is_status 137' 'has err "^kwatch: sh: ended by signal 9 (Killed)$"'
run --initial -1 t -- ./nothing
try "--once: no such command" both 'is_status 127' 'has err "^kwatch: ./nothing: No such file"'
touch plain
run --initial -1 t -- ./plain
try "--once: not to be run" both 'is_status 126' 'has err "^kwatch: ./plain: Permission denied"'
run --initial -1 t -- sh -c 'exit 3'
try "a failure is told" both 'is_status 3' 'has err "^kwatch: sh: exit status 3$"'
run --initial -1 -q t -- sh -c 'exit 3'
try "but not with --quiet" both 'is_status 3' 'empty err'
run -1 -t 50ms t -- sh -c 'echo run >>runs; exit 9'
try "--once: no change in time" is_status 3
run -t 50ms t -- sh -c 'exit 9'
try "--timeout counts when nothing runs" is_status 3

# --- What it is run with ---

echo input >input
"$work/run" "$seconds" "$kwatch" --initial -1 t -- cat >out 2>err <input
try "it has our standard input" has out "^input$"
"$work/run" "$seconds" "$kwatch" --initial -1 -r t -- cat >out 2>err <input
try "but with --restart none" empty out
limit=$(ulimit -n)
run --initial -1 t -- sh -c 'ulimit -n'
try "the limit on descriptors is that before" test "$(cat out)" = "$limit"
descriptors='ls /dev/fd/ 2>/dev/null | wc -l'
"$work/run" "$seconds" sh -c "$descriptors" >want 2>err </dev/null
run --initial -1 t -- sh -c "$descriptors"
try "it has no descriptor of ours" diff want out
on_terminal "$kwatch" -c --initial -1 t -- echo text
try "--clear" has screen "^$esc\[H$esc\[2J$esc\[3Jtext"
run -c --initial -1 t -- echo text
try "a file is not cleared" is_text out <<'END'
text
END

# More paths than an argument list can have.
awk 'BEGIN { for (i = 0; i < 190; i++) print "event 1 0 t/" i " -" }' >../many
story -1 t -- sh -c 'echo $#' sh {} <../many
try "many paths" is_text out <<'END'
190
END
long=$(awk 'BEGIN { for (i = 0; i < 900; i++) printf "x" }')
sed "s|t/|t/$long|" ../many >../many.long
story -1 t u -- sh -c 'echo "$KWATCH_PATHS"; echo $#' sh {} <../many.long
try "too many for a variable: the watched ones" is_text out <<'END'
t
u
190
END
story -1 t -- sh -c 'echo "$KWATCH_PATHS"; echo "$@"' sh {} {} {} {} {} {} {} {} {} {} {} {} \
	{} {} {} {} <../many.long
try "too many for the arguments, too" is_text out <<'END'
t
t t t t t t t t t t t t t t t t
END

# --- Restart ---

# A server that leaves a child: it writes its number, and waits for ever.
rm -f runs children
cat >server <<'END'
#!/bin/sh
sleep 1000 &
echo $! >>children
echo up >&2
wait
END
chmod +x server
begin -r t -- ./server
until_line up >/dev/null
mkdir t/r1
until_line up >/dev/null
mkdir t/r2
until_line up >/dev/null
finish
try "--restart" test "$(wc -l <children)" -eq 3
gone() {
	for child in $(cat children); do
		kill -0 "$child" 2>/dev/null && ps -o stat= -p "$child" | grep -v Z && return 1
	done
	return 0
}
try "ends the whole group" gone
try "and at the end, too" is_status 0

# One that ends of itself leaves its group.
rm -f children
cat >server <<'END'
#!/bin/sh
sleep 1000 </dev/null >/dev/null 2>&1 &
echo $! >>children
END
begin -r t -- ./server
until_line "kwatch: ./server: exit status 0" >/dev/null
alive() { kill -0 "$(tail -n 1 children)"; }
try "what a run leaves behind goes on" alive
mkdir t/r3
until_line "kwatch: ./server: exit status 0" >/dev/null
first=$(sed 1q children)
try "until the next" both '! kill -0 "$first" 2>/dev/null' alive
finish
try "or the end" gone

# One that does not end when it is told.
cat >server <<'END'
#!/bin/sh
trap '' TERM
echo up >&2
while :; do sleep 1000; done
END
begin -r --kill-after 50ms t -- ./server
until_line up >/dev/null
mkdir t/r4
until_line up >/dev/null
finish
try "--kill-after" has err "^kwatch: ./server: ended by signal 9"

cat >server <<'END'
#!/bin/sh
trap 'kill -KILL $child; echo interrupted >>runs; exit 0' INT
sleep 1000 &
child=$!
echo up >&2
while :; do wait; done
END
rm -f runs
begin -r --signal INT t -- ./server
until_line up >/dev/null
mkdir t/r5
until_line up >/dev/null
finish
try "--signal" test "$(grep -c interrupted runs)" -eq 2

# --- The end of a run ---

cat >server <<'END'
#!/bin/sh
trap 'kill -KILL $child; echo terminated >>runs; exit 0' TERM
trap 'kill -KILL $child; echo interrupted >>runs; exit 0' INT
sleep 1000 &
child=$!
echo up >&2
while :; do wait; done
END
rm -f runs
begin t -- ./server
until_line up >/dev/null
finish
try "a signal is passed on" is_text runs <<'END'
terminated
END
rm -f runs
on_terminal -w up "$interrupt" "$kwatch" t -- ./server
try "Ctrl-C is for both, once" both 'is_status 0' 'is_text runs' <<'END'
interrupted
END

# One that is in no hurry.
begin -1 t -- sh -c 'trap "" TERM; echo up >&2; exec sleep 1000'
until_line "kwatch: watching t" >/dev/null
mkdir t/slow
until_line up >/dev/null
( # until it has ended
	while [ ! -e over ]; do
		kill -TERM "$pid"
		sleep 0.1
	done
) &
patience=$!
until_line "*ended by signal 9*" >/dev/null
try "a second signal ends it at once" test $? -eq 0
touch over
wait "$patience"
ended
try "--once: its status also then" is_status 137

run -q -1 -t 0 --initial -f '%p' t -- sh -c 'yes | head -n 1'
try "the command may be told of a closed pipe" both 'empty err' 'has out "^y$"'

rm -f log.txt
"$work/run" "$seconds" $under "$kwatch" -v -t 1s . -- echo text >log.txt 2>err </dev/null
try "its output in the tree leads to no run" test "$(grep -c "running echo" err)" -eq 1

begin --save state t -- ./server
until_line up >/dev/null
finish
try "--save: not if a run was cut short" both 'has err "^kwatch: state: not written"' \
	'test ! -e state'
begin --save state t -- true
until_line "kwatch: true: exit status 0" >/dev/null
finish
try "but if it was not" test -s state
mkdir t/s1
run --since state --save state -1 -t 0 t -- sh -c 'echo "$KWATCH_PATHS"; exit 5'
try "--since: one run for what has changed" both 'is_status 5' 'has out "^t/s1$"'
run --since state --save state -1 -t 0 t -- sh -c 'echo "$KWATCH_PATHS"; exit 5'
try "and none if nothing has" both 'is_status 3' 'empty out'

# --- How it watches ---------------------------------------------------------------------------------

fresh
mkdir t/a
begin --poll --poll-interval 10ms -1 -k created,degraded t
until_line "kwatch: watching t" >/dev/null
ended
try "--poll" has out "^degraded  t/: [0-9]* polled, for watch_limit$"
begin --poll --poll-interval 10ms -1 t
until_line "kwatch: watching t" >/dev/null
mkdir t/b
ended
try "and sees what happens" has out "^created   t/b/$"
begin --poll --poll-interval 1h --sync-interval 10ms -1 t
until_line "kwatch: watching t" >/dev/null
mkdir t/c
ended
try "--sync-interval" has out "^created   t/c/$"

echo x >t/f
touch -t 200001010000 t/f
ln t/f outside
begin --sync-all --sync-interval 10ms -1 t
until_line "kwatch: watching t" >/dev/null
echo y >>outside
ended
try "--sync-all: a write through a link outside" has out "^modified  t/f$"

run --stats -t 0 --watch-limit 1 t
try "--watch-limit" both 'has err "^watch_limit  *1$"' 'has err "^limited_by  *watch_limit$"'
run --stats -t 0 t
try "--stats" both 'has err "^watch_limit  *none$"' 'has err "^limited_by  *-$"'
run --threads 2 -t 0 t
try "--threads" is_status 3
begin t
until_line "kwatch: watching t" >/dev/null
kill -USR1 "$pid"
until_line "registrations *" >/dev/null
try "SIGUSR1 asks for the statistics" test $? -eq 0
finish

# --- Memory --------------------------------------------------------------------------------------

# clean: has valgrind found nothing, in a run that ended like this?
clean() {
	is_status "$1" && empty valgrind.log
}
if [ "$(uname)" = Linux ] && command -v "${VALGRIND:-valgrind}" >/dev/null 2>&1; then
	under="${VALGRIND:-valgrind} -q --log-file=valgrind.log --error-exitcode=99 --leak-check=full
		--show-leak-kinds=all --errors-for-leak-kinds=all --child-silent-after-fork=yes
		--suppressions=$here/../c-tests/valgrind.supp"
	seconds=$((seconds * 5))
	run --help
	try "valgrind: --help" clean 0
	run -e x --depth 0
	try "valgrind: a wrong option" clean 2
	run nothing
	try "valgrind: an error" clean 1
	run -e x -i y --initial -1 --save state --stats t
	try "valgrind: text" clean 0
	story -t 0 --json t <../all
	try "valgrind: JSON" clean 0
	story -t 0 -f '%k %y %H %P>%N %s %i %D %t %e %E %c %q %T' t <../all
	try "valgrind: a format" clean 0
	story -1 t u -- sh -c 'exit 5' sh {} {} {} <../many.long
	try "valgrind: a command" clean 5
	run --initial -1 t -- ./nothing
	try "valgrind: one that is not there" clean 127
	begin -r t -- sleep 1000
	until_line "kwatch: running *" >/dev/null
	mkdir t/restart
	until_line "kwatch: running *" >/dev/null
	finish
	try "valgrind: --restart" clean 0
	begin t -- sleep 1000
	until_line "kwatch: running *" >/dev/null
	mkdir t/queued
	finish
	try "valgrind: a run that is cut short" clean 0
	under=
else
	skip "valgrind" "no valgrind, or none that works"
fi

# --- Completions -------------------------------------------------------------------------------------

cd "$work" || exit 1
"$kwatch" --help | sed -n 's/^  *\(-., \)* *\(--[a-z0-9-]*\).*/\2/p' | sort >options
try "there are options" test "$(wc -l <options)" -gt 30
kinds="$("$kwatch" --help | sed -n '/^Kinds: /,/\.$/p' | sed 's/Kinds: //; s/\.$//' | tr '\n' ' ')"

# same_options: are those on standard input the ones of --help?
same_options() {
	sort -u >these
	diff options these
}
completions=$here/completions

# The words of a line, as bash hands them to a completion; what it offers.
bash_offers() {
	bash -c '. "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _kwatch
		printf "%s\n" "${COMPREPLY[@]}"' "$completions/kwatch.bash" kwatch "$@" >offers 2>&1
}
offers() {
	printf '%s\n' "$@" | diff - offers
}

if command -v bash >/dev/null 2>&1; then
	try "bash: syntax" bash -n "$completions/kwatch.bash"
	bash_offers --
	try "bash: every option" same_options <offers
	bash_offers -k ''
	try "bash: every kind" offers all $kinds
	bash_offers -k created,mo
	try "bash: a list of kinds" offers created,modified created,moved
	bash_offers --kinds = mo
	try "bash: --kinds=" offers modified moved
	bash_offers --color = a
	try "bash: --color=" offers always auto
	mkdir -p "names/one two"
	bash_offers names/o
	try "bash: paths" offers "names/one two"
	bash_offers --save names/
	try "bash: --save" offers "names/one two"
	bash_offers . -- kil
	try "bash: a command" has offers "^kill$"
else
	skip "bash: completion" "no bash"
fi

sed -n 's/^complete .* -l \([a-z0-9-]*\).*/--\1/p' "$completions/kwatch.fish" >offers
try "fish: every option" same_options <offers
sed -n 's/.*"$before"{\(.*\)}$/\1/p' "$completions/kwatch.fish" | tr ',' '\n' >offers
try "fish: every kind" offers all $kinds
fish_offers() {
	HOME=$work fish --no-config -c 'source $argv[1]; complete -C $argv[2]' \
		"$completions/kwatch.fish" "$1" 2>&1 | cut -f 1 >offers
}
if command -v fish >/dev/null 2>&1; then
	try "fish: syntax" fish --no-execute "$completions/kwatch.fish"
	fish_offers "kwatch -k created,mo"
	try "fish: a list of kinds" offers created,modified created,moved
	fish_offers "kwatch --color=a"
	try "fish: --color=" offers --color=always --color=auto
	fish_offers "kwatch . -- kil"
	try "fish: a command" has offers "^kill$"
	fish_offers "kwatch . -- kwatch --no-r"
	try "fish: and its arguments" offers --no-recursive
else
	skip "fish: completion" "no fish"
fi

# What excludes one another is named in parentheses.
sed 's/(.*)//' "$completions/_kwatch" | grep -o -e '--[a-z][a-z0-9-]*' >offers
try "zsh: every option" same_options <offers
sed -n '/^kinds=/,/^)/p' "$completions/_kwatch" | sed '1d;$d' | tr -s ' \t' '\n' | sed '/^$/d' >offers
try "zsh: every kind" offers all $kinds
if command -v zsh >/dev/null 2>&1; then
	try "zsh: syntax" zsh -n "$completions/_kwatch"
else
	skip "zsh: syntax" "no zsh"
fi

# --- The manual -----------------------------------------------------------------------------------------

sed -n 's/^\.It .*Fl \\-\([a-z0-9\\-]*\).*/--\1/p' "$here/../man/kwatch.1" | tr -d '\\' >offers
try "kwatch(1): every option" same_options <offers
sed -n '/^\.Ss Formats/,/^\.Ss/s/^\.It Cm [\&]*%\(.\)/\1/p' "$here/../man/kwatch.1" | sort >offers
sed -n -e 's/^    case .\(.\).: out_.*; break;$/\1/p' -e 's/^    case .\(.\).: put_.*; break;$/\1/p' \
	"$here/print.c" | sort >conversions
try "kwatch(1): every conversion" diff conversions offers

echo "1..$count"
[ "$failed" -eq 0 ]
