/* How long kw_poll() waits, and what ends it. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

static kw_handle *h;
static kw_event event;

static int poll_ms(int timeout, long *took)
{
    long start = now_ms();
    int n = kw_poll(h, &event, 1, timeout);
    *took = now_ms() - start;
    return n;
}

/* Waits until another thread is in kw_poll() and has begun to wait. */
static void await_waiting(uint64_t waits_before)
{
    kw_stats s = KW_STATS_INIT;
    do {
        sleep_ms(1);
        kw_stats_get(h, &s);
    } while (s.waits <= waits_before);
}

static uint64_t waits_so_far(void)
{
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    return s.waits;
}

static void *wake_it(void *before)
{
    await_waiting(*(uint64_t *)before);
    kw_wake(h);
    return NULL;
}

static void *write_it(void *before)
{
    await_waiting(*(uint64_t *)before);
    write_file("tree/from-thread", "x");
    return NULL;
}

static pthread_t start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, argument) != 0)
        die("pthread_create");
    return thread;
}

static void time_is_up(void)
{
    long took;
    is(poll_ms(0, &took), 0, "a timeout of 0 does not wait");
    is(poll_ms(50, &took), 0, "a timeout of 50 ms");
    ok(took >= 50, "  takes no less: %ld", took);
    ok(took < 5000, "  and not much more");
    write_file("tree/f", "x");
    is(poll_ms(60000, &took), 1, "an event that is there ends the wait at once");
    ok(took < 5000, "  after %ld ms", took);
    drain(h);
}

static void woken(void)
{
    long took;
    uint64_t before;
    kw_wake(h);
    is(poll_ms(-1, &took), 0, "a wake before the call ends it");
    kw_wake(h);
    kw_wake(h);
    kw_wake(h);
    is(poll_ms(-1, &took), 0, "three are one");
    is(poll_ms(50, &took), 0, "the next call");
    ok(took >= 50, "  is not ended by them: %ld ms", took);

    before = waits_so_far();
    pthread_t thread = start(wake_it, &before);
    is(poll_ms(-1, &took), 0, "another thread wakes a call that waits for ever");
    pthread_join(thread, NULL);

    before = waits_so_far();
    thread = start(write_it, &before);
    is(poll_ms(-1, &took), 1, "an event ends a call that waits for ever");
    pthread_join(thread, NULL);
    drain(h);

    write_file("tree/g", "x");
    kw_wake(h);
    is(poll_ms(0, &took), 1, "a wake takes no event away");
    drain(h);
}

static pthread_t poller;
static atomic_int caught, finished;

static void on_signal(int signal)
{
    (void)signal;
    caught++;
}

/* A signal may come before the wait has begun, and then ends nothing. */
static void *signal_until_finished(void *unused)
{
    (void)unused;
    while (!finished) {
        pthread_kill(poller, SIGUSR1);
        sleep_ms(5);
    }
    return NULL;
}

static void interrupted(int flags, const char *label)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    kw_error e = KW_ERROR_INIT;
    long took;

    sigaction(SIGUSR1, &action, NULL);
    poller = pthread_self();
    caught = finished = 0;
    pthread_t thread = start(signal_until_finished, NULL);
    is(poll_ms(-1, &took), KW_E_INTERRUPTED, label);
    finished = 1;
    pthread_join(thread, NULL);
    ok(caught > 0, "  whose handler has run");
    kw_last_error(h, &e);
    is(e.status, KW_E_INTERRUPTED, "  the last error");
    is(e.sys_errno, EINTR, "  its errno");
    write_file("tree/after", "x");
    expect(h, "  and nothing is lost", "CREATED after\n");
    remove_file("tree/after");
    drain(h);
}

static volatile sig_atomic_t errno_kept, woke;

static void wake_in_handler(int signal)
{
    (void)signal;
    errno = 77;
    woke = kw_wake(h) == KW_OK;
    errno_kept = errno == 77;
}

/* The usual way to end a program's loop: whenever the signal comes, before or
 * during the wait, the loop ends. */
static void woken_by_a_handler(void)
{
    struct sigaction action = {.sa_handler = wake_in_handler};
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    int n;

    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < 20; i++) {
        /* Sometimes before, sometimes during. */
        soon.it_value.tv_usec = 1 + i * 100;
        woke = 0;
        setitimer(ITIMER_REAL, &soon, NULL);
        do
            n = kw_poll(h, &event, 1, -1);
        while (n == KW_E_INTERRUPTED);
        if (n != 0 || !woke)
            break;
    }
    is(n, 0, "a signal handler wakes it");
    ok(woke, "  with success");
    ok(errno_kept, "  and errno is as it was");
    signal(SIGALRM, SIG_DFL);
}

int main(void)
{
    sandbox();
    h = watch_tree();
    time_is_up();
    woken();
    interrupted(0, "a signal ends the wait");
    interrupted(SA_RESTART, "also where system calls go on after a signal");
    woken_by_a_handler();
    kw_free(h);
    return done();
}
