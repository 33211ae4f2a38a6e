/*
 * kwatch - prints what changes in file trees, or runs a command then.
 *
 *     cc *.c -pthread $(pkg-config --cflags --libs kw) -o kwatch
 *
 * With one exception (progress.c) it has one thread, which waits in kw_poll().
 * Signal handlers take a note and end that wait with kw_wake().
 */
#define _XOPEN_SOURCE 700
#include "kwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "out.h"

#define EVENTS 256
/* Milliseconds after which a stream of changes that does not end is cut into batches, and
 * in which what has happened before a signal is reported. */
#define BATCH_MS 1000
/* Milliseconds of a crawl before its progress is shown. */
#define PROGRESS_MS 300

/* Set before the handlers are installed, and while they are. */
kw_handle *handle;
volatile sig_atomic_t stops;
volatile sig_atomic_t child_changed;
static volatile sig_atomic_t asked, crawling, interrupted_at_terminal;

static struct settings settings;
static kw_watch *watches; /* one for each path */

static struct {
    bool open;      /* changes came, and it is not sure that these are all */
    int64_t since;  /* when the first of them came */
    int64_t latest; /* when anything changed, a command ran, or all was watched */
    bool any;       /* something has changed */
} batch;

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void complain(const char *what, const char *why)
{
    out_text(&out_stderr, "kwatch: ");
    out_name(&out_stderr, what, strlen(what));
    if (why != NULL) {
        out_text(&out_stderr, ": ");
        out_text(&out_stderr, why);
    }
    out_char(&out_stderr, '\n');
    out_flush(&out_stderr);
}

/* Says what failed, on which path and why; `h` is NULL if it was kw_open(). */
static void fail(const kw_handle *h, int code)
{
    kw_error e = KW_ERROR_INIT;
    const char *why = kw_strerror(code);
    kw_last_error(h, &e);
    if (e.sys_errno != 0)
        why = strerror(e.sys_errno);
    out_text(&out_stderr, "kwatch: ");
    if (e.path[0] != '\0') {
        out_name(&out_stderr, e.path, strlen(e.path));
        out_text(&out_stderr, ": ");
    }
    out_format(&out_stderr, "%s: %s\n", e.operation, why);
    out_flush(&out_stderr);
}

const char *root_of(kw_watch watch)
{
    for (size_t i = 0; i < settings.path_count; i++)
        if (watches[i] == watch)
            return settings.paths[i];
    return "";
}

/* --- Signals ------------------------------------------------------------ */

/* kw_wake() may be called here. Without it a signal that arrives just before
 * kw_poll() begins to wait would not end that wait. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    (void)context;
    if (number == SIGCHLD) {
        child_changed = 1;
    } else if (number == SIGUSR1) {
        asked = 1;
    } else {
        stops = stops + 1;
        interrupted_at_terminal = number == SIGINT && info->si_code != SI_USER;
    }
    /* A crawl is to be ended only if all is. */
    if (!crawling || stops > 0)
        kw_wake(handle);
    errno = saved;
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD};
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] == SIGCHLD && settings.command == NULL)
            continue;
        /* Of nohup(1). */
        if (numbers[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 &&
            old.sa_handler == SIG_IGN)
            continue;
        sigaction(numbers[i], &action, NULL);
    }
    /* A command must not be left behind; write() tells the same. */
    signal(SIGPIPE, SIG_IGN);
}

