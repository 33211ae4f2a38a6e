/* What a terminal shows while kw_add() crawls a large tree: a line that is
 * written over and then removed. A thread reads the statistics meanwhile. */
#define _XOPEN_SOURCE 700
#include "kwatch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS 200

static pthread_t thread;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static bool running; /* there is a thread */
static bool over;    /* it is to end */

static void show(const char *text, int length)
{
    /* If it cannot be shown nothing is lost. */
    ssize_t n = length > 0 ? write(STDERR_FILENO, text, (size_t)length) : 0;
    (void)n;
}

/* Waits; false if the crawl is over before. */
static bool wait_ms(int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    while (!over && pthread_cond_timedwait(&condition, &mutex, &until) == 0)
        ;
    return !over;
}

static void *run(void *delay_ms)
{
    bool shown = false;
    int64_t began = now_ms();
    pthread_mutex_lock(&mutex);
    if (wait_ms((int)(intptr_t)delay_ms)) {
        do {
            char text[96];
            kw_stats s = KW_STATS_INIT;
            /* It does not wait for the crawl. */
            if (kw_stats_get(handle, &s) != KW_OK)
                break;
            show(text, snprintf(text, sizeof text, "\r%llu entries, %llu s\033[K",
                                (unsigned long long)s.entries,
                                (unsigned long long)(now_ms() - began) / 1000));
            shown = true;
        } while (wait_ms(INTERVAL_MS));
    }
    pthread_mutex_unlock(&mutex);
    if (shown)
        show("\r\033[K", 4);
    return NULL;
}

void progress_begin(int delay_ms)
{
    const char *term = getenv("TERM");
    sigset_t all, before;
    if (!isatty(STDERR_FILENO) || term == NULL || strcmp(term, "dumb") == 0)
        return;
    over = false;
    /* Signals are for the thread that crawls. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    running = pthread_create(&thread, NULL, run, (void *)(intptr_t)delay_ms) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void progress_end(void)
{
    if (!running)
        return;
    pthread_mutex_lock(&mutex);
    over = true;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    running = false;
}
