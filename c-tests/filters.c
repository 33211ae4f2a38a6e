/* What is excluded: globs, levels, hidden files, directories alone. */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static kw_watch_options options;

static kw_handle *watch_filtered(const char *const *exclude, const char *const *include)
{
    kw_handle *h = open_handle();
    options.exclude = exclude;
    options.include = include;
    is(kw_add(h, "tree", &options, NULL), KW_OK, "kw_add");
    return h;
}

static void begin(uint32_t flags)
{
    kw_watch_options fresh = KW_WATCH_OPTIONS_INIT;
    options = fresh;
    options.flags = KW_RECURSIVE | flags;
    remove_tree("tree");
    make_dir("tree");
}

static uint64_t entries(const kw_handle *h)
{
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    return s.entries;
}

static uint64_t kernel_watches(const kw_handle *h)
{
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    return s.kernel_watches;
}

/* The point of it: what is excluded costs nothing. */
static void excluded_directories_cost_nothing(void)
{
    const char *const exclude[] = {"node_modules/", "*.o", NULL};

    begin(0);
    make_dir("tree/src");
    write_file("tree/src/a.c", "x");
    write_file("tree/src/a.o", "x");
    kw_handle *h = watch_filtered(exclude, NULL);
    uint64_t few = kernel_watches(h);
    kw_free(h);
    make_dir("tree/node_modules");
    for (int i = 0; i < 100; i++) {
        make_dir(fmt("tree/node_modules/%d", i));
        write_file(fmt("tree/node_modules/%d/f", i), "x");
    }
    h = watch_filtered(exclude, NULL);
    is(entries(h), 3, "the root, a directory and a file are known");
    is(kernel_watches(h), few, "nothing else is watched");

    kw_stats before = KW_STATS_INIT, after = KW_STATS_INIT;
    kw_stats_get(h, &before);
    append("tree/src/a.o", "y");
    append("tree/node_modules/7/f", "y");
    remove_tree("tree/node_modules/8");
    expect(h, "what happens to it is not reported", "");
    kw_stats_get(h, &after);
    is(after.stats, before.stats, "nor looked at");
    rename_to("tree/src/a.o", "tree/src/a.so");
    expect(h, "it gets a name that is not excluded", "CREATED src/a.so\n");
    rename_to("tree/src", "tree/node_modules/src");
    expect_in_any_order(h, "a directory goes there",
                        "DELETED src/\nDELETED src/a.c\nDELETED src/a.so\n");
    kw_free(h);
}

static void paths(void)
{
    const char *const exclude[] = {"/build", "docs/**", NULL};
    const char *const include[] = {"*.c", "docs/*", NULL};

    begin(0);
    make_dir("tree/docs");
    kw_handle *h = watch_filtered(exclude, include);
    make_dir("tree/build");
    write_file("tree/build/a.c", "x");
    make_dir("tree/src");
    make_dir("tree/src/build");
    write_file("tree/src/build/a.c", "x");
    write_file("tree/src/build/a.h", "x");
    write_file("tree/docs/a.c", "x");
    expect_in_any_order(h, "by path and by name",
                        "CREATED src/\nCREATED src/build/\nCREATED src/build/a.c\n");
    rename_to("tree/src/build", "tree/build2");
    expect(h, "a directory moves on", "MOVED src/build/ -> build2/\n");
    remove_tree("tree/build");
    rename_to("tree/build2", "tree/build");
    expect_in_any_order(h, "and to a path that is excluded",
                        "DELETED build2/\nDELETED build2/a.c\n");
    kw_free(h);
}

static void levels(void)
{
    begin(0);
    make_dir("tree/a");
    make_dir("tree/a/b");
    write_file("tree/a/b/f", "x");
    options.depth = 2;
    kw_handle *h = watch_filtered(NULL, NULL);
    append("tree/a/b/f", "y");
    write_file("tree/a/f", "x");
    expect(h, "two levels", "CREATED a/f\n");
    rename_to("tree/a/b", "tree/b");
    expect_in_any_order(h, "one level up: its entries are known now",
                        "CREATED b/f\nMOVED a/b/ -> b/\n");
    append("tree/b/f", "z");
    expect(h, "and followed", "MODIFIED b/f\n");
    kw_free(h);
}

static void kinds(void)
{
    begin(KW_DIRS_ONLY | KW_SKIP_HIDDEN);
    kw_handle *h = watch_filtered(NULL, NULL);
    make_dir("tree/d");
    make_dir("tree/.d");
    make_dir("tree/.d/e");
    write_file("tree/f", "x");
    write_file("tree/d/f", "x");
    expect(h, "directories that are not hidden", "CREATED d/\n");
    kw_free(h);
}

