/* What every contender that is a program of ours does alike; see protocol.h. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "protocol.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The highest number in a name; the harness stays below it. */
#define NUMBERS (1 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t events;
static uint64_t distinct[3];
static unsigned char marks[3][NUMBERS / 8];
static int64_t last_ns;
static int news;

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void say_ready(int64_t took_ns)
{
    printf("ready %" PRId64 "\n", took_ns);
    fflush(stdout);
}

void tally_begin(void)
{
    pthread_mutex_lock(&lock);
    news = 0;
}

void tally_end(void)
{
    if (news)
        last_ns = now_ns();
    pthread_mutex_unlock(&lock);
}

void tally_event(void)
{
    events++;
}

static void mark(enum told told, unsigned number)
{
    unsigned char bit = (unsigned char)(1u << number % 8);
    if (marks[told][number / 8] & bit)
        return;
    marks[told][number / 8] |= bit;
    distinct[told]++;
    news = 1;
}

void tally_path(enum told told, const char *path, size_t len)
{
    unsigned number = 0, scale = 1;
    size_t i = len;
    while (i > 0 && path[i - 1] >= '0' && path[i - 1] <= '9' && scale < NUMBERS * 10u) {
        number += (unsigned)(path[--i] - '0') * scale;
        scale *= 10;
    }
    if (scale == 1 || number >= NUMBERS)
        return;
    mark(TOLD_TOUCHED, number);
    if (told != TOLD_TOUCHED)
        mark(told, number);
}

static void *answer_stdin(void *unused)
{
    char line[32];
    (void)unused;
    while (fgets(line, sizeof line, stdin) != NULL) {
        pthread_mutex_lock(&lock);
        if (strcmp(line, "reset\n") == 0) {
            events = 0;
            last_ns = 0;
            memset(distinct, 0, sizeof distinct);
            memset(marks, 0, sizeof marks);
            puts("reset");
        } else {
            printf("count %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
                   events, distinct[TOLD_CREATED], distinct[TOLD_DELETED],
                   distinct[TOLD_TOUCHED], last_ns);
        }
        fflush(stdout);
        pthread_mutex_unlock(&lock);
    }
    /* The harness is gone. */
    exit(EXIT_SUCCESS);
}

void answer(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_stdin, NULL) != 0) {
        perror("pthread_create");
        exit(EXIT_FAILURE);
    }
}
