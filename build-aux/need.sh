#!/bin/sh
# Says which tool is missing, and how to get it, before anything else is said.
# usage: need.sh TOOL...   (cargo cc c++ pkg-config prove valgrind nm readelf)

missing() { # WHAT DEBIAN-PACKAGE
	if [ "$2" = rust ]; then
		how="install Rust from https://rustup.rs"
	elif command -v apt-get >/dev/null 2>&1; then
		how="apt-get install $2"
	else
		how="install it with your system's package manager (Debian calls the package $2)"
	fi
	echo "libkw needs $1: $how"
	exit 1
}

# Whether a command (with or without arguments) can be run.
have() {
	command -v "${1%% *}" >/dev/null 2>&1
}

# The oldest Rust that can build it, from Cargo.toml; Debian 12's is older.
check_rust() {
	oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	have "${CARGO:-cargo}" || missing "cargo (Rust $oldest or later)" rust
	have "${RUSTC:-rustc}" || missing "rustc (Rust $oldest or later)" rust
	found=$(${RUSTC:-rustc} --version | sed 's/^rustc \([0-9.]*\).*/\1/')
	if ! awk -v a="$found" -v b="$oldest" 'BEGIN {
		split(a, x, "."); split(b, y, ".")
		exit !(x[1] > y[1] || (x[1] == y[1] && x[2] >= y[2]))
	}'; then
		missing "Rust $oldest or later (this is $found)" rust
	fi
}

# A compiler without the C library's headers is of no use.
check_cc() {
	have "${CC:-cc}" || missing "a C compiler (${CC:-cc})" gcc
	# Whatever compiles the C, rustc links with cc.
	have cc || missing "a linker (cc)" gcc
	echo '#include <stdio.h>' | ${CC:-cc} -E - >/dev/null 2>&1 ||
		missing "the C library's headers (stdio.h)" libc6-dev
}

for tool in "$@"; do
	case $tool in
	cargo) check_rust ;;
	cc) check_cc ;;
	c++) have "${CXX:-c++}" || missing "a C++ compiler (${CXX:-c++}), to check the header" g++ ;;
	pkg-config) have "${PKG_CONFIG:-pkg-config}" || missing pkg-config pkg-config ;;
	prove) have "${PROVE:-prove}" || missing "prove (part of Perl)" perl ;;
	nm) have nm || missing nm binutils ;;
	# The other systems' valgrind is missing, old or broken; Linux's is not.
	valgrind)
		[ "$(uname)" != Linux ] || have "${VALGRIND:-valgrind}" || missing valgrind valgrind
		;;
	readelf) [ "$(uname)" = Darwin ] || have readelf || missing readelf binutils ;;
	*) echo "need.sh: unknown tool $tool"; exit 2 ;;
	esac
done
