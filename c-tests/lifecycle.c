/* Opening, freeing, versions, and what is answered to misuse. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <errno.h>
#include <limits.h>

static kw_error last_error(const kw_handle *h)
{
    kw_error e = KW_ERROR_INIT;
    is(kw_last_error(h, &e), KW_OK, "  kw_last_error() answers");
    return e;
}

static void versions(void)
{
    is_text(kw_version(), fmt("%d.%d.%d", KW_VERSION_MAJOR, KW_VERSION_MINOR, KW_VERSION_PATCH),
            "the library is of the header's version");
    is(KW_VERSION, KW_VERSION_MAJOR * 65536 + KW_VERSION_MINOR * 256 + KW_VERSION_PATCH,
       "KW_VERSION is one number");
}

static void texts(void)
{
    for (int code = KW_E_SNAPSHOT; code <= KW_OK; code++) {
        ok(strcmp(kw_strerror(code), kw_strerror(-1000)) != 0, "code %d has a text: %s", code,
           kw_strerror(code));
        for (int other = KW_E_SNAPSHOT; other < code; other++)
            if (strcmp(kw_strerror(code), kw_strerror(other)) == 0)
                ok(0, "codes %d and %d have the same text", code, other);
    }
    is_text(kw_strerror(17), kw_strerror(KW_OK), "a count is success");
    ok(kw_strerror(INT_MIN)[0] != '\0' && kw_strerror(INT_MAX)[0] != '\0',
       "any number has a text");
}

static void opening(void)
{
    kw_options options = KW_OPTIONS_INIT;
    kw_handle *h = (kw_handle *)&options;

    is(kw_open(NULL, NULL), KW_E_INVALID, "kw_open: nowhere to store the handle");
    is(last_error(NULL).status, KW_E_INVALID, "  and the thread's last error is that");

    options.size = 3;
    is(kw_open(&options, &h), KW_E_INVALID, "kw_open: options of a wrong size");
    ok(h == NULL, "  and the handle is NULL");
    ok(last_error(NULL).operation[0] != '\0', "  and it says what was being done");

    options = (kw_options)KW_OPTIONS_INIT;
    options.flags = 1u << 31;
    is(kw_open(&options, &h), KW_E_INVALID, "kw_open: unknown flags");
    options = (kw_options)KW_OPTIONS_INIT;
    options.flags = KW_POLL_ONLY;
    options.watch_limit = 1;
    is(kw_open(&options, &h), KW_E_INVALID, "kw_open: a watch is allowed where none is wanted");
    options = (kw_options)KW_OPTIONS_INIT;
    options.reserved = 1;
    is(kw_open(&options, &h), KW_E_INVALID, "kw_open: a reserved field is used");
    options = (kw_options)KW_OPTIONS_INIT;
    options.crawl_threads = UINT32_MAX;
    is(kw_open(&options, &h), KW_OK, "kw_open: more threads than there can be");
    kw_free(h);
    options = (kw_options)KW_OPTIONS_INIT;
    options.watch_limit = KW_NO_LIMIT;
    is(kw_open(&options, &h), KW_OK, "kw_open: no limit, in so many words");
    kw_free(h);

    /* A program that was compiled with a later header. */
    struct {
        kw_options known;
        uint64_t later;
    } newer = {KW_OPTIONS_INIT, 0};
    newer.known.size = sizeof newer;
    is(kw_open(&newer.known, &h), KW_OK, "kw_open: a later option that is not used");
    kw_free(h);
    newer.later = 1;
    is(kw_open(&newer.known, &h), KW_E_INVALID, "kw_open: a later option that is used");

    /* And one that was compiled with an earlier one. */
    options = (kw_options)KW_OPTIONS_INIT;
    options.size = offsetof(kw_options, watch_limit);
    options.watch_limit = 1; /* was not there */
    is(kw_open(&options, &h), KW_OK, "kw_open: the options as they were at first");
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    ok(s.watch_limit == KW_NO_LIMIT, "  nothing is read beyond them");
    kw_free(h);

    options = (kw_options)KW_OPTIONS_INIT;
    is(kw_open(&options, &h), KW_OK, "kw_open: the default options");
    is(last_error(h).status, KW_OK, "a new handle has no error");
    is_text(drain(h), "", "a handle without watches has no events");
    kw_free(h);
}

