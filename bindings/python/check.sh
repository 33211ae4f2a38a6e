#!/bin/sh
# The tests of the Python package against the staged library; its types, where mypy is.
set -eu

if ! command -v python3 >/dev/null 2>&1; then
	echo "skipped: the Python package: no python3"
	exit 77
fi
case $(uname) in
Darwin) KW_LIBRARY=$STAGE$LIBDIR/libkw.0.dylib ;;
*) KW_LIBRARY=$STAGE$LIBDIR/libkw.so.0 ;;
esac
PYTHONPATH=$PWD/bindings/python/src
PYTHONDONTWRITEBYTECODE=1
export KW_LIBRARY PYTHONPATH PYTHONDONTWRITEBYTECODE
cd bindings/python
python3 -m unittest discover -s tests 2>&1
if python3 -c 'import mypy' 2>/dev/null; then
	python3 -m mypy --strict --cache-dir "$BUILD/mypy" src/kw
else
	echo "skipped: the types of the Python package: no mypy"
fi
