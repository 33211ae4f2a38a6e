/*
 * kwatch.h - what the parts of kwatch know of one another.
 *
 *   options.c    the command line          print.c     events as text, JSON, paths, a format
 *   main.c       watches, waits, ends      out.c       names and numbers, in whole and in time
 *   command.c    the command and its runs  changed.c   which paths have changed since the last
 *   progress.c   what a terminal shows during a long crawl
 */
#ifndef KWATCH_H
#define KWATCH_H

#include <kw.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit status. With --once and a command: the command's, 128 and the signal's number
 * if one ended it, 126 or 127 if it cannot be run. */
enum { EXIT_ENDED = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NOTHING = 3 };

enum form { FORM_TEXT, FORM_JSON, FORM_PATHS, FORM_STRING };
enum { WHEN_AUTO, WHEN_ALWAYS, WHEN_NEVER };

/* What the command line says. */
struct settings {
    const char **paths; /* NULL after the last */
    size_t path_count;
    char **command; /* NULL after the last; NULL if there is none */
    bool command_takes_paths; /* one of its arguments is {} */

    kw_options handle;
    kw_watch_options watch;
    bool kinds_given;
    bool replaced_only; /* of KW_MODIFIED those with KW_REPLACED only */
    int sync_interval_ms; /* -1: never */

    enum form form;
    const char *format;
    bool print0;
    bool print; /* events are printed */
    int color;
    bool quiet, verbose, stats;

    const char *save; /* NULL: nothing is saved */

    bool once;
    int timeout_ms; /* -1: none */

    bool restart, initial_run, clear;
    int stop_signal;
    int kill_after_ms;
};

/* --- options.c --- */
/* Returns -1 to go on, or the status to end with. */
int read_options(int argc, char **argv, struct settings *s);
/* What is wrong, and how it is used. Returns EXIT_USAGE. */
int usage_error(const char *format, ...);

/* --- print.c --- */
void print_begin(const struct settings *s);
void print_event(const kw_event *e);
void print_watching(const char *path);
void print_summary(void);
void print_stats(bool json);
/* What is wrong with a format string, or NULL. */
const char *format_defect(const char *format);
/* How the command line spells a kind; its bits, or 0. `replaced` is for that word. */
uint32_t kind_by_name(const char *name, size_t length, bool *replaced);

/* --- main.c --- */
extern kw_handle *handle;
/* How many signals have come that are to end the program. */
extern volatile sig_atomic_t stops;
/* Whether a child may have ended. */
extern volatile sig_atomic_t child_changed;
/* The path of a watch as it was given. */
const char *root_of(kw_watch watch);
/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);
/* "kwatch: WHAT: why" on standard error; `why` may be NULL. */
void complain(const char *what, const char *why);

/* --- changed.c --- */
/* The paths that have changed, each once, in the order of their first change. */
struct changed {
    char *bytes; /* each with a NUL after it */
    size_t used, room;
    size_t *places; /* where in `bytes` each begins */
    size_t count, places_room;
    size_t *table; /* hashed: number of a path and 1, or 0 */
    size_t table_size;
    bool too_many; /* more than fit, and so none is kept */
};
/* How many bytes of paths and pointers to them are kept at most. */
extern size_t changed_limit;
void changed_add(struct changed *c, const char *path, size_t length);
void changed_clear(struct changed *c);
void changed_free(struct changed *c);

/* --- command.c --- */
void command_begin(const struct settings *s);
/* What has changed since the last run was started. */
void command_note(const kw_event *e);
/* Has it run, with what was noted: now, or when the present run has ended. */
void command_request(void);
/* Goes on with what is going on; to be called when a child or the clock may want it.
 * Returns in how many milliseconds to be called again, -1: when a child has changed. */
int command_tick(void);
/* Whether it runs, or is about to. */
bool command_busy(void);
/* Whether all that was noted has led to a run, and that was not cut short. */
bool command_complete(void);
/* Ends the present run. `at_terminal`: it has had the same signal from the terminal. */
void command_stop(bool at_terminal);
/* Has it run as requested until it has ended, or a signal has come. */
void command_wait(void);
/* The exit status of the last run that has ended. */
int command_status(void);
void command_free(void);

/* --- progress.c --- */
/* Shows on standard error, if that is a terminal, how far a crawl has come: after
 * `delay_ms`, until progress_end(). */
void progress_begin(int delay_ms);
void progress_end(void);

#endif
