#!/bin/sh
# Builds the C tests against a staged installation and runs them: shared, static
# and under valgrind. `make check-c` says with what settings.
#
# The tests see the library as a user does: through pkg-config and nothing else.
# Where both libraries are installed a linker takes the shared one, also with
# `pkg-config --static`; so the static tests have a stage without it.
set -eu

absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$PWD/$1" ;;
	esac
}

BUILD=$(absolute "$BUILD")
STAGE=$BUILD/stage
STATIC_STAGE=$BUILD/stage-static
tests=$BUILD/c-tests
# The tests run where they like; scenarios.c is told where its scenarios are.
KW_SCENARIOS=$PWD/tests/scenarios
export BUILD STAGE STATIC_STAGE KW_SCENARIOS

rm -rf "$STAGE" "$STATIC_STAGE" "$tests"
DESTDIR=$STAGE sh build-aux/libkw.sh install
DESTDIR=$STATIC_STAGE sh build-aux/libkw.sh install >/dev/null
rm -f "$STATIC_STAGE$LIBDIR"/libkw.so* "$STATIC_STAGE$LIBDIR"/libkw*.dylib

programs=
for source in c-tests/*.c; do
	name=$(basename "$source" .c)
	[ "$name" = sandbox ] || programs="$programs $name"
done

# compile shared|static STAGE PKG-CONFIG-OPTION
compile() {
	mkdir -p "$tests/$1"
	flags=$(PKG_CONFIG_LIBDIR=$2$LIBDIR/pkgconfig PKG_CONFIG_SYSROOT_DIR=$2 \
		$PKG_CONFIG $3 --cflags --libs kw)
	echo "C tests, $1: $flags"
	for name in $programs; do
		# C11 for _Static_assert; the threads are the tests' own.
		$CC -std=c11 -Wall -Wextra -pedantic -Werror -g -pthread $CFLAGS \
			-o "$tests/$1/$name" "c-tests/$name.c" c-tests/sandbox.c $flags
	done
}

compile shared "$STAGE" ""
compile static "$STATIC_STAGE" --static

# What valgrind found in the processes that it saw to their end.
check_logs() {
	bad=0
	for log in "$logs"/*.log; do
		# A child that was silent has no summary.
		grep -q 'HEAP SUMMARY' "$log" || continue
		if ! awk '
			/ERROR SUMMARY:/ { errors = $0 ~ /ERROR SUMMARY: 0 errors/ }
			# Each descriptor is followed by where it was opened; what the
			# process began with has this instead (the log among them).
			/Open .*descriptor|Open .*socket/ { open++ }
			/<inherited from parent>/ { open-- }
			END { exit !(errors && open == 0) }' "$log"; then
			echo "$log:"
			cat "$log"
			bad=1
		fi
	done
	[ "$bad" -eq 1 ] || echo "no error, no leak, no descriptor left open"
	return $bad
}

in_order() {
	for name in $programs; do
		echo "$1/$name"
	done
}

status=0
LD_LIBRARY_PATH=$STAGE$LIBDIR
DYLD_LIBRARY_PATH=$STAGE$LIBDIR
export LD_LIBRARY_PATH DYLD_LIBRARY_PATH

echo "== the installation"
$PROVE -e sh c-tests/installed.sh || status=1

echo "== shared"
$PROVE -e '' $(in_order "$tests/shared") || status=1

echo "== static"
env -u LD_LIBRARY_PATH -u DYLD_LIBRARY_PATH $PROVE -e '' $(in_order "$tests/static") || status=1

if [ "$(uname)" = Linux ]; then
	echo "== under valgrind"
	logs=$BUILD/valgrind
	rm -rf "$logs"
	# denied.c is not root any more when it writes its log.
	mkdir -p -m 777 "$logs"
	# Every block that is left is an error, lost or not.
	# Everything takes many times as long.
	export KW_TEST_SECONDS=600
	$PROVE -e "$VALGRIND --log-file=$logs/%p.log --error-exitcode=99 --leak-check=full \
		--show-leak-kinds=all --errors-for-leak-kinds=all \
		--suppressions=c-tests/valgrind.supp --track-fds=yes --child-silent-after-fork=yes" \
		$(in_order "$tests/shared") || status=1
	check_logs || status=1
fi

exit $status
