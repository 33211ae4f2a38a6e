#!/bin/sh
# Compiles every piece of C in docs/guide.md, and runs the programs. A piece that holds a
# main() is a program, named by its first comment; any other is the inside of a function.
# Also whether the figures of docs/comparison.md are those of the benchmark, and links lead
# somewhere.
set -eu

top=$PWD
dir=$BUILD/docs
rm -rf "$dir"
mkdir -p "$dir"

awk -v dir="$dir" '
	function finish() {
		if (text ~ /int main\(/) {
			name = text
			sub(/^\/\* /, "", name)
			sub(/\.c:.*/, "", name)
			printf "%s", text >(dir "/" name ".c")
			programs = programs " " name
		} else {
			printf "/* line %d */\nvoid piece%d(kw_handle *h, const kw_event *e);\n", start, start >pieces
			printf "void piece%d(kw_handle *h, const kw_event *e)\n{\n", start >pieces
			printf "#line %d \"docs/guide.md\"\n", start + 1 >pieces
			printf "%s}\n", text >pieces
			count++
		}
	}
	BEGIN {
		pieces = dir "/pieces.c"
		printf "#define _XOPEN_SOURCE 700\n#include <kw.h>\n" >pieces
		printf "#include <poll.h>\n#include <signal.h>\n#include <stdio.h>\n" >pieces
		printf "#include <string.h>\n#include <unistd.h>\n" >pieces
	}
	/^```c$/ { inside = 1; start = NR; text = ""; next }
	/^```/ && inside { inside = 0; finish(); next }
	inside { text = text $0 "\n" }
	END { print count + 0 programs }
' docs/guide.md >"$dir/found"
read -r pieces programs <"$dir/found"
[ "$pieces" -gt 0 ] && [ -n "$programs" ]

flags=$($PKG_CONFIG --cflags --libs kw)
strict="-std=c11 -Wall -Wextra -pedantic -Werror -g"
for program in $programs; do
	$CC $strict $CFLAGS -o "$dir/$program" "$dir/$program.c" $flags
done
# A piece need not use all that it is given, nor what it declares.
$CC $strict $CFLAGS -Wno-unused-parameter -Wno-unused-variable -Wno-unused-but-set-variable \
	-c -o "$dir/pieces.o" "$dir/pieces.c" $($PKG_CONFIG --cflags kw)
echo "guide: $pieces pieces and the programs $programs compile"

cd "$dir"
# There is nothing to wait for but time, the program being another process: 20 s at most.
expect() {
	patience=400
	until grep -q -x -F -e "$1" log; do
		patience=$((patience - 1))
		[ "$patience" -gt 0 ] && kill -0 "$pid" 2>/dev/null || {
			echo "$2: no line: $1"
			cat log
			exit 1
		}
		sleep 0.05
	done
}

mkdir many
[ "$(./barrier many)" = "1000 of 1000" ]

mkdir -p tree/a
echo 12345 >tree/a/f
of() {
	printf '%s entries, %s bytes' "$(find tree | wc -l | tr -d ' ')" \
		"$(find tree ! -type d -exec cat {} + | wc -c | tr -d ' ')"
}
: >log
./index tree >log 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || :' EXIT
expect "$(of)" index
mkdir tree/b
mv tree/a tree/b/c
echo 1234567 >tree/b/c/g
mv tree/b/c/g tree/b/c/f
echo 1 >tree/h
expect "$(of)" index
rm -r tree/b
expect "$(of)" index
rm -r tree
expect "0 entries, 0 bytes" index
kill "$pid"
wait "$pid" 2>/dev/null || :

mkdir tree
: >log
./watch tree >log 2>&1 &
pid=$!
# It does not say when it watches; what comes later is printed for sure.
patience=400
until grep -q '^1 tree/f' log; do
	patience=$((patience - 1))
	[ "$patience" -gt 0 ] && kill -0 "$pid"
	: >"tree/f$patience"
	sleep 0.05
done
kill "$pid"
wait "$pid" 2>/dev/null || :

rm -r tree
mkdir tree
# One that was written to just before it is looked at may be told of once more.
touch -t 202601010000 tree/f
./changed tree saved >log
printf '80 tree\n1 tree/f\n' | diff - log
mv tree/f tree/g
mkdir tree/d
./changed tree saved | sort >log
printf '1 tree/d\n10 tree/f\n' | diff - log
./changed tree saved >log
[ ! -s log ]
echo "guide: the programs do what it says"

# Each figure of the comparison stands in the report of the benchmark, in the same
# contender's row; and links within the documentation lead somewhere.
cd "$top"
awk -F ' *[|] *' '
	FNR == 1 { file++ }
	file == 1 && NF > 2 {
		for (i = 3; i < NF; i++) {
			figure = $i
			sub(/ \(.*/, "", figure)
			known[$2, figure] = 1
		}
	}
	file == 2 && /^## / { figures = /^## Figures/ }
	file == 2 && figures && /^\| [@a-z]/ {
		rows++
		for (i = 3; i < NF; i++)
			if (!(($2, $i) in known)) {
				print "docs/comparison.md: not in the benchmark: " $2 ": " $i
				bad = 1
			}
	}
	END { exit bad || rows == 0 }
' docs/bench/README.md docs/comparison.md
for page in docs/guide.md docs/platforms.md docs/comparison.md; do
	grep -o ']([^)#]*' "$page" | sed 's/](//; /^$/d; /^https:/d' | while read -r link; do
		[ -e "docs/$link" ] || {
			echo "$page: a link to nothing: $link"
			exit 1
		}
	done
done
echo "docs: figures and links are as they should be"
