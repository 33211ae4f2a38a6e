# libkw. For GNU make and BSD make alike: no conditionals, no pattern rules, no
# $(shell); what depends on the system is in the scripts of build-aux.
#
#   make                     the libraries, in $(CARGO_TARGET_DIR)/release
#   make run DIR=path        prints what changes below a directory, until Ctrl-C
#   make check               every test that can run on this machine
#   make check-uses          of these: the bindings and examples
#   make install, uninstall  PREFIX, LIBDIR, INCLUDEDIR, BINDIR, DATADIR, MANDIR, DESTDIR
#   make check-cost          instructions for a change, against those before
#   make bench               measures libkw beside other watchers: docs/bench
#   make bench-peers         installs those of them that are packages
#   make header              include/kw.h from the doc comments in src/ffi
#   make clean
#
# CARGO, CC, CXX, CFLAGS and CARGOFLAGS are honoured; BUILD is where the staged
# installation, the test programs and the examples go. BENCH_ARGS is for `make bench`:
# BENCH_ARGS=--quick to see whether it works, BENCH_ARGS=--help for the rest.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DESTDIR ?=

DIR ?= .
BUILD ?= build
CARGO ?= cargo
CARGOFLAGS ?=
CARGO_TARGET_DIR ?= target
PKG_CONFIG ?= pkg-config
PROVE ?= prove
VALGRIND ?= valgrind
CXX ?= c++
BENCH_ARGS ?=
UPDATE ?=

# What the scripts are told.
SETTINGS = PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' \
	BINDIR='$(BINDIR)' DATADIR='$(DATADIR)' MANDIR='$(MANDIR)' \
	DESTDIR='$(DESTDIR)' BUILD='$(BUILD)' CC='$(CC)' CXX='$(CXX)' CFLAGS='$(CFLAGS)' \
	CARGO='$(CARGO)' CARGOFLAGS='$(CARGOFLAGS)' CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' \
	PKG_CONFIG='$(PKG_CONFIG)' PROVE='$(PROVE)' VALGRIND='$(VALGRIND)'

NEED = @$(SETTINGS) sh build-aux/need.sh
LIBKW = @$(SETTINGS) sh build-aux/libkw.sh

all:
	$(NEED) cargo cc
	$(LIBKW) build

run:
	$(NEED) cargo cc
	$(LIBKW) build
	$(LIBKW) kwatch
	@exec '$(BUILD)/kwatch' '$(DIR)'

check: check-rust check-c check-uses

check-rust:
	$(NEED) cargo cc c++ pkg-config prove valgrind nm readelf
	CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' $(CARGO) test $(CARGOFLAGS)

# The installation as a user gets it, and everything that a C program can see.
check-c:
	$(NEED) cargo cc c++ pkg-config prove valgrind nm readelf
	$(LIBKW) build
	@$(SETTINGS) sh c-tests/check.sh

# The bindings and examples whose toolchains are installed; lists those that are not.
check-uses:
	$(NEED) cargo cc c++ pkg-config
	$(LIBKW) build
	@$(SETTINGS) sh build-aux/uses.sh

install:
	$(NEED) cargo cc
	$(LIBKW) build
	$(LIBKW) install

uninstall:
	$(LIBKW) uninstall

bench:
	$(NEED) cargo cc pkg-config
	$(LIBKW) build
	@$(SETTINGS) sh build-aux/bench.sh run $(BENCH_ARGS)

# Instructions against bench/cost/baseline. UPDATE=update makes that anew.
check-cost:
	$(NEED) cargo cc pkg-config valgrind
	$(LIBKW) build
	@$(SETTINGS) sh build-aux/bench.sh cost $(UPDATE)

bench-peers:
	@$(SETTINGS) sh build-aux/bench.sh peers

header:
	$(NEED) cargo cc
	KW_UPDATE_HEADER=1 CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' \
		$(CARGO) test $(CARGOFLAGS) --test header

clean:
	rm -rf '$(BUILD)'
	CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' $(CARGO) clean

# Cargo and valgrind take all there is; and what fails is easier to find.
.NOTPARALLEL:
.PHONY: all run check check-rust check-c check-uses install uninstall bench bench-peers \
	check-cost header clean
