/*
 * protocol.h - what every contender that is a program of ours does alike, so that
 * one harness drives all. bench/README.md has the protocol in words.
 *
 *     PROGRAM version          prints one line and ends
 *     PROGRAM print TREE       `ready NANOSECONDS`, then a line for each event
 *     PROGRAM count TREE       `ready NANOSECONDS`, then answers on standard input:
 *         count                `count EVENTS CREATED DELETED TOUCHED LAST`
 *         reset                `reset`; everything counted is 0 again
 *
 * The names that the harness makes end in a number of their own. CREATED, DELETED and
 * TOUCHED (any event) are how many distinct numbers were told of; LAST is the time by
 * CLOCK_MONOTONIC at which a number was told of for the first time. To mark a bit for
 * a number costs next to nothing, where a set of paths would cost more than the
 * watching that is to be measured.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

enum told { TOLD_CREATED, TOLD_DELETED, TOLD_TOUCHED };

/* Nanoseconds by CLOCK_MONOTONIC. */
int64_t now_ns(void);

/* Prints `ready NANOSECONDS`: how long it took to get the tree watched. */
void say_ready(int64_t took_ns);

/* Count mode: a thread of its own answers on standard input from now on. */
void answer(void);

/* Around what one fetch has brought: the counts are taken between two of them. */
void tally_begin(void);
void tally_end(void);

/* One event. `path` is NULL where none is told; it need not end in a number. */
void tally_event(void);
void tally_path(enum told told, const char *path, size_t len);

#endif
