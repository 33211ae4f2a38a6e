/* Several threads on one handle. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define TURNS 200
#define FILES 300

static kw_handle *h;
static kw_watch kept;
static atomic_int finished;
static atomic_int failures;

/* A watch that was removed before kw_poll() was called must be silent: each
 * number has the time at which it was, on a clock that polls advance. */
#define NUMBERS (2 * TURNS + 16)
static atomic_int polls;
static atomic_int removed_at[NUMBERS];

static atomic_int kept_created, others, late;

static void *polling(void *unused)
{
    kw_event e[16];
    (void)unused;
    for (;;) {
        int now = ++polls;
        int n = kw_poll(h, e, 16, finished ? 0 : -1);
        if (n == 0 && finished)
            return NULL;
        if (n < 0)
            failures++;
        for (int i = 0; i < n; i++) {
            if (e[i].watch == kept)
                kept_created += e[i].kind == KW_CREATED;
            else
                others++;
            int removed = removed_at[e[i].watch % NUMBERS];
            if (removed != 0 && removed < now)
                late++;
        }
    }
}

static void *adding(void *name)
{
    for (int i = 0; i < TURNS; i++) {
        kw_watch_options options = KW_WATCH_OPTIONS_INIT;
        kw_watch watch;
        char file[64];
        options.flags = KW_RECURSIVE;
        if (kw_add(h, name, &options, &watch) != KW_OK) {
            failures++;
            continue;
        }
        snprintf(file, sizeof file, "%s/%d", (char *)name, i);
        write_file(file, "x");
        if (kw_remove(h, watch) != KW_OK)
            failures++;
        /* A poll that begins from now on is a later one. */
        removed_at[watch % NUMBERS] = polls;
    }
    return NULL;
}

static void start(pthread_t *thread, void *(*body)(void *), void *argument)
{
    if (pthread_create(thread, NULL, body, argument) != 0)
        die("pthread_create");
}

static void adding_while_polling(void)
{
    pthread_t poller, one, two;
    kw_stats s = KW_STATS_INIT;

    make_dir("tree/one");
    make_dir("tree/two");
    make_dir("kept");
    kept = add_watch(h, "kept", KW_RECURSIVE);
    start(&poller, polling, NULL);
    start(&one, adding, "tree/one");
    start(&two, adding, "tree/two");
    for (int i = 0; i < FILES; i++) {
        write_file(fmt("kept/%d", i), "x");
        if (kw_stats_get(h, &s) != KW_OK || s.watches > 3)
            failures++;
    }
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    finished = 1;
    kw_wake(h);
    pthread_join(poller, NULL);
    is(failures, 0, "two threads add and remove watches while a third polls");
    is(kept_created, FILES, "a watch that stays loses nothing");
    is(late, 0, "a watch that was removed is silent");
    ok(1, "%d events of the others were caught", (int)others);
    is(kw_stats_get(h, &s), KW_OK, "afterwards");
    is(s.watches, 1, "  one watch is left");
    is(s.entries, FILES + 1, "  and its entries");
}

static void *wait_for_ever(void *result)
{
    kw_event e;
    *(int *)result = kw_poll(h, &e, 1, -1);
    return NULL;
}

static void one_at_a_time(void)
{
    kw_stats s = KW_STATS_INIT;
    kw_event e;
    pthread_t thread;
    int result = 1;

    kw_stats_get(h, &s);
    uint64_t before = s.waits;
    start(&thread, wait_for_ever, &result);
    do {
        sleep_ms(1);
        kw_stats_get(h, &s);
    } while (s.waits == before);
    is(kw_poll(h, &e, 1, 0), KW_E_BUSY, "a second thread polls");
    is(kw_poll(h, &e, 1, -1), KW_E_BUSY, "  also if it would wait");
    kw_error error = KW_ERROR_INIT;
    kw_last_error(h, &error);
    is(error.status, KW_E_BUSY, "  the last error");
    kw_watch watch = add_watch(h, "tree", 0);
    is(kw_remove(h, watch), KW_OK, "watches are added and removed while the first one waits");
    is(kw_sync(h, 0), KW_OK, "kw_sync() does not wait for it");
    kw_wake(h);
    pthread_join(thread, NULL);
    is(result, 0, "the first one is none the worse for it");
    is(kw_poll(h, &e, 1, 0), 0, "and then it is the second one's turn");
}

/* The thread's last error without a handle is its own. */
static void *fail_to_open(void *unused)
{
    (void)unused;
    kw_open(NULL, NULL);
    return NULL;
}

static void errors_of_their_own(void)
{
    pthread_t thread;
    kw_error e = KW_ERROR_INIT;
    start(&thread, fail_to_open, NULL);
    pthread_join(thread, NULL);
    kw_last_error(NULL, &e);
    is(e.status, KW_OK, "a thread does not see another one's error");
}

/* A watch added by one thread while another waits wakes that for its events. */
static void added_while_waiting(void)
{
    pthread_t thread;
    int result = 0;
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    uint64_t before = s.waits;
    start(&thread, wait_for_ever, &result);
    do {
        sleep_ms(1);
        kw_stats_get(h, &s);
    } while (s.waits == before);
    add_watch(h, "tree", KW_RECURSIVE);
    write_file("tree/new", "x");
    pthread_join(thread, NULL);
    is(result, 1, "a watch added during a wait ends it with its events");
    drain(h);
}

/* Under valgrind this shows that the threads leave nothing behind. */
static void crawling_together(void)
{
    kw_options options = KW_OPTIONS_INIT;
    kw_handle *many;
    enum { DIRECTORIES = 200 };
    make_dir("tree/large");
    for (int i = 0; i < DIRECTORIES; i++) {
        make_dir(fmt("tree/large/%d", i));
        write_file(fmt("tree/large/%d/f", i), "x");
    }
    options.crawl_threads = 4;
    ok(kw_open(&options, &many) == KW_OK, "a handle with four threads for a crawl");
    add_watch(many, "tree/large", KW_RECURSIVE);
    for (int i = 0; i < DIRECTORIES; i++)
        remove_file(fmt("tree/large/%d/f", i));
    int told = 0;
    for (const char *line = drain(many); *line != '\0'; line = strchr(line, '\n') + 1)
        told += strncmp(line, "DELETED ", 8) == 0;
    is(told, DIRECTORIES, "  all of what they crawled is watched");
    kw_free(many);
    remove_tree("tree/large");
    drain(h);
}

int main(void)
{
    sandbox();
    h = open_handle();
    errors_of_their_own();
    adding_while_polling();
    one_at_a_time();
    added_while_waiting();
    crawling_together();
    kw_free(h);
    return done();
}
