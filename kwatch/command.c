/*
 * The command: one run after the other.
 *
 * Without --restart the command belongs to kwatch's process group, as a shell's
 * would to a script's: it may read from the terminal, and Ctrl-C is for both.
 *
 * With --restart it has a process group of its own, and all of that is ended
 * before the next run begins, for it may hold a port or a lock. The group is named by its
 * leader's process number, which must not be given away meanwhile; so a leader
 * that has ended of itself is not waited for (WNOWAIT) before the group is to end.
 */
#define _XOPEN_SOURCE 700
#include "kwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "out.h"

extern char **environ;

/* Bytes in KWATCH_PATHS at most. Linux takes 128 KiB in one string. */
#define VARIABLE_LIMIT 100000
/* Milliseconds between looks at whether a group has ended, of which no signal tells. */
#define GROUP_INTERVAL 20
/* Milliseconds that a killed group may take to vanish. */
#define KILL_PATIENCE 1000

enum state {
    IDLE,
    RUNNING,
    LEFT,   /* the leader has ended of itself; others of its group may run */
    ENDING, /* has had the signal that ends it */
    KILLED, /* has had SIGKILL */
};

static const struct settings *settings;
static enum state state;
static bool requested;
static pid_t leader;
static bool waited_for; /* the leader */
static bool told;       /* how it ended */
static bool cut_short;  /* because all was to end */
static int status;
static int64_t deadline; /* ENDING, KILLED; -1: none */
static struct changed changed;
static struct rlimit descriptors;
static bool descriptors_known;
static bool pipes_ignored;

void command_begin(const struct settings *s)
{
    long limit = sysconf(_SC_ARG_MAX);
    size_t room = limit > 0 ? (size_t)limit : 256 * 1024;
    size_t taken = 4096 + VARIABLE_LIMIT, places = 0;
    struct sigaction action;

    settings = s;
#ifdef __linux__
    /* What its parent leaves behind becomes our child. Otherwise it is init's, and many a
     * container has none that waits for it: then its group would never be gone. */
    if (s->restart)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
    /* The library may raise this limit for itself (KW_RAISE_LIMIT). */
    descriptors_known = getrlimit(RLIMIT_NOFILE, &descriptors) == 0;
    pipes_ignored = sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
    for (char **e = environ; *e != NULL; e++)
        taken += strlen(*e) + 1 + sizeof *e;
    for (char **a = s->command; *a != NULL; a++) {
        taken += strlen(*a) + 1 + sizeof *a;
        places += strcmp(*a, "{}") == 0;
    }
    if (room > 1024 * 1024)
        room = 1024 * 1024;
    changed_limit = places == 0 ? VARIABLE_LIMIT : taken < room ? (room - taken) / places : 0;
}

void command_note(const kw_event *e)
{
    changed_add(&changed, e->path, e->path_len);
    if (e->dest != NULL)
        changed_add(&changed, e->dest, e->dest_len);
}

/* --- Starting ----------------------------------------------------------- */

/* The paths that a run is told of: what has changed, or if that is too much all that
 * is watched. */
static size_t path_count(void)
{
    return changed.too_many ? settings->path_count : changed.count;
}

static char *path_at(size_t i)
{
    /* execvp() takes char * and leaves them alone. */
    return changed.too_many ? (char *)(uintptr_t)settings->paths[i]
                            : changed.bytes + changed.places[i];
}

/* The command with its paths in the place of {}; NULL for want of memory. */
static char **make_arguments(void)
{
    size_t count = 1, n = 0;
    char **arguments;
    for (char **a = settings->command; *a != NULL; a++)
        count += strcmp(*a, "{}") == 0 ? path_count() : 1;
    arguments = calloc(count, sizeof *arguments);
    for (char **a = settings->command; arguments != NULL && *a != NULL; a++) {
        if (strcmp(*a, "{}") != 0)
            arguments[n++] = *a;
        else
            for (size_t i = 0; i < path_count(); i++)
                arguments[n++] = path_at(i);
    }
    return arguments;
}

