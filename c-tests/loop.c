/* kw_fd() in a loop of the caller's: nothing is lost, and it does not spin. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROUNDS 200

static replica *mirror;
static atomic_int finished;
static int events;

static void reflect(const kw_event *e)
{
    replica_apply(mirror, e);
    events++;
}

/* Seven operations a round, some of them in a rush. */
static void *writer(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        /* Not fmt(): its buffers are the other thread's. */
        char dir[64], file[80], temporary[80];
        snprintf(dir, sizeof dir, "tree/d%d", i % 10);
        snprintf(file, sizeof file, "%s/f%d", dir, i);
        snprintf(temporary, sizeof temporary, "%s/tmp", dir);
        if (i < 10)
            make_dir(dir);
        write_file(file, "x");
        append(file, "yy");
        write_file(temporary, "zzz");
        rename_to(temporary, file);
        if (i % 10 == 9) {
            rename_to("tree/d9", "tree/e9");
            rename_to("tree/e9", "tree/d9");
            sleep_ms(3);
        }
        if (i % 3 == 0)
            remove_file(file);
    }
    finished = 1;
    return NULL;
}

int main(void)
{
    pthread_t thread;
    int woken = 0, for_nothing = 0;

    sandbox();
    mirror = replica_of("tree");
    on_event = reflect;
    kw_handle *h = watch_tree();
    int fd = kw_fd(h);
    ok(fd >= 0, "kw_fd()");

    if (pthread_create(&thread, NULL, writer, NULL) != 0)
        die("pthread_create");
    while (!finished || readable(h, 0)) {
        if (!readable(h, 100))
            continue;
        woken++;
        for_nothing += *drain(h) == '\0';
    }
    pthread_join(thread, NULL);
    drain(h);
    is(replica_differences(mirror), 0, "nothing is lost");
    ok(events >= 10, "%d events", events);
    ok(woken <= events + for_nothing, "%d times readable, %d of them for nothing", woken,
       for_nothing);
    /* A note that comes while its change is being reported wakes in vain. */
    ok(for_nothing <= ROUNDS * 7, "  which is no more than things have happened");
    is(kw_fd(h), fd, "kw_fd() is always the same");

    kw_stats before = KW_STATS_INIT, after = KW_STATS_INIT;
    kw_stats_get(h, &before);
    ok(!readable(h, 300), "when all is quiet it is not readable");
    is(kw_poll(h, &(kw_event){0}, 1, 300), 0, "and kw_poll() finds nothing");
    kw_stats_get(h, &after);
    ok(after.waits - before.waits <= 3, "and waits in one piece: %d system calls",
       (int)(after.waits - before.waits));
    is(after.stats + after.listings + after.fetches, before.stats + before.listings + before.fetches,
       "and looks at nothing");

    kw_wake(h);
    ok(readable(h, 0), "a wake makes it readable");
    is(kw_poll(h, &(kw_event){0}, 1, -1), 0, "kw_poll() takes it");
    ok(!readable(h, 0), "and then it is not readable");
    kw_free(h);
    replica_free(mirror);
    return done();
}
