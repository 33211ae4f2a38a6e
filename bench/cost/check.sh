#!/bin/sh
# Whether a crawled entry and a change cost as many instructions as bench/cost/baseline
# says, and a change as many in a large tree as in a small one. Instructions do not shake;
# they do depend on the compiler.
# usage: check.sh PROGRAM DIRECTORY [update]    (PROGRAM: change.c; DIRECTORY: for trees)
set -eu

program=$1
trees=$2
baseline=$(dirname "$0")/baseline
# In percent. (valgrind's own choice of memcpy differs from processor to processor.)
tolerance=6

# A tree of so many directories with 100 files each.
plant() {
	[ ! -d "$trees/$1" ] || return 0
	i=0
	while [ $i -lt "$1" ]; do
		mkdir -p "$trees/$1/d$i"
		(cd "$trees/$1/d$i" && seq -f file%g 100 | xargs touch)
		i=$((i + 1))
	done
}

# Instructions within a function, while so many changes of a kind are told.
count() { # FUNCTION TREE KIND CHANGES
	"$VALGRIND" --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$1" \
		"$program" "$trees/$2" "$trees/$2/d0" "$3" "$4" 2>&1 |
		sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

# What one change costs: the difference between many and few, so that what comes first
# and once does not count.
change() { # TREE KIND
	few=$(count kw_poll "$1" "$2" 100)
	many=$(count kw_poll "$1" "$2" 600)
	echo $(((many - few) / 500))
}

measure() {
	plant 10
	plant 1000
	for kind in write create rename; do
		echo "$kind-in-1000 $(change 10 $kind)"
		echo "$kind-in-100000 $(change 1000 $kind)"
	done
	echo "crawl $(($(count kw_add 1000 write 0) / 101000))"
}

rustc=$(${RUSTC:-rustc} --version | cut -d' ' -f2)
measured=$(measure)
if [ "${3-}" = update ]; then
	{
		echo "# Instructions for a change told by kw_poll, and for an entry crawled by kw_add."
		echo "# Made by: make check-cost UPDATE=update"
		echo "rustc $rustc"
		echo "$measured"
	} >"$baseline"
	exit
fi

of() { # NAME TEXT
	echo "$2" | sed -n "s/^$1 //p"
}

failed=0
for kind in write create rename; do
	small=$(of $kind-in-1000 "$measured") large=$(of $kind-in-100000 "$measured")
	echo "$kind: $small instructions in a tree of 1,000, $large in one of 100,000"
	if [ "$large" -gt $((small * 12 / 10)) ]; then
		echo "  the cost of a change grows with the tree"
		failed=1
	fi
done
known=$(cat "$baseline")
if [ "$(of rustc "$known")" != "$rustc" ]; then
	echo "no comparison: the baseline is that of rustc $(of rustc "$known"), this is $rustc"
	exit $failed
fi
for name in $(echo "$measured" | cut -d' ' -f1); do
	was=$(of "$name" "$known") is=$(of "$name" "$measured")
	if [ "$is" -gt $((was * (100 + tolerance) / 100)) ]; then
		echo "$name: $is instructions, $was before: too many"
		failed=1
	elif [ "$is" -lt $((was * (100 - tolerance) / 100)) ]; then
		echo "$name: $is instructions, $was before: make check-cost UPDATE=update"
	else
		echo "$name: $is instructions ($was before)"
	fi
done
exit $failed