/* The value of KWATCH_PATHS, a line a path; NULL for want of memory. */
static char *make_variable(void)
{
    size_t length = 1, end = 0;
    char *variable;
    for (size_t i = 0; i < path_count(); i++)
        length += strlen(path_at(i)) + 1;
    variable = malloc(length);
    if (variable == NULL)
        return NULL;
    for (size_t i = 0; i < path_count(); i++) {
        size_t n = strlen(path_at(i));
        memcpy(variable + end, path_at(i), n);
        end += n;
        variable[end++] = i + 1 < path_count() ? '\n' : '\0';
    }
    return variable;
}

/* In the child. Returns if the command cannot be run. */
static void become(char **arguments, char *variable, const sigset_t *mask)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1};
    struct sigaction action;

    if (settings->restart) {
        int null = open("/dev/null", O_RDONLY);
        setpgid(0, 0);
        /* Of the terminal's background it must not read. */
        if (null >= 0 && null != STDIN_FILENO) {
            dup2(null, STDIN_FILENO);
            close(null);
        }
    }
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        if (sigaction(caught[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            signal(caught[i], SIG_DFL);
    }
    if (!pipes_ignored)
        signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, mask, NULL);
    if (descriptors_known)
        setrlimit(RLIMIT_NOFILE, &descriptors);
    if (variable != NULL)
        setenv("KWATCH_PATHS", variable, 1);
    else
        unsetenv("KWATCH_PATHS");
    execvp(arguments[0], arguments);
}

/* Returns 0, or errno if the command cannot be run. */
static int start_with(char **arguments, char *variable)
{
    int report[2], error = 0;
    sigset_t all, before;
    ssize_t n;

    if (pipe(report) < 0)
        return errno;
    fcntl(report[0], F_SETFD, FD_CLOEXEC);
    fcntl(report[1], F_SETFD, FD_CLOEXEC);
    /* A signal that comes to the child before exec is to end it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    leader = fork();
    if (leader == 0) {
        become(arguments, variable, &before);
        error = errno;
        n = write(report[1], &error, sizeof error);
        (void)n;
        _exit(127);
    }
    error = leader < 0 ? errno : 0;
    close(report[1]);
    if (leader > 0 && settings->restart)
        setpgid(leader, leader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (leader > 0) {
        do
            n = read(report[0], &error, sizeof error);
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof error)
            error = 0;
        else
            while (waitpid(leader, NULL, 0) < 0 && errno == EINTR)
                ;
    }
    close(report[0]);
    return error;
}

static int start_once(void)
{
    char **arguments = make_arguments();
    char *variable = NULL;
    int error;
    if (path_count() > 0) {
        /* The variable is smaller than the argument list. */
        bool too_many = changed.too_many;
        changed.too_many |= changed.used > VARIABLE_LIMIT;
        variable = make_variable();
        changed.too_many = too_many;
    }
    error = arguments == NULL || (path_count() > 0 && variable == NULL)
                ? ENOMEM
                : start_with(arguments, variable);
    free(variable);
    free(arguments);
    return error;
}

static void start(void)
{
    int error;
    requested = false;
    /* Of earlier runs, with groups of their own. */
    while (settings->restart && waitpid(-1, NULL, WNOHANG) > 0)
        ;
    if (settings->clear && isatty(STDOUT_FILENO))
        out_text(&out_stdout, "\033[H\033[2J\033[3J");
    out_flush(&out_stdout);
    if (settings->verbose) {
        out_text(&out_stderr, "kwatch: running");
        for (char **a = settings->command; *a != NULL; a++) {
            out_char(&out_stderr, ' ');
            out_name(&out_stderr, *a, strlen(*a));
        }
        out_char(&out_stderr, '\n');
        out_flush(&out_stderr);
    }
    error = start_once();
    if (error == E2BIG && !changed.too_many && changed.count > 0) {
        changed.too_many = true;
        error = start_once();
    }
    changed_clear(&changed);
    if (error != 0) {
        complain(settings->command[0], strerror(error));
        status = error == ENOENT ? 127 : 126;
        state = IDLE;
        return;
    }
    waited_for = told = false;
    state = RUNNING;
}

