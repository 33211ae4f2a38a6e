#!/bin/sh
# Checks the manual: that mandoc has nothing to say against it, that its examples
# compile, that it has the prototypes, constants and members of kw.h, and that docs/man is
# made from it. The environment is that of every check.sh. TAP on standard output.
set -u

work=$BUILD/man-check
rm -rf "$work"
mkdir -p "$work"
header=include/kw.h
count=0 failed=0

try() {
	label=$1
	shift
	count=$((count + 1))
	if "$@" >"$work/said" 2>&1; then
		echo "ok $count - $label"
	else
		echo "not ok $count - $label"
		sed 's/^/# /' "$work/said"
		failed=$((failed + 1))
	fi
}

# --- With nothing but a C compiler --------------------------------------------------

strict="-std=c11 -D_XOPEN_SOURCE=700 -Wall -Wextra -pedantic -Werror"
compiles() {
	$CC $strict ${CFLAGS-} -Iinclude -c "$1" -o "$work/example.o"
}

# What stands in the literal displays of EXAMPLES.
example() {
	awk '/^\.Sh/ { in_examples = /EXAMPLES/ }
		/^\.Ed/ { in_code = 0 }
		in_code { print }
		in_examples && /^\.Bd -literal/ { in_code = 1 }' "$1" |
		sed 's/\\(aq/'"'"'/g; s/\\(dq/"/g; s/\\-/-/g; s/\\&//g; s/\\e/\\/g'
}

# The prototypes of SYNOPSIS, as C: a compiler says whether they are those of kw.h.
synopsis() {
	awk '/^\.Sh/ { in_synopsis = /SYNOPSIS/ }
		!in_synopsis { next }
		/^\.Ft / { sub(/^\.Ft /, ""); type = $0 }
		/^\.Fo / { sub(/^\.Fo /, ""); name = $0; arguments = "" }
		/^\.Fa / { gsub(/^\.Fa |"/, ""); arguments = arguments (arguments ? ", " : "") $0 }
		/^\.Fc/ { print type " " name "(" arguments ");" }
		/^\.Fn / { sub(/^\.Fn /, ""); name = $1; sub(/^[^ ]* /, "")
			gsub(/" "/, ", "); gsub(/"/, ""); print type " " name "(" $0 ");" }' "$1"
}

for page in man/*.3; do
	name=$(basename "$page" .3)
	example "$page" >"$work/$name-example.c"
	try "$name(3): there is an example" test -s "$work/$name-example.c"
	try "$name(3): it compiles" compiles "$work/$name-example.c"
	if [ "$name" != kw ]; then
		{
			echo '#include <kw.h>'
			synopsis "$page"
			# And it is there at all.
			echo "void *address(void); void *address(void) { return (void *)(uintptr_t)$name; }"
		} >"$work/$name-synopsis.c"
		try "$name(3): it is declared" grep -q "[ *]$name(.*);\$" "$work/$name-synopsis.c"
		try "$name(3): as in kw.h" compiles "$work/$name-synopsis.c"
	fi
done

sed -n 's/^\.Dl \(kwatch .*\)/\1/p; s/^\.Dl \(test .*\)/\1/p' man/kwatch.1 |
	sed 's/\\(aq/'"'"'/g; s/\\-/-/g' >"$work/kwatch-examples.sh"
example man/kwatch.1 >>"$work/kwatch-examples.sh"
try "kwatch(1): there are examples" grep -q kwatch "$work/kwatch-examples.sh"
try "kwatch(1): a shell can read them" sh -n "$work/kwatch-examples.sh"

# Each function has a page, each constant and member is spoken of.
complete() {
	missing=0
	for function in $(sed -n 's/^[a-z].*[ *]\(kw_[a-z_]*\)(.*/\1/p' "$header" | sort -u); do
		[ -f "man/$function.3" ] || {
			echo "there is no man/$function.3"
			missing=1
		}
		grep -q -w "Xr $function 3" man/kw.3 || {
			echo "kw(3) does not name $function(3)"
			missing=1
		}
	done
	return $missing
}
try "each function has a page" complete

constants() {
	missing=0
	for constant in $(sed -n 's/^#define \(KW_[A-Z0-9_]*\).*/\1/p' "$header" | sort -u); do
		[ "$constant" = KW_H ] && continue
		grep -q -w "$constant" man/*.3 || {
			echo "$constant is not mentioned"
			missing=1
		}
	done
	return $missing
}
try "each constant is mentioned" constants

# TYPE MEMBER, for each member of a struct.
members() {
	awk '/^typedef struct kw_[a-z_]* \{/ { type = $3; next }
		/^}/ { type = "" }
		/\/\*/ { comment = 1 }
		type && !comment && /;$/ { sub(/\[[0-9]*\]/, ""); gsub(/[*;]/, ""); print type, $NF }
		/\*\// { comment = 0 }' "$header"
}
described() {
	missing=0
	members >"$work/members"
	[ -s "$work/members" ] || return 1
	while read -r type member; do
		case $type in
		kw_options) page=kw_open ;;
		kw_watch_options) page=kw_add ;;
		kw_event) page=kw_poll ;;
		kw_stats) page=kw_stats_get ;;
		kw_error) page=kw_last_error ;;
		*) page=none ;;
		esac
		grep -q "^\\.It Fa.*[ *]$member[]\"[]" "man/$page.3" || {
			echo "$type.$member is not described in $page(3)"
			missing=1
		}
	done <"$work/members"
	return $missing
}
try "each member of a struct is described" described

# --- With mandoc --------------------------------------------------------------------

if command -v mandoc >/dev/null 2>&1; then
	for page in man/*.[0-9] man/probe.mdoc; do
		try "mandoc has nothing against $page" mandoc -Tlint -Wwarning "$page"
	done
	try "it can be made HTML" sh man/html.sh "$work/html"
	cp docs/man/style.css "$work/html"
	if cmp -s "$work/html/renderer" docs/man/renderer; then
		try "docs/man is up to date (man/html.sh docs/man makes it so)" \
			diff -r docs/man "$work/html"
	else
		echo "skipped: docs/man: this is another version of mandoc than made it"
	fi
else
	echo "skipped: lint and HTML: no mandoc"
fi

echo "1..$count"
[ "$failed" -eq 0 ]