static void gitignore(void)
{
    begin(KW_GITIGNORE);
    make_dir("tree/target");
    make_dir("tree/.git");
    make_dir("tree/src");
    for (int i = 0; i < 100; i++)
        make_dir(fmt("tree/target/%d", i));
    write_file("tree/.gitignore", "# built\n*.o\n/target/\n!keep.o\n");
    write_file("tree/src/a.o", "x");
    age("tree/.gitignore");
    kw_handle *h = watch_filtered(NULL, NULL);
    is(entries(h), 3, "the root, a directory and .gitignore are known");
    expect(h, "nothing has happened", "");
    kw_stats before = KW_STATS_INIT, after = KW_STATS_INIT;
    kw_stats_get(h, &before);
    append("tree/src/a.o", "y");
    append("tree/.git/HEAD", "y");
    write_file("tree/target/1/f", "y");
    make_dir("tree/target/new");
    expect(h, "what git ignores is not reported", "");
    kw_stats_get(h, &after);
    is(after.stats, before.stats, "nor looked at");
    /* (Of a directory in which something came a kqueue says no more than that.) */
    if (strcmp(after.engine, "inotify") == 0)
        is(after.listings, before.listings, "nor listed");

    write_file("tree/src/keep.o", "y");
    write_file("tree/target.o", "y");
    expect(h, "what is included again is reported", "CREATED src/keep.o\n");
    write_file("tree/src/.gitignore", "!a.o\nsub\n");
    make_dir("tree/src/sub");
    expect_in_any_order(h, "a nearer file says otherwise",
                        "CREATED src/.gitignore\nCREATED src/a.o\n");
    write_file("tree/new", "/target/\n");
    rename_to("tree/new", "tree/.gitignore");
    expect_in_any_order(h, "another one is saved atomically",
                        "CREATED target.o\nMODIFIED|REPLACED .gitignore\n");
    remove_file("tree/src/.gitignore");
    expect_in_any_order(h, "and the nearer one removed",
                        "CREATED src/sub/\nDELETED src/.gitignore\n");
    kw_free(h);
}

/* What cannot be used is told, and excludes nothing. */
static void gitignore_that_is_none(void)
{
    char *big = malloc((1 << 20) + 2);
    if (big == NULL)
        return;
    memset(big, 'f', (1 << 20) + 1);
    big[(1 << 20) + 1] = '\0';
    begin(KW_GITIGNORE);
    write_file("tree/f", "x");
    write_file("tree/.gitignore", "\xff\n[\n\\\n  \n!\nf\n");
    kw_handle *h = watch_filtered(NULL, NULL);
    is(entries(h), 2, "lines that are no patterns say nothing");
    write_file("tree/.gitignore", big);
    expect_in_any_order(h, "too long a file",
                        fmt("CREATED f\nERROR .gitignore errno=%d\nMODIFIED .gitignore\n", EFBIG));
    append("tree/.gitignore", "x");
    expect(h, "is complained of once", "MODIFIED .gitignore\n");
    remove_file("tree/.gitignore");
    make_symlink("f", "tree/.gitignore");
    write_file("tree/f", "f\n");
    expect_in_any_order(h, "a link is not followed",
                        "CREATED .gitignore@\nDELETED .gitignore\nMODIFIED f\n");
    remove_file("tree/.gitignore");
    make_dir("tree/.gitignore");
    expect_in_any_order(h, "a directory is one like another",
                        "CREATED .gitignore/\nDELETED .gitignore@\n");
    kw_free(h);
    free(big);
}

static void refusals(void)
{
    const char *const bad[] = {"ok", "a[b", NULL};
    const char *const nothing[] = {NULL};
    kw_error e = KW_ERROR_INIT;
    kw_handle *h = open_handle();

    begin(0);
    options.exclude = bad;
    is(kw_add(h, "tree", &options, NULL), KW_E_INVALID, "what is no pattern is refused");
    kw_last_error(h, &e);
    ok(strcmp(e.path, "a[b") == 0, "and named: %s", e.path);
    options.exclude = options.include = nothing;
    is(kw_add(h, "tree", &options, NULL), KW_OK, "no pattern at all");
    write_file("tree/f", "x");
    expect(h, "excludes nothing", "CREATED f\n");
    options.flags = 0;
    options.depth = 1;
    is(kw_add(h, "tree", &options, NULL), KW_E_INVALID, "a depth without KW_RECURSIVE");
    options.depth = 0;
    options.reserved = 1;
    is(kw_add(h, "tree", &options, NULL), KW_E_INVALID, "reserved is not 0");
    options.reserved = 0;
    options.size = 16;
    options.exclude = bad;
    is(kw_add(h, "tree", &options, NULL), KW_OK, "what is behind the size is not read");
    kw_free(h);
}

int main(void)
{
    sandbox();
    excluded_directories_cost_nothing();
    paths();
    levels();
    kinds();
    gitignore();
    gitignore_that_is_none();
    refusals();
    return done();
}
