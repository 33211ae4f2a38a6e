#!/bin/sh
# The Ruby module: its tests, and a session with the program.
set -eu

if ! command -v ruby >/dev/null 2>&1; then
	echo "skipped: examples/ruby: no ruby"
	exit 77
fi
if ! ruby -e 'exit RUBY_VERSION.to_f >= 3.0' || ! ruby -e 'require "fiddle"' 2>/dev/null; then
	echo "skipped: examples/ruby: $(ruby --version) is older than 3.0 or has no fiddle"
	exit 77
fi
case $(uname) in
Darwin) KW_LIBRARY=$STAGE$LIBDIR/libkw.0.dylib ;;
*) KW_LIBRARY=$STAGE$LIBDIR/libkw.so.0 ;;
esac
export KW_LIBRARY
mkdir -p "$BUILD/ruby"
ruby -w examples/ruby/test/test_kw.rb
examples/test/session.sh "$BUILD/ruby/session" ruby -w "$PWD/examples/ruby/watch.rb"
echo "ruby: the session went as expected"