static void adding(void)
{
    kw_handle *h = open_handle();
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_watch watch = -7;
    kw_error e;
    char longest[8192];

    is(kw_add(h, NULL, NULL, &watch), KW_E_INVALID, "kw_add: no path");
    is(kw_add(h, "", NULL, &watch), KW_E_NOT_FOUND, "kw_add: an empty path");
    options.size = 1;
    is(kw_add(h, "tree", &options, &watch), KW_E_INVALID, "kw_add: options of a wrong size");
    options = (kw_watch_options)KW_WATCH_OPTIONS_INIT;
    options.flags = KW_RECURSIVE | 1u << 20;
    is(kw_add(h, "tree", &options, &watch), KW_E_INVALID, "kw_add: unknown flags");
    options = (kw_watch_options)KW_WATCH_OPTIONS_INIT;
    options.events = KW_ALL_EVENTS + 1;
    is(kw_add(h, "tree", &options, &watch), KW_E_INVALID, "kw_add: unknown kinds of events");

    is(kw_add(h, "tree/nothing", NULL, &watch), KW_E_NOT_FOUND, "kw_add: nothing is there");
    e = last_error(h);
    is(e.status, KW_E_NOT_FOUND, "  its status");
    is(e.sys_errno, ENOENT, "  its errno");
    is_text(e.path, "tree/nothing", "  its path");
    is(e.path_len, strlen("tree/nothing"), "  and the path's length");
    ok(e.operation[0] != '\0', "  and what was being done: %s", e.operation);

    write_file("tree/file", "");
    is(kw_add(h, "tree/file/below", NULL, &watch), KW_E_NOT_FOUND, "kw_add: below a file");
    is(last_error(h).sys_errno, ENOTDIR, "  its errno");

    make_symlink("loop", "tree/loop");
    ok(kw_add(h, "tree/loop", NULL, &watch) < 0, "kw_add: a symbolic link to itself");
    is(last_error(h).sys_errno, ELOOP, "  its errno");

    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    is(kw_add(h, longest, NULL, &watch), KW_E_TOO_LONG, "kw_add: a path that is too long");
    e = last_error(h);
    is(e.sys_errno, ENAMETOOLONG, "  its errno");
    is(e.path_len, sizeof longest - 1, "  its length, in full");
    is(strlen(e.path), sizeof e.path - 1, "  and as much of it as there is room for");

    is(watch, -7, "no call that failed has stored a watch");
    is(kw_add(h, "tree", NULL, NULL), KW_OK, "kw_add: the number is not wanted");
    is(kw_add(h, "tree", NULL, &watch), KW_OK, "kw_add: the number is wanted");
    ok(watch > 0, "  and is greater than 0");
    is(last_error(h).status, KW_E_TOO_LONG, "success does not clear the last error");

    is(kw_remove(h, 0), KW_E_NO_WATCH, "kw_remove: no watch has the number 0");
    is(kw_remove(h, watch + 1), KW_E_NO_WATCH, "kw_remove: a number that was not given");
    is(kw_remove(h, watch), KW_OK, "kw_remove");
    is(kw_remove(h, watch), KW_E_NO_WATCH, "kw_remove: a second time");
    kw_watch later = add_watch(h, "tree", 0);
    ok(later > watch, "a number is not used twice");
    kw_free(h);
}

static void polling(void)
{
    kw_handle *h = open_handle();
    kw_event e[2];
    is(kw_poll(h, NULL, 2, 0), KW_E_INVALID, "kw_poll: no array");
    is(kw_poll(h, e, 0, 0), KW_E_INVALID, "kw_poll: no room");
    is(kw_poll(h, e, SIZE_MAX, 0), KW_E_INVALID, "kw_poll: more room than there can be");
    is(kw_poll(h, e, 2, -2), KW_E_INVALID, "kw_poll: a timeout less than -1");
    is(kw_sync(h, -2), KW_E_INVALID, "kw_sync: a timeout less than -1");
    is(kw_sync(h, 0), KW_OK, "kw_sync");
    is(kw_poll(h, e, 2, 0), 0, "kw_poll");
    kw_free(h);
}

