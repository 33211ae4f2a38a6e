/* Thousands of ill-formed calls: each is answered with an error code, and the
 * handle is none the worse for it. KW_SEED repeats a run. */
#include "sandbox.h"

#include <limits.h>
#include <stdlib.h>

#define CALLS 5000

static uint64_t state;

/* xorshift64*; the C library's rand() differs from system to system. */
static unsigned dice(unsigned sides)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (unsigned)((state * 2685821657736338717u) >> 33) % sides;
}

static kw_handle *live, *freed;
static int not_handles[1024];
static char overlong[8192], deep[8192], component[512];

static kw_handle *no_handle(void)
{
    switch (dice(5)) {
    case 0: return NULL;
    case 1: return freed;
    case 2: return (kw_handle *)&not_handles[dice(1024)];
    case 3: return (kw_handle *)((char *)live + 1 + dice(64));
    default: return (kw_handle *)(uintptr_t)(1 + dice(UINT_MAX));
    }
}

/* Too small, or so large that it must be uninitialised. */
static size_t wrong_size(size_t right)
{
    switch (dice(4)) {
    case 0: return dice((unsigned)right);
    case 1: return SIZE_MAX - dice(1000);
    case 2: return (size_t)INT_MAX + dice(1000);
    default: return 0;
    }
}

static const char *no_path(void)
{
    switch (dice(6)) {
    case 0: return NULL;
    case 1: return "";
    case 2: return overlong;
    case 3: return deep;
    case 4: return component;
    default: return fmt("tree/nothing/%u", dice(100));
    }
}

static uint32_t unknown_bits(uint32_t known)
{
    uint32_t bits = 0;
    while ((bits & ~known) == 0)
        bits = dice(UINT_MAX);
    return bits;
}

/* Makes an ill-formed call on a handle that is none. */
static int call_without_handle(void)
{
    kw_event e[4];
    kw_stats s = KW_STATS_INIT;
    kw_error error = KW_ERROR_INIT;
    kw_watch watch;
    kw_handle *no = no_handle();
    /* Not kw_wake(), which may be called in a signal handler and keeps no error. */
    switch (dice(8)) {
    case 6: return kw_save(no, (int)dice(10), dice(2) ? "saved" : no_path());
    case 0: return kw_add(no, dice(2) ? "tree" : no_path(), NULL, dice(2) ? &watch : NULL);
    case 1: return kw_remove(no, (int)dice(10));
    case 2: return kw_poll(no, dice(2) ? e : NULL, dice(5), (int)dice(3) - 2);
    case 3: return kw_fd(no);
    case 4: return kw_stats_get(no, dice(2) ? &s : NULL);
    case 5: return kw_sync(no, (int)dice(3) - 2);
    default:
        /* Without a handle it answers for the thread. */
        return no == NULL ? kw_last_error(NULL, NULL) : kw_last_error(no, &error);
    }
}

static int open_wrongly(void)
{
    kw_handle *h = live;
    kw_options o = KW_OPTIONS_INIT;
    switch (dice(4)) {
    case 0: return kw_open(NULL, NULL);
    case 1: o.size = wrong_size(offsetof(kw_options, watch_limit)); break;
    case 2: o.flags = unknown_bits(KW_RAISE_LIMIT | KW_POLL_ONLY); break;
    default: o.flags = KW_POLL_ONLY, o.watch_limit = 1 + dice(INT_MAX); break;
    }
    int status = kw_open(&o, &h);
    return h == NULL ? status : KW_OK;
}

static int add_wrongly(void)
{
    kw_watch watch = 0;
    kw_watch_options o = KW_WATCH_OPTIONS_INIT;
    const char *path = "tree";
    const char *const bad[] = {"fine", dice(2) ? "[" : "\xff", NULL};
    const uint32_t known = KW_RECURSIVE | KW_DIR_MODIFIED | KW_SYNC_ALL | KW_INITIAL | KW_EXPANDED |
                           KW_DIRS_ONLY | KW_ONE_DEVICE | KW_SKIP_HIDDEN | KW_ALLOW_MISSING;
    switch (dice(9)) {
    case 0: path = no_path(); break;
    case 1: o.size = wrong_size(offsetof(kw_watch_options, exclude)); break;
    case 2: o.flags = unknown_bits(known); break;
    case 3: o.exclude = bad; break;
    case 4: o.include = bad; break;
    case 5: o.depth = 1 + dice(100); break;
    case 6: o.settle_max_ms = 1 + dice(100); break;
    case 7: o.since = no_path(); o.flags = o.since == NULL ? 1u << 31 : 0; break;
    default: o.events = unknown_bits(KW_ALL_EVENTS); break;
    }
    int status = kw_add(live, path, &o, &watch);
    return watch == 0 ? status : KW_OK;
}

