/* The library behaves as if the system did what it rarely does. */
#include "sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static kw_handle *open_faulty(const char *faults)
{
    kw_options options = KW_OPTIONS_INIT;
    kw_handle *h = NULL;
    options.faults = faults;
    is(kw_open(&options, &h), KW_OK, "kw_open");
    return h;
}

static kw_stats stats_of(const kw_handle *h)
{
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    return s;
}

static void begin(void)
{
    remove_tree("tree");
    make_dir("tree");
}

static void scripts(void)
{
    static const char *const good[] = {
        "", "\n\n", "# nothing", "overflow after 0", "overflow every 1  # often\nlate 0",
        "refuse *.c\nrefuse a/b EACCES\nfail /x ENOMEM\n",
    };
    static const char *const bad[] = {
        "late", "late x", "late 3600001", "overflow", "overflow every 0", "overflow after -1",
        "refuse", "refuse [", "refuse a ENOSUCH", "fail a EIO b", "Late 1", "\xff",
    };
    kw_options options = KW_OPTIONS_INIT;
    kw_handle *h = NULL;
    kw_error e = KW_ERROR_INIT;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        kw_free(open_faulty(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.faults = fmt("late 1\n%s\nlate 2", bad[i]);
        is(kw_open(&options, &h), KW_E_INVALID, fmt("no fault: %s", bad[i]));
        kw_last_error(NULL, &e);
        ok(h == NULL && strcmp(e.path, bad[i]) == 0, "  is named: %s", e.path);
    }
    /* Behind what the caller knows nothing is read. */
    options.size = offsetof(kw_options, faults);
    is(kw_open(&options, &h), KW_OK, "an older caller");
    kw_free(h);
}

static void overflow(void)
{
    begin();
    kw_handle *h = open_faulty("overflow after 0");
    add_watch(h, "tree", KW_RECURSIVE);
    for (int i = 0; i < 20; i++)
        write_file(fmt("tree/%02d", i), "x");
    const char *told = drain(h);
    ok(strstr(told, "RESCANNED .\n") != NULL, "notifications are lost");
    ok(strstr(told, "CREATED 19\n") != NULL, "and nothing else");
    is(stats_of(h).overflows, 1, "it is counted");
    for (int i = 0; i < 20; i++)
        remove_file(fmt("tree/%02d", i));
    ok(strstr(drain(h), "RESCANNED .\n") == NULL, "once");
    kw_free(h);
}

static void refused(void)
{
    begin();
    make_dir("tree/a");
    make_dir("tree/a/b");
    make_dir("tree/b");
    kw_handle *h = open_faulty("refuse a/b");
    add_watch(h, "tree", KW_RECURSIVE);
    expect(h, "what cannot be watched is polled", "DEGRADED .\n");
    ok(stats_of(h).polled > 0 && stats_of(h).limited_by[0] != '\0', "for some reason: %s",
       stats_of(h).limited_by);
    write_file("tree/b/f", "x");
    expect(h, "what is beside it is watched", "CREATED b/f\n");
    write_file("tree/a/b/f", "x");
    is(kw_sync(h, 0), KW_OK, "kw_sync()");
    expect(h, "what is below it is looked at", "CREATED a/b/f\n");
    rename_to("tree/a/b", "tree/a/c");
    is(kw_sync(h, 0), KW_OK, "kw_sync()");
    ok(strstr(drain(h), "MOVED a/b/ -> a/c/\n") != NULL, "it gets another name");
    is(kw_sync(h, 0), KW_OK, "kw_sync()");
    drain(h);
    write_file("tree/a/c/g", "x");
    is(kw_sync(h, 0), KW_OK, "kw_sync()");
    ok(strstr(drain(h), "CREATED a/c/g\n") != NULL, "under which it can be watched");
    make_dir("tree/a/b");
    write_file("tree/a/b/f", "x");
    ok(strstr(drain(h), "CREATED a/b/f\n") != NULL, "a new one of the old name is crawled");
    kw_free(h);
}

static void failing(void)
{
    begin();
    make_dir("tree/shut");
    write_file("tree/shut/f", "x");
    make_dir("tree/open");
    write_file("tree/open/f", "x");
    kw_handle *h = open_faulty("fail shut\nfail bad ENOMEM");
    add_watch(h, "tree", KW_RECURSIVE);
    ok(strstr(drain(h), fmt("ERROR shut/ errno=%d\n", EIO)) != NULL,
       "a directory that cannot be listed is an error");
    append("tree/open/f", "y");
    expect(h, "what is beside it is not affected", "MODIFIED open/f\n");
    write_file("tree/open/bad", "x");
    ok(strstr(drain(h), fmt("ERROR open/ errno=%d\n", ENOMEM)) != NULL,
       "nor can a file be looked at");
    kw_free(h);

    h = open_faulty("refuse shut EACCES");
    add_watch(h, "tree", KW_RECURSIVE);
    ok(strstr(drain(h), fmt("ERROR shut/ errno=%d\n", EACCES)) != NULL,
       "a directory that may not be read is one, too");
    is(stats_of(h).entries, 5, "what is in it is not known");
    kw_free(h);
}

static void late(void)
{
    kw_event e[4];

    begin();
    kw_handle *h = open_faulty("late 300");
    add_watch(h, "tree", KW_RECURSIVE);
    long begun = now_ms();
    write_file("tree/f", "x");
    is(kw_poll(h, e, 4, 0), 0, "nothing has come yet");
    is(kw_poll(h, e, 4, 20), 0, "nor soon");
    ok(!readable(h, 0), "kw_fd() is at rest");
    is(kw_poll(h, e, 4, -1), 1, "but later");
    ok(now_ms() - begun >= 290, "  by so much");
    write_file("tree/g", "x");
    begun = now_ms();
    is(kw_poll(h, e, 4, 0), 0, "again");
    ok(readable(h, 60 * 1000), "kw_fd() says when");
    ok(now_ms() - begun >= 290, "  not before");
    ok(strstr(drain(h), "CREATED g\n") != NULL, "it is there");
    kw_free(h);
}

static replica *mirror;

static void apply(const kw_event *event)
{
    replica_apply(mirror, event);
}

/* Whatever goes wrong, the events fold to the tree. */
static void everything(const char *faults, unsigned seed)
{
    begin();
    for (int i = 0; i < 4; i++)
        make_dir(fmt("tree/%c", 'a' + i));
    kw_handle *h = open_faulty(faults);
    add_watch(h, "tree", KW_RECURSIVE);
    mirror = replica_of("tree");
    on_event = apply;
    srand(seed);
    for (int i = 0; i < 2000; i++) {
        const char *a = fmt("tree/%c/%c", 'a' + rand() % 4, 'a' + rand() % 4);
        const char *b = fmt("tree/%c/%c", 'a' + rand() % 4, 'a' + rand() % 4);
        switch (rand() % 6) {
        case 0:
            mkdir(a, 0777);
            break;
        case 1:
            rename(a, b);
            break;
        case 2:
            remove(a);
            break;
        case 3:
            rename(a, "tree/a/x");
            rename("tree/a/x", b);
            break;
        default: {
            FILE *f = fopen(a, "a");
            if (f != NULL) {
                fputs("x", f);
                fclose(f);
            }
        }
        }
        if (rand() % 50 == 0)
            drain(h);
    }
    /* As late as notifications are, and one more time for what is polled. */
    for (int i = 0; i < 3; i++) {
        sleep_ms(20);
        kw_sync(h, 0);
        drain(h);
    }
    is(replica_differences(mirror), 0, "the events fold to the tree");
    on_event = NULL;
    replica_free(mirror);
    kw_free(h);
}

int main(void)
{
    sandbox();
    scripts();
    overflow();
    refused();
    failing();
    late();
    for (unsigned seed = 1; seed <= 3; seed++) {
        everything("overflow every 7", seed);
        everything("refuse b\nrefuse a/*", seed);
        everything("late 5", seed);
        everything("overflow every 20\nlate 3\nrefuse c/*", seed);
    }
    return done();
}