static void asking(void)
{
    kw_handle *h = watch_tree();
    kw_stats s = KW_STATS_INIT;
    kw_error e = KW_ERROR_INIT;

    is(kw_stats_get(h, NULL), KW_E_INVALID, "kw_stats_get: nowhere to store them");
    s.size = 0;
    is(kw_stats_get(h, &s), KW_E_INVALID, "kw_stats_get: a wrong size");
    s = (kw_stats)KW_STATS_INIT;
    is(kw_stats_get(h, &s), KW_OK, "kw_stats_get");
    is(s.size, sizeof s, "  leaves the size as it was");
    ok(strcmp(s.engine, "inotify") == 0 || strcmp(s.engine, "kqueue") == 0, "  engine: %s",
       s.engine);
    is(s.watches, 1, "  one watch");
    ok(s.entries >= 1 && s.kernel_watches >= 1 && s.descriptors >= 1 && s.waits == 0,
       "  entries, kernel watches and descriptors are counted");
    ok(s.descriptor_limit > 0, "  the limit on descriptors is known");
    ok(s.polled == 0 && s.watch_limit == KW_NO_LIMIT && s.rounds == 0 && s.limited_by[0] == '\0',
       "  nothing is polled, and no limit set");
    s.size = offsetof(kw_stats, watch_limit); /* as it was at first */
    s.watch_limit = 5;
    is(kw_stats_get(h, &s), KW_OK, "  of an older header");
    ok(s.size == offsetof(kw_stats, watch_limit) && s.watch_limit == 5, "  what that does not know is left alone");
    s = (kw_stats)KW_STATS_INIT;
    kw_stats_get(h, &s);
    is(s.last_errno, 0, "  no errno");
    ok(kw_add(h, "nothing", NULL, NULL) < 0 && kw_stats_get(h, &s) == KW_OK, "a failed call");
    is(s.last_errno, ENOENT, "  leaves its errno");

    is(kw_last_error(h, NULL), KW_E_INVALID, "kw_last_error: nowhere to store it");
    e.size = 5;
    is(kw_last_error(h, &e), KW_E_INVALID, "kw_last_error: a wrong size");
    kw_free(h);
}

/* Every function, with something that is not a handle. */
static void not_a_handle(kw_handle *no, const char *what)
{
    kw_event event;
    kw_stats stats = KW_STATS_INIT;
    kw_error error = KW_ERROR_INIT;
    kw_watch watch;

    is(kw_add(no, "tree", NULL, &watch), KW_E_INVALID, fmt("kw_add: %s", what));
    is(kw_remove(no, 1), KW_E_INVALID, fmt("kw_remove: %s", what));
    is(kw_poll(no, &event, 1, 0), KW_E_INVALID, fmt("kw_poll: %s", what));
    is(kw_wake(no), KW_E_INVALID, fmt("kw_wake: %s", what));
    is(kw_fd(no), KW_E_INVALID, fmt("kw_fd: %s", what));
    is(kw_set_watch_limit(no, 1), KW_E_INVALID, fmt("kw_set_watch_limit: %s", what));
    is(kw_stats_get(no, &stats), KW_E_INVALID, fmt("kw_stats_get: %s", what));
    is(kw_sync(no, 0), KW_E_INVALID, fmt("kw_sync: %s", what));
    if (no != NULL) /* NULL asks for the thread's last error */
        is(kw_last_error(no, &error), KW_E_INVALID, fmt("kw_last_error: %s", what));
    is(last_error(NULL).status, KW_E_INVALID, "  the thread's last error");
    kw_free(no);
    ok(1, "kw_free: %s is ignored", what);
}

int main(void)
{
    int foreign[64] = {0};

    sandbox();
    versions();
    texts();
    opening();
    adding();
    polling();
    asking();

    kw_handle *freed = open_handle();
    kw_handle *other = watch_tree();
    kw_free(freed);
    not_a_handle(NULL, "NULL");
    not_a_handle(freed, "a freed handle");
    not_a_handle((kw_handle *)foreign, "a foreign pointer");
    not_a_handle((kw_handle *)(uintptr_t)1, "an impossible pointer");

    write_file("tree/f", "x");
    expect(other, "another handle is none the worse for it", "CREATED f\n");
    kw_free(other);
    return done();
}
