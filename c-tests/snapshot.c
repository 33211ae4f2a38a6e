/* kw_save() and `since`: what changed while the program was not running. */
#if defined(__linux__)
#define _XOPEN_SOURCE 700 /* pwrite, truncate */
#endif
#include "sandbox.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static kw_watch number;
static replica *mirror;
static int ready, moved;

static void reflect(const kw_event *e)
{
    ready += e->kind == KW_READY;
    moved += e->kind == KW_MOVED;
    replica_apply(mirror, e);
}

static int add(kw_handle *h, const char *since)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    options.flags = KW_RECURSIVE;
    options.since = since;
    return kw_add(h, "tree", &options, &number);
}

static void stop(kw_handle *h)
{
    drain(h);
    is(kw_save(h, number, "saved"), KW_OK, "kw_save()");
    kw_free(h);
}

/* As a program that goes on where it was. */
static kw_handle *go_on(void)
{
    kw_handle *h = open_handle();
    ready = moved = 0;
    is(add(h, "saved"), KW_OK, "kw_add() with what was saved");
    ok(readable(h, 0), "  there is something to do at once");
    drain(h);
    is(ready, 1, "  KW_READY comes once");
    is(replica_differences(mirror), 0, "  what was told makes of the tree as it was the tree as it is");
    return h;
}

static void overwrite(const char *path, long at, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || pwrite(fd, bytes, n, at) != (ssize_t)n || close(fd) != 0)
        die("overwrite %s", path);
}

static void changes(void)
{
    for (int i = 0; i < 30; i++) {
        make_dir(fmt("tree/%d", i));
        for (int j = 0; j < 30; j++)
            write_file(fmt("tree/%d/%d", i, j), "x");
    }
    kw_handle *h = open_handle();
    is(add(h, NULL), KW_OK, "kw_add()");
    mirror = replica_of("tree");
    on_event = reflect;
    write_file("tree/0/new", "x");
    stop(h);

    for (int i = 0; i < 30; i += 3)
        rename_to(fmt("tree/%d", i), fmt("tree/%d/moved", i + 1));
    for (int i = 2; i < 30; i += 3) {
        append(fmt("tree/%d/3", i), "more");
        remove_file(fmt("tree/%d/4", i));
        rename_to(fmt("tree/%d/5", i), fmt("tree/%d/moved/five", i - 1));
    }
    remove_tree("tree/29");
    h = go_on();
    ok(moved >= 10, "  moves are told as moves: %d", moved);

    write_file("tree/28/more", "x");
    expect(h, "what follows is told as ever", "CREATED 28/more\n");
    stop(h);
    h = go_on();
    stop(h);

    /* The tree is another one. */
    remove_tree("tree");
    make_dir("tree");
    write_file("tree/f", "x");
    h = go_on();
    stop(h);
    replica_free(mirror);
    on_event = NULL;
}

static void refused(const char *file, int code, const char *what)
{
    kw_error e = KW_ERROR_INIT;
    kw_handle *h = open_handle();
    is(add(h, file), code, what);
    kw_last_error(h, &e);
    ok(strcmp(e.path, file) == 0, "  and named: %s: %s", e.path, e.operation);
    is(add(h, NULL), KW_OK, "  all it costs is a crawl");
    kw_free(h);
}

static void refusals(void)
{
    struct stat s;
    kw_event e[2];
    kw_handle *h = open_handle();

    is(add(h, NULL), KW_OK, "kw_add()");
    is(kw_save(h, number, NULL), KW_E_INVALID, "to no file");
    is(kw_save(h, number, ""), KW_E_NOT_FOUND, "to a file without a name");
    is(kw_save(h, number + 1, "saved"), KW_E_NO_WATCH, "no such watch");
    is(kw_save(h, number, "none/saved"), KW_E_NOT_FOUND, "no such directory");
    ok(kw_save(h, number, "tree") < 0, "a directory is not replaced");
    is(kw_save(NULL, number, "saved"), KW_E_INVALID, "no handle");
    write_file("tree/a", "x");
    write_file("tree/b", "x");
    is(kw_poll(h, e, 1, 1000), 1, "one of two events");
    is(kw_save(h, number, "saved"), KW_E_BUSY, "not while events wait");
    is(kw_poll(h, e, 1, 1000), 1, "the other one");
    is(kw_save(h, number, "saved"), KW_OK, "but then");
    ok(stat("saved", &s) == 0 && (s.st_mode & 0777) == 0600, "only its owner may read it");

    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    options.flags = KW_RECURSIVE | KW_INITIAL;
    options.since = "saved";
    is(kw_add(h, "tree", &options, NULL), KW_E_INVALID, "first sight and `since`");
    options.flags = KW_RECURSIVE;
    is(kw_add(h, "nowhere", &options, NULL), KW_E_NOT_FOUND, "a root that is not there");
    kw_free(h);

    refused("not there", KW_E_NOT_FOUND, "no such file");
    write_file("foreign", "not a snapshot, but as long as many a one would be");
    refused("foreign", KW_E_SNAPSHOT, "another program's file");
    write_file("empty", "");
    refused("empty", KW_E_SNAPSHOT, "an empty file");
    long size = (long)s.st_size;
    overwrite("saved", size / 2, "\xa5\x5a\xa5", 3);
    refused("saved", KW_E_SNAPSHOT, "one that is damaged");
    if (truncate("saved", size / 2) != 0)
        die("truncate");
    refused("saved", KW_E_SNAPSHOT, "one that is cut short");
}

int main(void)
{
    sandbox();
    changes();
    refusals();
    return done();
}
