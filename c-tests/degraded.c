/* The kernel's watches run out. Linux, in a user namespace, which can have a
 * limit of its own: nobody else is short of them. */
#define _GNU_SOURCE
#include "sandbox.h"

#ifndef __linux__
int main(void)
{
    skip_all("limits a user namespace as Linux does");
    return 0;
}
#else
#include "namespace.h"

static replica *mirror;

static void reflect(const kw_event *e)
{
    replica_apply(mirror, e);
}

/* Whether events come, sooner or later, among which are both of these. */
static int drain_until(kw_handle *h, const char *one, const char *other)
{
    char all[8192] = "";
    long until = now_ms() + 20000;
    int both = 0;
    while (!both && now_ms() < until) {
        readable(h, 1000);
        strncat(all, drain(h), sizeof all - strlen(all) - 1);
        both = strstr(all, one) != NULL && strstr(all, other) != NULL;
    }
    return both;
}

int main(void)
{
    enter_namespace(0);
    if (!set("/proc/sys/user/max_inotify_watches", "12"))
        skip_all(fmt("a user namespace's limits cannot be set: %s", strerror(errno)));

    sandbox();
    for (int i = 0; i < 20; i++) {
        make_dir(fmt("tree/d%02d", i));
        write_file(fmt("tree/d%02d/f", i), "x");
    }
    mirror = replica_of("tree");
    on_event = reflect;
    kw_handle *h = watch_tree();
    expect(h, "there are not enough watches, which is said once", "DEGRADED .\n");
    expect(h, "  and not again", "");
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    ok(s.polled > 0, "%d entries are polled", (int)s.polled);
    is(s.watches, 1, "the watch stands");

    for (int i = 0; i < 20; i++)
        append(fmt("tree/d%02d/f", i), "y");
    write_file("tree/d19/new", "x");
    rename_to("tree/d18", "tree/e18");
    is(kw_sync(h, -1), KW_OK, "kw_sync() has them looked at");
    drain(h);
    is(replica_differences(mirror), 0, "and all that happened is reported");

    write_file("tree/d19/later", "x");
    write_file("tree/e18/later", "x");
    /* (A round of looks may come between the one and the other.) */
    ok(drain_until(h, "CREATED d19/later\n", "CREATED e18/later\n"),
       "without it they are looked at before long");
    is(replica_differences(mirror), 0, "which is as true");

    for (int i = 0; i < 17; i++)
        remove_tree(fmt("tree/d%02d", i));
    kw_sync(h, -1);
    drain(h);
    is(replica_differences(mirror), 0, "directories go, and with them their watches");
    kw_free(h);
    replica_free(mirror);
    return done();
}
#endif
