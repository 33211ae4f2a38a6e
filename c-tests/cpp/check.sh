#!/bin/sh
# kw.hpp: that it compiles as it says, and does what it says.
# usage: check.sh, from the top of the source; the environment is that of `make check`
set -u

work=$BUILD/cpp
rm -rf "$work"
mkdir -p "$work"
status=0
failed() {
	echo "not ok - $1"
	status=1
}

# -isystem would have the compiler say nothing of kw.hpp.
cflags=$($PKG_CONFIG --cflags kw)
libs=$($PKG_CONFIG --libs kw)
strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast \
	-Woverloaded-virtual -Wnon-virtual-dtor -Werror"

# The first program of its manual.
sed -n '/^ \*     #include <kw.hpp>/,/^ \*     }/s/^ \*     \{0,1\}//p' \
	"$STAGE$INCLUDEDIR/kw.hpp" >"$work/manual.cpp"

# --- That it compiles, without a warning ------------------------------------------------
# A compiler's version; its first word is the name that it was called by.
version() {
	"$1" --version | sed '1s/^[^ ]* //'
}
compilers=$CXX
for other in g++ clang++; do
	if ! command -v $other >/dev/null; then
		echo "skipped: kw.hpp with $other: not installed"
	elif [ "$(version $other)" != "$(version "${CXX%% *}")" ]; then
		compilers="$compilers $other"
	fi
done
try() {
	"$@" >"$work/output" 2>&1 && return
	sed 's/^/# /' "$work/output" >&2
	return 1
}
for compiler in $compilers; do
	for standard in c++17 c++20; do
		check="$compiler -std=$standard $strict -fsyntax-only $cflags"
		for source in "$work/manual.cpp" examples/minimal.cpp c-tests/cpp/watcher.cpp \
			c-tests/cpp/fields.cpp c-tests/cpp/threads.cpp c-tests/cpp/allocations.cpp \
			"-fno-exceptions -fno-rtti c-tests/cpp/no_exceptions.cpp"; do
			try $check $source || failed "$compiler -std=$standard $source"
		done
	done
done

# --- That it works ----------------------------------------------------------------------
# build PROGRAM SOURCE-OR-OPTION...
build() {
	program=$1
	shift
	try $CXX $strict -g -pthread $CFLAGS $cflags "$@" -o "$work/$program"
}
build minimal -std=c++17 examples/minimal.cpp $libs || failed "minimal.cpp"
build watcher -std=c++17 c-tests/cpp/watcher.cpp c-tests/cpp/second.cpp $libs ||
	failed "watcher.cpp"
build watcher-20 -std=c++20 c-tests/cpp/watcher.cpp c-tests/cpp/second.cpp $libs ||
	failed "watcher.cpp, C++20"
build no_exceptions -std=c++17 -fno-exceptions -fno-rtti c-tests/cpp/no_exceptions.cpp $libs ||
	failed "no_exceptions.cpp"
build allocations -std=c++17 c-tests/cpp/allocations.cpp $libs || failed "allocations.cpp"
build threads -std=c++17 c-tests/cpp/threads.cpp $libs || failed "threads.cpp"

# Without the library: it has one of its own.
build fields -std=c++17 c-tests/cpp/fields.cpp || failed "fields.cpp"

programs="fields watcher watcher-20 no_exceptions allocations threads"
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all"
echo 'int main() {}' >"$work/empty.cpp"
if $CXX $sanitize "$work/empty.cpp" -o "$work/empty" >/dev/null 2>&1 && "$work/empty"; then
	build watcher-sanitized -std=c++17 $sanitize c-tests/cpp/watcher.cpp \
		c-tests/cpp/second.cpp $libs || failed "watcher.cpp, sanitized"
	programs="$programs watcher-sanitized"
else
	echo "skipped: kw.hpp with sanitizers: $CXX has none"
fi

if "$work/minimal" "$work/nothing there" 2>"$work/output" ||
	! grep -q '^minimal: .*/nothing there: watch: No such file' "$work/output"; then
	cat "$work/output" >&2
	failed "minimal.cpp says what is wrong"
fi
for program in $programs; do
	[ -x "$work/$program" ] || continue
	echo "# $program"
	"$work/$program" || failed "$program: status $?"
done
exit $status
