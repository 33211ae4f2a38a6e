#!/bin/sh
# The manual as HTML, in a directory: docs/man, or one to compare with it. Needs mandoc.
# usage: html.sh DIRECTORY
#
# What mandoc writes differs a little from version to version. `renderer` says which one
# has made the pages: a checksum of what it makes of probe.mdoc.
set -eu

here=$(dirname "$0")
to=$1
mkdir -p "$to"

render() {
	mandoc -Thtml -I os=libkw -O man=%N.%S.html,style=style.css "$1"
}

# Links to pages that are not here are none.
own=$(cd "$here" && echo *.[0-9] | sed 's/\./\\./g; s/ /|/g')
unlink_others() {
	sed -E -e "s,<a class=\"Xr\" (href=\"($own)\.html\"),<a own \1,g" \
		-e 's,<a class="Xr" href="[^"]*">([^<]*)</a>,<span class="Xr">\1</span>,g' \
		-e 's,<a own ,<a class="Xr" ,g'
}

for page in "$here"/*.[0-9]; do
	render "$page" | unlink_others >"$to/$(basename "$page").html"
done
render "$here/probe.mdoc" | cksum >"$to/renderer"
