#!/bin/sh
# Builds the examples with what is installed, and runs them: `make check-uses`.
# mirror is held against random writers; SEEDS says how many times.
set -eu

dir=$BUILD/examples
rm -rf "$dir"
mkdir -p "$dir"
flags=$($PKG_CONFIG --cflags --libs kw)
for source in examples/mirror.c examples/minimal.c examples/test/*.c; do
	$CC -std=c11 -Wall -Wextra -pedantic -Werror -g $CFLAGS -o "$dir/$(basename "$source" .c)" \
		"$source" $flags
done
cd "$dir"
lines=$(grep -vc "^#include\|^$\|^/\*\|^ \*" "$OLDPWD/examples/mirror.c")
[ "$lines" -le 60 ] || {
	echo "mirror.c has $lines lines of code; the README says 60"
	exit 1
}

seed=1
while [ "$seed" -le "${SEEDS:-12}" ]; do
	rm -rf source copy
	mkdir source
	./scribble source "$seed" 2000
	./mirror source copy 2>mirror.log &
	mirror=$!
	writers=
	for writer in 1 2 3; do
		./scribble source "$seed$writer" 20000 &
		writers="$writers $!"
	done
	# A signal during the first crawl would end it without a copy.
	until [ -d copy ]; do
		kill -0 "$mirror"
	done
	for writer in $writers; do
		wait "$writer"
	done
	# What was done before the signal is in the copy when it ends.
	kill -TERM "$mirror"
	wait "$mirror" || {
		echo "seed $seed: mirror failed"
		cat mirror.log
		exit 1
	}
	./same source copy >same.log || {
		echo "seed $seed: the copy is another one"
		head -n 20 same.log mirror.log
		exit 1
	}
	seed=$((seed + 1))
done
echo "mirror: ${SEEDS:-12} copies, each the same as its source ($(cat same.log) in the last)"

# Deeper than any path that open(2) takes: said to be, and the rest is copied.
rm -rf source copy
mkdir source
./deep source
echo text >source/zfile
./mirror source copy 2>mirror.log &
mirror=$!
until grep -q 'too long' mirror.log && cmp -s source/zfile copy/zfile; do
	kill -0 "$mirror"
done
kill -TERM "$mirror"
wait "$mirror"

mkdir tree
./minimal tree >minimal.log 2>&1 &
minimal=$!
# It says nothing of when it watches: what comes later is printed for sure.
until grep -q tree/ minimal.log; do
	kill -0 "$minimal" || exit 1
	: >"tree/f$(wc -c <minimal.log)"
	rm -f tree/f*
done
kill "$minimal"
wait "$minimal" 2>/dev/null || :
echo "minimal: prints what changes"
