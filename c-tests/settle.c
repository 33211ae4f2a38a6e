/* A quiet period before a batch is delivered. */
#include "sandbox.h"

#include <poll.h>
#include <string.h>
#include <time.h>

static kw_handle *watch_settling(uint32_t quiet, uint32_t longest)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_handle *h = open_handle();
    options.flags = KW_RECURSIVE;
    options.settle_ms = quiet;
    options.settle_max_ms = longest;
    is(kw_add(h, "tree", &options, NULL), KW_OK, fmt("%u ms, %u ms", quiet, longest));
    return h;
}

static long long milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int main(void)
{
    kw_event e[16];
    long long begun;
    int n;

    sandbox();

    /* An hour: a sync is what ends it. */
    kw_handle *h = watch_settling(3600 * 1000, 0);
    write_file("tree/f", "x");
    append("tree/f", "y");
    write_file("tree/g", "x");
    is(kw_poll(h, e, 16, 0), 0, "nothing is reported at once");
    remove_file("tree/g");
    is(kw_poll(h, e, 16, 20), 0, "nor soon");
    ok(!readable(h, 0), "kw_fd() is at rest");
    is(kw_sync(h, 0), KW_OK, "kw_sync()");
    expect(h, "what is left of it all", "CREATED f\n");
    kw_free(h);

    h = watch_settling(300, 0);
    begun = milliseconds();
    for (int i = 0; i < 20; i++)
        append("tree/f", "new");
    n = kw_poll(h, e, 16, -1);
    is(n, 1, "one event for it all");
    ok(e[0].kind == KW_MODIFIED, "  is told");
    ok(milliseconds() - begun >= 290, "when it has been quiet");
    drain(h);

    /* Whoever waits on the descriptor is woken, too. */
    begun = milliseconds();
    write_file("tree/h", "x");
    is(kw_poll(h, e, 16, 0), 0, "nothing yet");
    struct pollfd fd = {.fd = kw_fd(h), .events = POLLIN};
    is(poll(&fd, 1, 60000), 1, "kw_fd() becomes readable");
    ok(milliseconds() - begun >= 290, "  after the quiet period");
    expect(h, "what has settled", "CREATED h\n");
    kw_free(h);

    /* One that is written to all the time is told of at last. */
    /* (The test itself may be kept waiting, but not for two seconds.) */
    h = watch_settling(2000, 3000);
    begun = milliseconds();
    for (n = 0; n == 0 && milliseconds() - begun < 60000;) {
        append("tree/h", "x");
        n = kw_poll(h, e, 16, 50);
    }
    is(n, 1, "what never comes to rest is told all the same");
    ok(milliseconds() - begun >= 2900, "  after the longest time");
    kw_free(h);

    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    h = open_handle();
    options.settle_max_ms = 5;
    is(kw_add(h, "tree", &options, NULL), KW_E_INVALID, "the longest time alone");
    options.settle_ms = 10;
    is(kw_add(h, "tree", &options, NULL), KW_E_INVALID, "and one that is too short");
    kw_free(h);
    return done();
}