/* --- Ending ------------------------------------------------------------- */

static void kill_it(int number)
{
    if (settings->restart)
        kill(-leader, number);
    else if (!waited_for)
        kill(leader, number);
}

/* How a run has ended; of one that was told to end nobody need hear. */
static void tell(bool exited, int number)
{
    status = exited ? number : 128 + number;
    told = true;
    if (settings->quiet || (!settings->verbose && (status == 0 || state != RUNNING)))
        return;
    out_text(&out_stderr, "kwatch: ");
    out_name(&out_stderr, settings->command[0], strlen(settings->command[0]));
    out_format(&out_stderr, exited ? ": exit status %d" : ": ended by signal %d", number);
    if (!exited)
        out_format(&out_stderr, " (%s)", strsignal(number));
    out_char(&out_stderr, '\n');
    out_flush(&out_stderr);
}

/* Whether the leader has ended; `keep` leaves it to be waited for. */
static bool leader_ended(bool keep)
{
    siginfo_t info;
    int n;
    if (waited_for)
        return true;
    memset(&info, 0, sizeof info);
    n = waitid(P_PID, (id_t)leader, &info, WEXITED | WNOHANG | (keep ? WNOWAIT : 0));
    if (n < 0 ? errno != ECHILD : info.si_pid != leader)
        return false;
    waited_for = n < 0 || !keep;
    if (n == 0 && !told)
        tell(info.si_code == CLD_EXITED, info.si_status);
    return true;
}

/* Nothing is left of a run that was told to end. */
static bool gone(void)
{
    if (!leader_ended(false))
        return false;
    if (!settings->restart)
        return true;
    while (waitpid(-leader, NULL, WNOHANG) > 0)
        ;
    return (kill(-leader, 0) < 0 && errno == ESRCH) || (state == KILLED && now_ms() >= deadline);
}

static void end(void)
{
    kill_it(settings->stop_signal);
    /* What is stopped would not notice. */
    kill_it(SIGCONT);
    deadline = now_ms() + settings->kill_after_ms;
    state = ENDING;
}

void command_request(void)
{
    requested = true;
    if (settings->restart && (state == RUNNING || state == LEFT))
        end();
}

int command_tick(void)
{
    child_changed = 0;
    if (state == RUNNING && leader_ended(settings->restart))
        state = settings->restart ? LEFT : IDLE;
    if (state == ENDING || state == KILLED) {
        if (gone()) {
            state = IDLE;
        } else if (state == ENDING && deadline >= 0 && now_ms() >= deadline) {
            kill_it(SIGKILL);
            state = KILLED;
            deadline = now_ms() + KILL_PATIENCE;
        }
    }
    if (state == IDLE && requested)
        start();
    if (state != ENDING && state != KILLED)
        return -1;
    return GROUP_INTERVAL;
}

bool command_busy(void)
{
    return requested || (state != IDLE && state != LEFT);
}

bool command_complete(void)
{
    return !requested && !cut_short && changed.count == 0 && !changed.too_many;
}

/* SIGCHLD ends this sooner. */
static void sleep_a_little(void)
{
    const struct timespec interval = {0, GROUP_INTERVAL * 1000000};
    nanosleep(&interval, NULL);
}

void command_wait(void)
{
    command_tick();
    while (command_busy() && stops == 0) {
        sleep_a_little();
        command_tick();
    }
}

int command_status(void)
{
    return status;
}

void command_stop(bool at_terminal)
{
    int stops_before = stops;

    requested = false;
    cut_short = state == RUNNING && !settings->restart;
    if (cut_short && at_terminal) {
        state = ENDING;
        deadline = -1;
    } else if (state == RUNNING || state == LEFT) {
        end();
    }
    while (command_tick() >= 0) {
        /* A second signal: at once. */
        if (state == ENDING && stops != stops_before)
            deadline = now_ms();
        sleep_a_little();
    }
}

void command_free(void)
{
    changed_free(&changed);
}
