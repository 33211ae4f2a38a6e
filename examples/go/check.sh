#!/bin/sh
# The Go package: its tests, and a session with the command.
set -eu

if ! command -v go >/dev/null 2>&1; then
	echo "skipped: examples/go: no go"
	exit 77
fi
dir=$BUILD/go
mkdir -p "$dir"
session=$PWD/examples/test/session.sh
# It needs nothing from elsewhere, and writes nothing here.
GOCACHE=$dir/cache GOPATH=$dir/path GOPROXY=off GOFLAGS=-mod=readonly GOTOOLCHAIN=local
CGO_ENABLED=1
export GOCACHE GOPATH GOPROXY GOFLAGS GOTOOLCHAIN CGO_ENABLED
cd examples/go
[ -z "$(gofmt -l .)" ] || {
	gofmt -d .
	exit 1
}
go vet ./...
go test -count=1 ./...
go build -o "$dir/watch" .
"$session" "$dir/session" "$dir/watch"
echo "go: the session went as expected"
