/* First sight: KW_INITIAL. */
#include "sandbox.h"

#include <string.h>

enum { DIRECTORIES = 40, FILES = 60 };

static replica *mirror;
static int initial, others, ready, early;

static void reflect(const kw_event *e)
{
    replica_apply(mirror, e);
    if (e->flags & KW_INITIAL)
        initial++;
    else if (e->kind == KW_READY)
        ready++;
    else
        others++;
    early += ready > 0 && e->flags & KW_INITIAL;
}

static kw_handle *watch_initially(uint32_t events)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_handle *h = open_handle();
    options.flags = KW_RECURSIVE | KW_INITIAL;
    options.events = events;
    if (kw_add(h, "tree", &options, NULL) != KW_OK)
        die("kw_add");
    return h;
}

int main(void)
{
    sandbox();
    for (int i = 0; i < DIRECTORIES; i++) {
        make_dir(fmt("tree/%d", i));
        for (int j = 0; j < FILES; j++)
            write_file(fmt("tree/%d/%d", i, j), "x");
    }
    mirror = empty_replica_of("tree");
    on_event = reflect;

    kw_handle *h = watch_initially(0);
    ok(readable(h, 0), "there is something to be told at once");
    kw_event first[3];
    is(kw_poll(h, first, 3, -1), 3, "a few of it");
    ok(first[0].kind == KW_ROOT_BACK && first[0].root_len == first[0].path_len, "  the root");
    ok(first[1].kind == KW_CREATED && first[1].flags == (KW_IS_DIR | KW_INITIAL) &&
           first[1].inode != 0 && first[1].mtime_ns != 0,
       "  a directory in it, as it was found");
    for (int i = 0; i < 3; i++)
        reflect(&first[i]);
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    is(s.entries, DIRECTORIES * (FILES + 1) + 1, "all of it is known already");

    /* Much happens before the rest is told. */
    for (int i = 0; i < DIRECTORIES; i += 3)
        remove_tree(fmt("tree/%d", i));
    rename_to("tree/1", "tree/new");
    append("tree/2/0", "y");
    write_file("tree/new/new", "x");
    drain(h);
    is(initial, DIRECTORIES * (FILES + 1) + 1, "every entry is told, also what went meanwhile");
    is(ready, 1, "  that this was all, once");
    is(early, 0, "  and when it was");
    ok(others > 0, "  and then what happened");
    is(replica_differences(mirror), 0, "which makes a mirror from nothing");
    kw_free(h);
    replica_free(mirror);

    on_event = NULL;
    remove_tree("tree");
    make_dir("tree");
    write_file("tree/f", "x");
    h = watch_initially(KW_CREATED | KW_READY);
    expect(h, "of kinds that are not wanted nothing is told", "CREATED f\nREADY .\n");
    kw_free(h);
    return done();
}