/* The handlers use the handle: they go first. */
static void release_signals(void)
{
    signal(SIGCHLD, SIG_DFL);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

/* --- Events ------------------------------------------------------------- */

/* Whether it is one that --once and a command wait for, not news of the watch itself. */
static bool is_change(const kw_event *e)
{
    const uint32_t news = KW_READY | KW_DEGRADED | KW_ERROR | KW_RESCANNED;
    if (e->flags & KW_INITIAL && settings.command != NULL && !settings.initial_run)
        return false;
    return settings.kinds_given || !(e->kind & news);
}

/* What is written to these files, by this program or the command, would be reported, and
 * lead to more that is written, for ever. */
static struct {
    uint64_t device, inode; /* 0: it is no file */
} output[2];

static void find_output(void)
{
    for (int i = 0; i < 2; i++) {
        struct stat st;
        if (fstat(STDOUT_FILENO + i, &st) == 0 && S_ISREG(st.st_mode)) {
            output[i].device = (uint64_t)st.st_dev;
            output[i].inode = (uint64_t)st.st_ino;
        }
    }
}

static bool is_own_output(const kw_event *e)
{
    for (int i = 0; i < 2; i++)
        if (e->kind == KW_MODIFIED && e->inode != 0 && e->inode == output[i].inode &&
            e->device == output[i].device)
            return true;
    return false;
}

static void take(const kw_event *e)
{
    if (is_own_output(e))
        return;
    if (settings.replaced_only && e->kind == KW_MODIFIED && !(e->flags & KW_REPLACED))
        return;
    if (settings.print)
        print_event(e);
    if (!is_change(e))
        return;
    if (settings.command != NULL)
        command_note(e);
    batch.latest = now_ms();
    if (!batch.open)
        batch.since = batch.latest;
    batch.open = batch.any = true;
}

/* One call of kw_poll(). */
static int poll_once(int timeout_ms)
{
    static kw_event events[EVENTS];
    int n = kw_poll(handle, events, EVENTS, timeout_ms);
    for (int i = 0; i < n; i++)
        take(&events[i]);
    return n;
}

/* Whether all is written that was to be. */
static bool written(void)
{
    int error = out_flush(&out_stdout);
    if (error == 0)
        return true;
    /* EINTR: it was given up because of a signal. EPIPE: of no interest to who has gone. */
    if (error != EINTR && error != EPIPE)
        complain("standard output", strerror(error));
    return false;
}

/* --- The course of things ----------------------------------------------- */

/* False if that failed. It may have ended early, for a signal. */
static bool add_paths(void)
{
    for (size_t i = 0; i < settings.path_count; i++) {
        int n;
        crawling = 1;
        if (!settings.quiet)
            progress_begin(PROGRESS_MS);
        do
            n = stops > 0 ? KW_E_INTERRUPTED
                          : kw_add(handle, settings.paths[i], &settings.watch, &watches[i]);
        while (n == KW_E_INTERRUPTED && stops == 0);
        progress_end();
        crawling = 0;
        if (n == KW_E_INTERRUPTED)
            return true;
        if (n < 0) {
            fail(handle, n);
            return false;
        }
        print_watching(settings.paths[i]);
    }
    return written();
}

/* A first run is made unless there is something better to begin with: what is there,
 * or the appearance of a path. */
static bool runs_at_first(void)
{
    struct stat st;
    if (settings.command == NULL || !settings.initial_run || settings.once ||
        settings.command_takes_paths || settings.watch.flags & KW_INITIAL ||
        settings.watch.since != NULL)
        return false;
    for (size_t i = 0; i < settings.path_count; i++)
        if (stat(settings.paths[i], &st) < 0)
            return false;
    return true;
}

static int sooner(int timeout, int64_t other)
{
    return other < 0 || (timeout >= 0 && timeout <= other) ? timeout : (int)other;
}

/* Milliseconds until `after` have passed since `since`. */
static int64_t left(int64_t since, int after)
{
    int64_t passed = now_ms() - since;
    return passed >= after ? 0 : after - passed;
}

/* Whether --timeout does not count now. A server always runs. */
static bool is_waiting_for_command(void)
{
    return command_busy() && !settings.restart;
}

static bool is_time_up(void)
{
    return settings.timeout_ms >= 0 && !is_waiting_for_command() &&
           left(batch.latest, settings.timeout_ms) == 0;
}

/* Milliseconds that kw_poll() may wait for an event. */
static int patience(int64_t synced)
{
    int timeout = settings.command != NULL ? command_tick() : -1;
    if (batch.open || asked)
        return 0;
    if (is_waiting_for_command())
        batch.latest = now_ms();
    else if (settings.timeout_ms >= 0)
        timeout = sooner(timeout, left(batch.latest, settings.timeout_ms));
    if (settings.sync_interval_ms >= 0)
        timeout = sooner(timeout, left(synced, settings.sync_interval_ms));
    return timeout;
}

/* Until it is to end; returns the status, or -1 for an error. */
static int watch_all(void)
{
    int64_t synced = now_ms();
    bool last_look = false; /* time is up, and everything is looked at once more */
    batch.latest = synced;
    if (runs_at_first())
        command_request();

    while (stops == 0) {
        int n = poll_once(patience(synced));
        if (!written())
            return stops > 0 ? EXIT_ENDED : -1;
        if (n < 0 && n != KW_E_INTERRUPTED) {
            fail(handle, n);
            return -1;
        }
        if (asked) {
            asked = 0;
            print_stats(false);
        }
        if (batch.open && (n == 0 || now_ms() - batch.since > BATCH_MS)) {
            batch.open = last_look = false;
            if (settings.command != NULL)
                command_request();
            if (settings.once) {
                if (settings.command != NULL)
                    command_wait();
                return EXIT_ENDED;
            }
        } else if (n == 0 && last_look) {
            return batch.any ? EXIT_ENDED : EXIT_NOTHING;
        } else if (n == 0 && is_time_up()) {
            /* What has to settle, or is polled. */
            kw_sync(handle, 0);
            last_look = true;
        }
        if (settings.sync_interval_ms >= 0 && left(synced, settings.sync_interval_ms) == 0) {
            kw_sync(handle, 0);
            synced = now_ms();
        }
    }
    return EXIT_ENDED;
}

/* After a signal: what has happened before it is reported, also what has to settle. */
static void report_rest(void)
{
    int64_t since = now_ms();
    int stops_before = stops, n;
    if (!settings.print || kw_sync(handle, 0) < 0)
        return;
    do
        n = poll_once(0);
    while ((n > 0 || n == KW_E_INTERRUPTED) && written() && stops == stops_before &&
           now_ms() - since < BATCH_MS);
}

/* The tree as it has been told; what has not comes when it is read. */
static bool save(void)
{
    int64_t since = now_ms();
    int n = KW_E_BUSY;
    if (watches[0] == 0)
        return true;
    while (n == KW_E_BUSY && now_ms() - since < BATCH_MS) {
        /* What has led to no run is to lead to one then. */
        if (settings.command != NULL && !command_complete()) {
            if (!settings.quiet)
                complain(settings.save, "not written: the last changes have led to no run, or to "
                                        "one that was cut short");
            return true;
        }
        n = kw_save(handle, watches[0], settings.save);
        if (n == KW_E_BUSY && poll_once(0) < 0)
            break;
    }
    if (n < 0)
        fail(handle, n);
    return n >= 0;
}

static int run(void)
{
    int status = add_paths() ? watch_all() : -1;
    if (status >= 0 && stops > 0)
        report_rest();
    if (settings.command != NULL)
        command_stop(interrupted_at_terminal);
    if (status == EXIT_ENDED && settings.once && settings.command != NULL && batch.any)
        status = command_status();
    if (status >= 0 && settings.save != NULL && !save())
        status = -1;
    if (status >= 0) {
        if (settings.print && settings.form == FORM_TEXT && !settings.quiet)
            print_summary();
        if (settings.stats)
            print_stats(settings.print && settings.form == FORM_JSON);
        if (!written() && stops == 0)
            status = -1;
    }
    return status < 0 ? EXIT_ERROR : status;
}

int main(int argc, char **argv)
{
    static const kw_options handle_options = KW_OPTIONS_INIT;
    static const kw_watch_options watch_options = KW_WATCH_OPTIONS_INIT;
    int status, fd;

    /* Nothing that is opened later is to become standard output. */
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    close(fd);

    find_output();
    settings.handle = handle_options;
    settings.watch = watch_options;
    /* kqueue takes a descriptor for each entry. */
    settings.handle.flags = KW_RAISE_LIMIT;
    settings.watch.flags = KW_RECURSIVE;
    settings.timeout_ms = settings.sync_interval_ms = -1;
    settings.initial_run = true;
    settings.stop_signal = SIGTERM;
    settings.kill_after_ms = 5000;

    status = read_options(argc, argv, &settings);
    if (status < 0) {
        int n;
        print_begin(&settings);
        if (settings.command != NULL)
            command_begin(&settings);
        watches = calloc(settings.path_count, sizeof *watches);
        n = kw_open(&settings.handle, &handle);
        if (watches == NULL) {
            complain("memory", strerror(ENOMEM));
            status = EXIT_ERROR;
        } else if (n < 0) {
            fail(NULL, n);
            status = EXIT_ERROR;
        } else {
            catch_signals();
            status = run();
            release_signals();
        }
        kw_free(handle);
        free(watches);
        command_free();
    }
    free(settings.paths);
    return status;
}
