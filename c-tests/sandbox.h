/*
 * sandbox.h - a fresh directory for a test, what can be done in it, and what
 * libkw says about it.
 *
 * sandbox() makes a directory, goes there, and makes `tree` in it, which is
 * what most tests watch; it is all removed when the program ends. Every
 * operation on files ends the test if it fails.
 *
 * No test sleeps until "the event must have come": a kw_poll() that returns 0
 * says that everything before it has been delivered. So a test does something,
 * drains, and compares.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <kw.h>
#include <stddef.h>

#include "tap.h"

void sandbox(void);

void write_file(const char *path, const char *text); /* makes it anew, or truncates */
void append(const char *path, const char *text);
void make_dir(const char *path);
void change_mode(const char *path, unsigned mode);
/* Gives a file a time long past. A file that is renamed right after it was written
 * to may be told as MOVED and MODIFIED, where times cannot rule out another write;
 * a test that wants one event ages the file and drains before. */
void age(const char *path);
void rename_to(const char *from, const char *to);
void make_link(const char *from, const char *to);
void make_symlink(const char *target, const char *path);
void remove_file(const char *path);
void remove_dir(const char *path);
void remove_tree(const char *path);

/* printf into one of a few buffers that take turns. */
const char *fmt(const char *format, ...);

/* A new handle. */
kw_handle *open_handle(void);
/* Adds a watch, with all kinds of events. */
kw_watch add_watch(kw_handle *h, const char *path, uint32_t flags);
/* Both of them, on `tree`, recursively. */
kw_handle *watch_tree(void);

/*
 * Everything there is to be had from kw_poll(h, ..., 0), one event a line:
 *
 *     CREATED d/            a directory; @ instead of / is a symbolic link
 *     MOVED d/f -> e/f      paths are relative to the root; the root is "."
 *     MODIFIED|REPLACED f
 *     ERROR d/ errno=13
 *
 * The text is good until the next call. Every event is checked for being well
 * formed (strings, lengths, sequence) as the header promises.
 */
const char *drain(kw_handle *h);
/* The same with every line led by its watch: "2: CREATED d/". */
const char *drain_by_watch(kw_handle *h);
/* The lines in order of their bytes, where the order of events is open. */
const char *sorted(const char *text);

/* One event as a line of drain(), without the line break. */
void describe(const kw_event *event, char *text, size_t size);
/* Called for each event that drain() gets, unless NULL. */
extern void (*on_event)(const kw_event *event);

/* One test: what was done (`label`) is told like this. */
#define expect(h, label, want) is_text(drain(h), (want), (label))
#define expect_in_any_order(h, label, want) is_text(sorted(drain(h)), (want), (label))

/* Descriptors that the process has open. */
int open_descriptors(void);
/* Whether kw_fd() is readable within so many milliseconds. */
int readable(kw_handle *h, int timeout_ms);
/* Milliseconds of a clock that only goes forward. */
long now_ms(void);
void sleep_ms(long ms);

/*
 * A replica: the tree as someone knows it who has seen it once and has then
 * read nothing but events. Entries are paths with what they are and their size.
 */
typedef struct replica replica;
replica *replica_of(const char *root);
replica *empty_replica_of(const char *root); /* as someone who is told with KW_INITIAL */
/* Applies an event. One that cannot be applied is complained of and counted. */
void replica_apply(replica *r, const kw_event *event);
/* Number of events that could not be applied, and of differences to the disk. */
int replica_differences(replica *r);
void replica_free(replica *r);

#endif
