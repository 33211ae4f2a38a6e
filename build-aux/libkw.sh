#!/bin/sh
# Builds, installs and removes the library and kwatch; the Makefile says with what
# settings.
# usage: libkw.sh build | kwatch | install | uninstall
set -eu

# Where what is no library goes.
BINDIR=${BINDIR:-$PREFIX/bin}
DATADIR=${DATADIR:-$PREFIX/share}
MANDIR=${MANDIR:-$DATADIR/man}

# The version has one home.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | sed 1q)
major=${version%%.*}
built=$CARGO_TARGET_DIR/release
# What a static libkw.a needs besides itself: rustc writes it down as it links.
needs=$built/native-static-libs

# $real is the file, $soname what programs ask for, $link what the linker does.
case $(uname) in
Darwin)
	cargo_makes=libkw.dylib
	real=libkw.$version.dylib soname=libkw.$major.dylib link=libkw.dylib
	;;
*)
	cargo_makes=libkw.so
	real=libkw.so.$version soname=libkw.so.$major link=libkw.so
	;;
esac

build() {
	# On macOS the library's own name is the place it will be installed in.
	if [ "$(uname)" = Darwin ]; then
		KW_INSTALL_NAME=$LIBDIR/$soname
		export KW_INSTALL_NAME
	fi
	mkdir -p "$BUILD"
	failed=$BUILD/build-failed
	rm -f "$failed"
	# `cargo rustc`, not `cargo build`: one build makes all and tells the needs.
	# It also says every time where it told them, which is of no interest.
	{
		CARGO_TARGET_DIR=$CARGO_TARGET_DIR $CARGO rustc --release --lib $CARGOFLAGS -- \
			--print "native-static-libs=$(absolute "$needs")" 2>&1 || : >"$failed"
	} | sed -e '/^note: native artifacts to link against/d' -e '/^$/d'
	[ ! -e "$failed" ] || exit 1
	if [ ! -s "$needs" ]; then
		echo "$needs is missing: make clean, and again" >&2
		exit 1
	fi
}

absolute() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$PWD/$1" ;;
	esac
}

# The needs without what every C compiler adds of itself: so `cc -static`, for
# which there is no libgcc_s, works as well.
static_libs() {
	sed 's/-lgcc_s//; s/-lc *$//; s/-lc //; s/  */ /g; s/^ //; s/ $//' "$needs"
}

