#!/bin/sh
# The CMake package: that it is found, moved or not, and what is built with it runs. TAP.
# usage: check.sh, from the top of the source; the environment is that of `make check`
set -u
count=0 failed=0

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

not() {
	! "$@"
}

# refuses TEXT COMMAND...: whether the command fails and says so.
refuses() {
	text=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		echo "it did not fail"
		return 1
	fi
	cat "$work/said"
	grep -q -F -e "$text" "$work/said"
}

if ! command -v cmake >/dev/null; then
	echo "skipped: the CMake package: cmake is not installed"
	exit 77
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed 1q)
lib=$STAGE$LIBDIR
work=$BUILD/cmake
rm -rf "$work"
mkdir -p "$work"
# Others' settings, and what CMake keeps of packages that it has seen, are to have no say.
unset CMAKE_PREFIX_PATH CMAKE_MODULE_PATH kw_DIR kw_ROOT DESTDIR
export CC CXX CFLAGS
# A user has no such thing in the environment: it is CMake that sees to it that what was
# built is found.
unset LD_LIBRARY_PATH DYLD_LIBRARY_PATH PKG_CONFIG_LIBDIR

# configure BUILD-DIRECTORY OPTION...: the project in cmake/test.
configure() {
	directory=$1
	shift
	cmake -S cmake/test -B "$work/$directory" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF "$@"
}

# runs PROGRAM: whether it says what happened in a directory.
runs() {
	rm -rf "$work/tree"
	mkdir "$work/tree"
	"$1" "$work/tree" >"$work/said" && grep -q -x '1 made' "$work/said" && return
	cat "$work/said"
	return 1
}

# Whether it is to load a libkw; the name of that stands in it.
loads() {
	grep -q 'libkw\.[0-9s]' "$1"
}

# --- Built where it was installed -----------------------------------------------------
both='-DCOMPONENTS=shared;static'
try "a project finds it" configure here "$both" -Dkw_DIR="$lib/cmake/kw"
try "where it is" grep -q "kw_DIR:[A-Z]*=$lib/cmake/kw\$" "$work/here/CMakeCache.txt"
try "and is built" cmake --build "$work/here"
for language in c cpp; do
	try "$language, shared: it runs" runs "$work/here/$language-shared"
	try "with the shared library" loads "$work/here/$language-shared"
	try "$language, static: it runs" runs "$work/here/$language-static"
	try "without it" not loads "$work/here/$language-static"
done
case $LIBDIR in
"$PREFIX"/lib | "$PREFIX"/lib64)
	try "it is found by the prefix" configure prefix "$both" -DCMAKE_PREFIX_PATH="$STAGE$PREFIX"
	try "there" grep -q "kw_DIR:[A-Z]*=$lib/cmake/kw\$" "$work/prefix/CMakeCache.txt"
	;;
esac

# --- Moved to another place -----------------------------------------------------------
moved=$work/moved
mkdir -p "$moved$LIBDIR/cmake" "$moved$INCLUDEDIR"
cp -R "$lib/cmake/kw" "$moved$LIBDIR/cmake/kw"
cp -P "$lib"/libkw.* "$moved$LIBDIR"
cp "$STAGE$INCLUDEDIR/kw.h" "$STAGE$INCLUDEDIR/kw.hpp" "$moved$INCLUDEDIR"
try "a copy of it is found" configure there "$both" -Dkw_DIR="$moved$LIBDIR/cmake/kw"
try "a project is built with that" cmake --build "$work/there"
for program in c-shared cpp-shared c-static cpp-static; do
	try "$program runs" runs "$work/there/$program"
done
# As where /lib is a link to /usr/lib: the headers are beside what it leads to.
mkdir -p "$work/linked"
ln -s "$moved$LIBDIR" "$work/linked/lib"
try "through a link, too" configure link "$both" -Dkw_DIR="$work/linked/lib/cmake/kw"
try "a project is built" cmake --build "$work/link"

# --- One library only -----------------------------------------------------------------
mkdir "$work/apart"
mv "$moved$LIBDIR"/libkw.a "$work/apart"
try "without libkw.a the shared one is found" configure shared -DCOMPONENTS=shared \
	-Dkw_DIR="$moved$LIBDIR/cmake/kw"
try "and no static one" refuses "no component static in" \
	configure no-static -DCOMPONENTS=static -Dkw_DIR="$moved$LIBDIR/cmake/kw"
mv "$moved$LIBDIR"/libkw.* "$work"
try "without either nothing is found" refuses "no libkw in" \
	configure nothing -Dkw_DIR="$moved$LIBDIR/cmake/kw"
mv "$work/apart/libkw.a" "$moved$LIBDIR"
try "with libkw.a alone the static one is found" configure static -DCOMPONENTS=static \
	-Dkw_DIR="$moved$LIBDIR/cmake/kw"
try "and works" cmake --build "$work/static"
try "and runs" runs "$work/static/cpp-static"

# --- Versions -------------------------------------------------------------------------
# asks ARGUMENT...: whether a project that says find_package(kw ARGUMENT...) finds it.
asks() {
	rm -rf "$work/asks"
	mkdir "$work/asks"
	cat >"$work/asks/CMakeLists.txt" <<-END
		cmake_minimum_required(VERSION 3.13)
		project(asks NONE)
		find_package(kw $* CONFIG QUIET)
		if(NOT kw_FOUND)
		  message(FATAL_ERROR "not found: \${kw_CONSIDERED_VERSIONS}")
		endif()
	END
	cmake -S "$work/asks" -B "$work/asks/build" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF \
		-DCMAKE_PREFIX_PATH="$lib/cmake/kw"
}

major=${version%%.*}
rest=${version#*.}
minor=${rest%%.*}
patch=${rest#*.}
try "any version" asks ""
try "$major.$minor" asks "$major.$minor"
try "$version" asks "$version"
try "$version EXACT" asks "$version EXACT"
try "no later patch" not asks "$major.$minor.$((patch + 1))"
try "no later minor" not asks "$major.$((minor + 1))"
try "no later major" not asks "$((major + 1)).0"
if [ "$major" -eq 0 ] && [ "$minor" -gt 0 ]; then
	try "no earlier minor while major is 0" not asks "0.$((minor - 1))"
fi
# Ranges are known to CMake since 3.19.
if printf 'if(CMAKE_VERSION VERSION_LESS 3.19)\nmessage(FATAL_ERROR "")\nendif()\n' \
	>"$work/ranges.cmake" && cmake -P "$work/ranges.cmake" 2>/dev/null; then
	try "a range that has it" asks "$major.$minor...<$((major + 1))"
	try "one that ends with it" asks "$major.0...$version"
	try "one that ends before it" not asks "$major.0...<$version"
	try "one that begins after it" not asks "$version.1...$((major + 1))"
fi

echo "1..$count"
[ "$failed" -eq 0 ]
