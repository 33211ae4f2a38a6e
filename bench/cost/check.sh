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
log=$trees/log

# A tree of so many directories with 100 files each.
plant() {
	[ ! -d "$trees/$1" ] || return 0
	rm -rf "$trees/new"
	mkdir -p "$trees/new"
	i=0
	while [ $i -lt "$1" ]; do
		mkdir "$trees/new/d$i"
		j=0
		while [ $j -lt 100 ]; do
			: >"$trees/new/d$i/file$j"
			j=$((j + 1))
		done
		i=$((i + 1))
	done
	mv "$trees/new" "$trees/$1"
}

# Instructions within a function, while so many changes of a kind are told: in $counted.
count() { # FUNCTION TREE KIND CHANGES
	"$VALGRIND" --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$1" \
		"$program" "$trees/$2" "$trees/$2/d0" "$3" "$4" >"$log" 2>&1 || {
		cat "$log"
		exit 1
	}
	counted=$(sed -n 's/.*Collected : \([0-9][0-9]*\).*/\1/p' "$log")
	[ "${counted:-0}" -gt 0 ] || {
		echo "nothing was counted in $1:"
		cat "$log"
		exit 1
	}
}

# What one change costs: the difference between many and few, so that what comes first
# and once does not count.
change() { # TREE KIND
	count kw_poll "$1" "$2" 100
	few=$counted
	count kw_poll "$1" "$2" 600
	changed=$(((counted - few) / 500))
}

compare() { # NAME INSTRUCTIONS
	was=$(sed -n "s/^$1 //p" "$baseline")
	if [ "$2" -gt $((was * (100 + tolerance) / 100)) ]; then
		echo "$1: $2 instructions, $was before: too many"
		failed=1
	elif [ "$2" -lt $((was * (100 - tolerance) / 100)) ]; then
		echo "$1: $2 instructions, $was before: make check-cost UPDATE=update"
	else
		echo "$1: $2 instructions ($was before)"
	fi
}

rustc=$(${RUSTC:-rustc} --version | cut -d' ' -f2)
failed=0
if [ "${3-}" = update ]; then
	compare() { echo "$1 $2" >>"$baseline"; }
	{
		echo "# Instructions for a change told by kw_poll, and for an entry crawled by kw_add."
		echo "# Made by: make check-cost UPDATE=update"
		echo "rustc $rustc"
	} >"$baseline"
elif [ "$(sed -n 's/^rustc //p' "$baseline")" != "$rustc" ]; then
	echo "The baseline is that of another compiler than rustc $rustc, so nothing can be compared:"
	echo "make check-cost UPDATE=update before a change, and make check-cost after it."
	exit 1
fi

plant 10
plant 1000
for kind in write create rename; do
	change 10 $kind
	small=$changed
	compare "$kind-in-1000" "$small"
	change 1000 $kind
	compare "$kind-in-100000" "$changed"
	if [ "$changed" -gt $((small * 12 / 10)) ]; then
		echo "$kind: the cost of a change grows with the tree"
		failed=1
	fi
done
count kw_add 1000 write 0
compare crawl $((counted / 101000))
exit $failed