# A path below the prefix is written so that the whole can be moved.
below_prefix() {
	case $1 in
	"$PREFIX"/*) echo "\${prefix}/${1#"$PREFIX"/}" ;;
	*) echo "$1" ;;
	esac
}

# The way from a directory to another: "../include" from /usr/lib to /usr/include.
way() {
	from=$(echo "$1" | sed 's|//*|/|g; s|/$||')
	to=$(echo "$2" | sed 's|//*|/|g; s|/$||')
	up=.
	while [ -n "$from" ]; do
		case $to/ in
		"$from"/*) break ;;
		*) up=$up/.. ;;
		esac
		case $from in
		*/*) from=${from%/*} ;;
		*) from= ;;
		esac
	done
	to=${to#"$from"}
	echo "$up/${to#/}" | sed 's|^\./||; s|/$||'
}

# The needs as a list of CMake, where a framework is one item.
cmake_libs() {
	static_libs | sed 's/-framework /-framework@/g; s/ /;/g; s/@/ /g'
}

# A file of the CMake package; CMake finds both libraries from where the file is.
kw_cmake() {
	minor=${version#*.} install_name=$soname
	[ "$(uname)" != Darwin ] || install_name=$LIBDIR/$soname
	sed -e "s|@VERSION@|$version|g" \
		-e "s|@MAJOR@|$major|g" \
		-e "s|@MINOR@|${minor%%.*}|g" \
		-e "s|@LIBDIR_TO_INCLUDEDIR@|$(way "$LIBDIR" "$INCLUDEDIR")|g" \
		-e "s|@REAL@|$real|g" \
		-e "s|@SONAME@|$install_name|g" \
		-e "s|@STATIC_LIBS@|$(cmake_libs)|g" \
		"cmake/$1.in"
}

kw_pc() {
	sed -e "s|@PREFIX@|$PREFIX|" \
		-e "s|@LIBDIR@|$(below_prefix "$LIBDIR")|" \
		-e "s|@INCLUDEDIR@|$(below_prefix "$INCLUDEDIR")|" \
		-e "s|@VERSION@|$version|" \
		-e "s|@STATIC_LIBS@|$(static_libs)|" \
		pkgconfig/kw.pc.in
}

install_all() {
	lib=$DESTDIR$LIBDIR
	include=$DESTDIR$INCLUDEDIR
	mkdir -p "$lib/pkgconfig" "$lib/cmake/kw" "$include"
	# Not over the old file: programs that run have it mapped.
	rm -f "$lib/$real"
	install -m 755 "$built/$cargo_makes" "$lib/$real"
	ln -sf "$real" "$lib/$soname"
	ln -sf "$soname" "$lib/$link"
	install -m 644 "$built/libkw.a" "$lib/libkw.a"
	install -m 644 include/kw.h "$include/kw.h"
	install -m 644 include/kw.hpp "$include/kw.hpp"
	kw_pc >"$lib/pkgconfig/kw.pc"
	chmod 644 "$lib/pkgconfig/kw.pc"
	for file in kwConfig.cmake kwConfigVersion.cmake; do
		kw_cmake $file >"$lib/cmake/kw/$file"
		chmod 644 "$lib/cmake/kw/$file"
	done
	echo "libkw $version is installed in $lib and $include"
}

uninstall_all() {
	lib=$DESTDIR$LIBDIR
	rm -f "$lib/$link" "$lib/$soname" "$lib/$real" "$lib/libkw.a" \
		"$lib/pkgconfig/kw.pc" "$DESTDIR$INCLUDEDIR/kw.h" "$DESTDIR$INCLUDEDIR/kw.hpp"
	rm -f "$lib/cmake/kw/kwConfig.cmake" "$lib/cmake/kw/kwConfigVersion.cmake"
	# Nobody else has a use for this one.
	[ ! -d "$lib/cmake/kw" ] || rmdir "$lib/cmake/kw" || :
}

# kwatch runs from where it is: with the static library inside. It is built anew if
# something that goes into it is newer.
kwatch() {
	if [ -e "$BUILD/kwatch" ] &&
		[ -z "$(find kwatch/*.[ch] include/kw.h "$built/libkw.a" -newer "$BUILD/kwatch")" ]; then
		return
	fi
	mkdir -p "$BUILD"
	$CC -std=c11 -Wall -Wextra -pedantic -O2 $CFLAGS -pthread -Iinclude -o "$BUILD/kwatch" \
		kwatch/*.c "$built/libkw.a" $(static_libs)
}

# What comes with it and is installed as it is: where it is, and where it goes.
papers() {
	for page in man/*.[0-9]; do
		echo "$page $MANDIR/man${page##*.}/${page##*/}"
	done
	completions=kwatch/completions
	echo "$completions/kwatch.bash $DATADIR/bash-completion/completions/kwatch"
	echo "$completions/_kwatch $DATADIR/zsh/site-functions/_kwatch"
	echo "$completions/kwatch.fish $DATADIR/fish/vendor_completions.d/kwatch.fish"
}

install_kwatch() {
	kwatch
	mkdir -p "$DESTDIR$BINDIR"
	rm -f "$DESTDIR$BINDIR/kwatch"
	install -m 755 "$BUILD/kwatch" "$DESTDIR$BINDIR/kwatch"
	# Most of it are symbols. (On macOS its signature is over them.)
	[ "$(uname)" = Darwin ] || ${STRIP:-strip} "$DESTDIR$BINDIR/kwatch" || :
	papers | while read -r from to; do
		mkdir -p "$DESTDIR${to%/*}"
		install -m 644 "$from" "$DESTDIR$to"
	done
	echo "kwatch is installed in $DESTDIR$BINDIR, its manual in $DESTDIR$MANDIR"
}

uninstall_kwatch() {
	rm -f "$DESTDIR$BINDIR/kwatch"
	papers | while read -r _ to; do
		rm -f "$DESTDIR$to"
	done
}

case $1 in
build) build ;;
kwatch) kwatch ;;
install)
	install_all
	install_kwatch
	;;
uninstall)
	uninstall_all
	uninstall_kwatch
	;;
*) exit 2 ;;
esac
