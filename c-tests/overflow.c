/* The kernel loses notifications; the stream stays true. Linux, whose queue has
 * a length that can be exceeded. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <sys/stat.h>

static replica *mirror;
static char last_kind[64];

static void reflect(const kw_event *e)
{
    replica_apply(mirror, e);
    describe(e, last_kind, sizeof last_kind);
}

/* More notifications than the queue can hold, at no cost to the tree. The kernel
 * merges a notification with an equal one before it: so two files take turns. */
static void fill_queue(long length)
{
    for (long i = 0; i < length / 2 + 1000; i++) {
        if (chmod("tree/even", i % 2 ? 0600 : 0640) != 0 ||
            chmod("tree/odd", i % 2 ? 0600 : 0640) != 0)
            die("chmod");
    }
}

int main(void)
{
    long length = 0;
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    if (limit == NULL)
        skip_all("this system has no queue whose length is known");
    if (fscanf(limit, "%ld", &length) != 1 || length > 200000)
        length = 0;
    fclose(limit);
    if (length == 0)
        skip_all("fs.inotify.max_queued_events is too large to be exceeded");

    sandbox();
    write_file("tree/even", "");
    write_file("tree/odd", "");
    write_file("tree/written", "old");
    write_file("tree/deleted", "");
    write_file("tree/renamed", "12345");
    make_dir("tree/dir");
    make_dir("tree/dir/sub");
    write_file("tree/dir/sub/f", "x");
    mirror = replica_of("tree");
    on_event = reflect;
    kw_handle *h = watch_tree();

    fill_queue(length);
    append("tree/written", "new");
    remove_file("tree/deleted");
    rename_to("tree/renamed", "tree/new-name");
    rename_to("tree/dir", "tree/moved");
    write_file("tree/moved/sub/g", "made after the queue was full");
    make_dir("tree/late");
    write_file("tree/late/f", "too");

    char *text = strdup(drain(h));
    ok(strstr(text, "RESCANNED .\n") != NULL, "the loss is reported");
    is_text(last_kind, "RESCANNED .", "  after the differences");
    ok(strstr(text, "MODIFIED written\n") != NULL, "what was written meanwhile is reported");
    ok(strstr(text, "DELETED deleted\n") != NULL, "what was deleted");
    ok(strstr(text, "MOVED renamed -> new-name\n") != NULL, "what was renamed");
    ok(strstr(text, "MOVED dir/ -> moved/\n") != NULL, "a directory that was renamed");
    ok(strstr(text, "CREATED moved/sub/g\n") != NULL, "what was made in it");
    ok(strstr(text, "CREATED late/\n") != NULL && strstr(text, "CREATED late/f\n") != NULL,
       "what was made beside it");
    is(replica_differences(mirror), 0, "the events lead to what is on the disk");
    free(text);

    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    ok(s.overflows >= 1, "the loss is counted");
    ok(s.rescans >= 1, "and so is the rescan");

    write_file("tree/moved/sub/g", "after");
    write_file("tree/late/g", "after");
    expect_in_any_order(h, "afterwards all is as before", "CREATED late/g\nMODIFIED moved/sub/g\n");
    is(replica_differences(mirror), 0, "and still true");
    kw_free(h);
    replica_free(mirror);
    return done();
}