/* Makes an ill-formed call on a handle that is one. */
static int call_with_handle(void)
{
    kw_event e[4];
    kw_stats s = KW_STATS_INIT;
    kw_error error = KW_ERROR_INIT;
    switch (dice(9)) {
    case 0: return kw_remove(live, dice(2) ? -(int)dice(INT_MAX) : 2 + (int)dice(INT_MAX - 2));
    case 1: return kw_poll(live, NULL, 1 + dice(100), -1);
    case 2: return kw_poll(live, e, 0, -1);
    case 3: return kw_poll(live, e, SIZE_MAX / (1 + dice(100)), -1);
    case 4: return kw_poll(live, e, 4, -2 - (int)dice(INT_MAX - 2));
    case 5: return kw_sync(live, -2 - (int)dice(INT_MAX - 2));
    case 6: return kw_stats_get(live, NULL);
    case 7:
        s.size = wrong_size(offsetof(kw_stats, watch_limit));
        return kw_stats_get(live, &s);
    default:
        error.size = wrong_size(sizeof error);
        return kw_last_error(live, dice(2) ? &error : NULL);
    }
}

int main(void)
{
    const char *given = getenv("KW_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 20240607;
    int accepted = 0, unexplained = 0, wordless = 0;

    sandbox();
    state = seed | 1; /* never 0 */
    note("KW_SEED=%llu", (unsigned long long)seed);
    memset(overlong, 'x', sizeof overlong - 1);
    memset(component, 'y', sizeof component - 1);
    for (size_t i = 0; i + 1 < sizeof deep; i++)
        deep[i] = i % 2 ? '/' : 'z';

    freed = open_handle();
    live = watch_tree();
    kw_free(freed);
    int descriptors = open_descriptors();

    for (int i = 0; i < CALLS; i++) {
        kw_error e = KW_ERROR_INIT;
        kw_handle *who = NULL;
        int status;
        /* The last error is one that few of the calls to come will make. */
        kw_remove(live, -1);
        switch (dice(4)) {
        case 0: status = call_without_handle(); break;
        case 1: status = open_wrongly(); break;
        case 2: status = add_wrongly(), who = live; break;
        default: status = call_with_handle(), who = live; break;
        }
        if (status >= 0 || status == KW_E_INTERNAL) {
            diag("call %d answered %d", i, status);
            accepted++;
        }
        wordless += *kw_strerror(status) == '\0' || *kw_strerror((int)dice(UINT_MAX)) == '\0';
        if (kw_last_error(who, &e) != KW_OK || e.status != status) {
            diag("call %d answered %d, its last error is %d", i, status, e.status);
            unexplained++;
        }
    }
    if (accepted + unexplained + wordless > 0)
        diag("again with KW_SEED=%llu", (unsigned long long)seed);
    is(accepted, 0, "5,000 ill-formed calls: every one is refused");
    is(unexplained, 0, "and its reason is kept");
    is(wordless, 0, "and has a text");
    for (int i = 0; i < 1000; i++) {
        kw_handle *no = no_handle();
        kw_free(no);
    }
    ok(1, "kw_free() of a thousand that are none");
    int woken = 0;
    for (int i = 0; i < 1000; i++)
        woken += kw_wake(no_handle()) != KW_E_INVALID;
    is(woken, 0, "kw_wake() of a thousand that are none");
    is(open_descriptors(), descriptors, "no descriptor is left open");

    kw_stats s = KW_STATS_INIT;
    is(kw_stats_get(live, &s), KW_OK, "the handle works");
    is(s.watches, 1, "  with its one watch");
    write_file("tree/f", "x");
    expect(live, "  and reports", "CREATED f\n");
    kw_free(live);
    return done();
}
