# libkw. For GNU make and BSD make alike: no conditionals, no pattern rules, no
# $(shell); what depends on the system is in the scripts of build-aux.
#
#   make                     the libraries, in $(CARGO_TARGET_DIR)/release
#   make run DIR=path        prints what changes below a directory, until Ctrl-C
#   make check               every test that can run on this machine
#   make install, uninstall  PREFIX, LIBDIR, INCLUDEDIR, DESTDIR
#   make header              include/kw.h from the doc comments in src/ffi
#   make clean
#
# CARGO, CC, CXX, CFLAGS and CARGOFLAGS are honoured; BUILD is where the staged
# installation, the test programs and the examples go.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
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

# What the scripts are told.
SETTINGS = PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' INCLUDEDIR='$(INCLUDEDIR)' \
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
	$(LIBKW) example kwatch
	@exec '$(BUILD)/kwatch' '$(DIR)'

check: check-rust check-c

check-rust:
	$(NEED) cargo cc c++ pkg-config prove valgrind nm readelf
	CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' $(CARGO) test $(CARGOFLAGS)

# The installation as a user gets it, and everything that a C program can see.
check-c:
	$(NEED) cargo cc c++ pkg-config prove valgrind nm readelf
	$(LIBKW) build
	@$(SETTINGS) sh c-tests/check.sh

install:
	$(NEED) cargo cc
	$(LIBKW) build
	$(LIBKW) install

uninstall:
	$(LIBKW) uninstall

header:
	$(NEED) cargo cc
	KW_UPDATE_HEADER=1 CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' \
		$(CARGO) test $(CARGOFLAGS) --test header

clean:
	rm -rf '$(BUILD)'
	CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' $(CARGO) clean

# Cargo and valgrind take all there is; and what fails is easier to find.
.NOTPARALLEL:
.PHONY: all run check check-rust check-c install uninstall header clean
