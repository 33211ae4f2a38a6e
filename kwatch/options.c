/* The command line. */
#define _XOPEN_SOURCE 700
#include "kwatch.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

/* Options without a letter. */
enum {
    NO_HIDDEN = 256, INITIAL, DIR_MODIFIED, EXPAND_MOVES, SYNC_ALL, SYNC_INTERVAL,
    SETTLE_MAX, COLOR, STATS, SIGNAL, KILL_AFTER, POLL, POLL_INTERVAL, THREADS, WATCH_LIMIT,
    DEPTH, SINCE, SAVE,
};

/* In the order of --help. Without a name: a heading. */
static const struct {
    const char *name;
    int code;
    const char *argument; /* NULL: none; [=X]: may be left out */
    const char *help;
} table[] = {
    {NULL, 0, NULL, "What is watched:"},
    {"no-recursive", 'R', NULL, "only PATH and its direct entries"},
    {"depth", DEPTH, "N", "no more than N levels below PATH"},
    {"exclude", 'e', "GLOB", "not what matches; may be repeated"},
    {"include", 'i', "GLOB", "of files only what matches; may be repeated"},
    {"gitignore", 'g', NULL, "not what .gitignore files exclude, nor .git"},
    {"no-hidden", NO_HIDDEN, NULL, "no names that begin with a dot"},
    {"dirs-only", 'd', NULL, "only directories"},
    {"one-file-system", 'x', NULL, "stay in the file system of PATH"},
    {"wait", 'w', NULL, "PATH need not exist yet"},

    {NULL, 0, NULL, "What is reported:"},
    {"kinds", 'k', "LIST", "these kinds of events only (created,deleted,...)"},
    {"initial", INITIAL, NULL, "begin with what is there, as created"},
    {"expand-moves", EXPAND_MOVES, NULL, "with a directory that moves all that is in it"},
    {"dir-modified", DIR_MODIFIED, NULL, "directories whose entries changed as modified"},
    {"settle", 's', "TIME", "when nothing has happened for so long"},
    {"settle-max", SETTLE_MAX, "TIME", "but at the latest after this (10 times --settle)"},
    {"since", SINCE, "FILE", "begin with what has changed since FILE was saved"},
    {"save", SAVE, "FILE", "save the state of PATH at the end"},

    {NULL, 0, NULL, "When it ends:"},
    {"once", '1', NULL, "after the first changes, or the run that they lead to"},
    {"timeout", 't', "TIME", "when nothing has changed for so long"},

    {NULL, 0, NULL, "Output:"},
    {"json", 'j', NULL, "a JSON object a line"},
    {"format", 'f', "STRING", "STRING for each event; see kwatch(1)"},
    {"print0", '0', NULL, "paths alone, a NUL after each; with -f a NUL for a line break"},
    {"color", COLOR, "[=WHEN]", "always, never or auto"},
    {"stats", STATS, NULL, "statistics at the end"},
    {"quiet", 'q', NULL, "nothing but events and errors"},
    {"verbose", 'v', NULL, "what is watched and run, on standard error"},

    {NULL, 0, NULL, "With a COMMAND:"},
    {"restart", 'r', NULL, "end it when something changes, and run it anew"},
    {"signal", SIGNAL, "NAME", "what ends it (TERM)"},
    {"kill-after", KILL_AFTER, "TIME", "how long it may take to end (5s)"},
    {"no-initial-run", 'n', NULL, "not before something has changed"},
    {"clear", 'c', NULL, "clear the screen before each run"},
    {"print", 'p', NULL, "print the events, too"},

    {NULL, 0, NULL, "How it watches:"},
    {"poll", POLL, NULL, "by looking from time to time only"},
    {"poll-interval", POLL_INTERVAL, "TIME", "how often to look at what has no kernel watch (1s)"},
    {"sync-all", SYNC_ALL, NULL, "find what no kernel tells of, too"},
    {"sync-interval", SYNC_INTERVAL, "TIME",
     "how often to look at everything (1m with --sync-all)"},
    {"threads", THREADS, "N", "how many take part in a large crawl"},
    {"watch-limit", WATCH_LIMIT, "N", "take no more than N kernel watches"},

    {NULL, 0, NULL, NULL},
    {"help", 'h', NULL, "this"},
    {"version", 'V', NULL, "the version"},
};
#define TABLE (sizeof table / sizeof table[0])

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"TERM", SIGTERM},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"KILL", SIGKILL},
};

int usage_error(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (text[0] != '\0')
        complain(text, NULL);
    out_text(&out_stderr, "usage: kwatch [option]... [path]... [-- command [argument]...]\n"
                          "       kwatch --help tells the options\n");
    out_flush(&out_stderr);
    return EXIT_USAGE;
}

static int help(void)
{
    out *o = &out_stdout;
    out_text(o, "usage: kwatch [OPTION]... [PATH]... [-- COMMAND [ARGUMENT]...]\n"
                "\n"
                "Prints what changes below each PATH (default: .), or runs COMMAND when\n"
                "something does. An argument {} of it is replaced by the changed paths.\n");
    for (size_t i = 0; i < TABLE; i++) {
        char option[48];
        const char *argument = table[i].argument;
        if (table[i].name == NULL) {
            out_char(o, '\n');
            if (table[i].help != NULL)
                out_format(o, "%s\n", table[i].help);
            continue;
        }
        snprintf(option, sizeof option, "--%s%s%s", table[i].name,
                 argument == NULL || argument[0] == '[' ? "" : " ",
                 argument == NULL ? "" : argument);
        if (table[i].code < 256)
            out_format(o, "  -%c, %-21s %s\n", table[i].code, option, table[i].help);
        else
            out_format(o, "      %-21s %s\n", option, table[i].help);
    }
    out_text(o, "\n"
                "TIME is a number and ms, s, m or h; without a unit milliseconds.\n"
                "Kinds: created deleted modified replaced attrib moved rescanned root-gone\n"
                "root-back ready unmounted degraded error.\n"
                "Exit status: 0 ended as asked, 1 error, 2 usage, 3 timeout and no change;\n"
                "with --once that of the command.\n");
    return out_flush(o) == 0 ? EXIT_ENDED : EXIT_ERROR;
}

static int version(void)
{
    out_format(&out_stdout, "kwatch %d.%d.%d, libkw %s\n", KW_VERSION_MAJOR, KW_VERSION_MINOR,
               KW_VERSION_PATCH, kw_version());
    return out_flush(&out_stdout) == 0 ? EXIT_ENDED : EXIT_ERROR;
}

/* A number from `min` to `max` and nothing else. */
static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *value = n;
    return errno == 0 && *end == '\0' && n >= min && n <= max;
}

/* "200", "200ms", "1.5s", "2m", "1h": in milliseconds; -1 if it is none of these. */
static int duration(const char *text)
{
    static const struct {
        const char *name;
        int ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
    size_t whole = strspn(text, "0123456789");
    size_t part = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    const char *unit = text + whole + (part > 0 ? part + 1 : 0);
    if (whole == 0 || whole > 10)
        return -1;
    double n = strtod(text, NULL);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return n * units[i].ms <= INT_MAX ? (int)(n * units[i].ms) : -1;
    return -1;
}

/* A comma-separated list. */
static bool read_kinds(const char *list, struct settings *s)
{
    static bool replaced_only = true;
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ",");
        bool replaced = false;
        uint32_t kind = kind_by_name(at, length, &replaced);
        if (kind == 0) {
            usage_error("there is no kind of event named \"%.*s\"", (int)length, at);
            return false;
        }
        if (kind & KW_MODIFIED && !replaced)
            replaced_only = false;
        s->watch.events |= kind;
        at += length;
        if (*at == '\0')
            break;
    }
    s->kinds_given = true;
    s->replaced_only = replaced_only && s->watch.events & KW_MODIFIED;
    return true;
}

static int read_signal(const char *name)
{
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (strcmp(name, signals[i].name) == 0)
            return signals[i].number;
    return 0;
}

static const char *option_name(int code)
{
    for (size_t i = 0; i < TABLE; i++)
        if (table[i].name != NULL && table[i].code == code)
            return table[i].name;
    return "?";
}

/* An option that has a time or a number. */
static bool read_value(int code, const char *text, struct settings *s)
{
    uint64_t n = 0;
    int ms = 0;
    bool good;
    switch (code) {
    case DEPTH:
        good = number(text, 1, UINT32_MAX, &n);
        s->watch.depth = (uint32_t)n;
        break;
    case THREADS:
        good = number(text, 1, UINT32_MAX, &n);
        s->handle.crawl_threads = (uint32_t)n;
        break;
    case WATCH_LIMIT:
        good = number(text, 1, UINT64_MAX, &n);
        s->handle.watch_limit = n;
        break;
    default:
        ms = duration(text);
        good = ms >= (code == POLL_INTERVAL || code == SYNC_INTERVAL ? 1 : 0);
        break;
    }
    if (!good) {
        usage_error("--%s: \"%s\" is not acceptable", option_name(code), text);
        return false;
    }
    switch (code) {
    case 's': s->watch.settle_ms = (uint32_t)ms; break;
    case SETTLE_MAX: s->watch.settle_max_ms = (uint32_t)ms; break;
    case 't': s->timeout_ms = ms; break;
    case KILL_AFTER: s->kill_after_ms = ms; break;
    case POLL_INTERVAL: s->handle.poll_interval_ms = (uint32_t)ms; break;
    case SYNC_INTERVAL: s->sync_interval_ms = ms; break;
    }
    return true;
}

static bool read_color(const char *when, struct settings *s)
{
    if (when == NULL || strcmp(when, "always") == 0)
        s->color = WHEN_ALWAYS;
    else if (strcmp(when, "never") == 0)
        s->color = WHEN_NEVER;
    else if (strcmp(when, "auto") == 0)
        s->color = WHEN_AUTO;
    else
        return false;
    return true;
}

/* By code. */
static bool given[512];

static int check(struct settings *s)
{
    static const int for_commands[] = {'r', 'n', 'c', 'p', SIGNAL, KILL_AFTER};
    for (size_t i = 0; s->command == NULL && i < sizeof for_commands / sizeof for_commands[0]; i++)
        if (given[for_commands[i]])
            return usage_error("--%s: there is no command", option_name(for_commands[i]));
    if (given['j'] && (given['0'] || given['f']))
        return usage_error("--json goes with neither --format nor --print0");
    if (given['R'] && given[DEPTH])
        return usage_error("--depth and --no-recursive contradict each other");
    if (given[POLL] && given[WATCH_LIMIT])
        return usage_error("--poll and --watch-limit contradict each other");
    if (given['q'] && given['v'])
        return usage_error("--quiet and --verbose contradict each other");
    if (s->path_count > 1 && (given[SINCE] || given[SAVE]))
        return usage_error("--since and --save are for one path");
    if (given[SINCE] && given[INITIAL])
        return usage_error("--since and --initial contradict each other");
    if (given[SETTLE_MAX] && s->watch.settle_ms == 0)
        return usage_error("--settle-max: there is no --settle");
    if (given[SETTLE_MAX] && s->watch.settle_max_ms < s->watch.settle_ms)
        return usage_error("--settle-max is less than --settle");
    return -1;
}

int read_options(int argc, char **argv, struct settings *s)
{
    static struct option longs[TABLE + 1];
    /* '-': what is no option comes as option 1. So what is before "--" is known from
     * what is behind, which are path and command. */
    static char shorts[2 * TABLE + 2] = "-";
    const char **words = calloc(3 * ((size_t)argc + 1), sizeof *words);
    const char **exclude, **include;
    const char *last = NULL;
    size_t excluded = 0, included = 0, n = 0;
    int code;

    if (words == NULL) {
        complain("memory", strerror(ENOMEM));
        return EXIT_ERROR;
    }
    s->paths = words;
    exclude = words + argc + 1;
    include = exclude + argc + 1;
    for (size_t i = 0; i < TABLE; i++) {
        if (table[i].name == NULL)
            continue;
        longs[n].name = table[i].name;
        longs[n].val = table[i].code;
        longs[n++].has_arg = table[i].argument == NULL       ? no_argument
                             : table[i].argument[0] == '[' ? optional_argument
                                                           : required_argument;
        if (table[i].code < 256) {
            size_t end = strlen(shorts);
            shorts[end] = (char)table[i].code;
            if (table[i].argument != NULL)
                shorts[end + 1] = ':';
        }
    }

    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        last = optarg;
        if (code > 0 && code < (int)(sizeof given / sizeof given[0]))
            given[code] = true;
        switch (code) {
        case 1: s->paths[s->path_count++] = optarg; break;
        case 'R': s->watch.flags &= ~(uint32_t)KW_RECURSIVE; break;
        case 'e': exclude[excluded++] = optarg; break;
        case 'i': include[included++] = optarg; break;
        case 'g': s->watch.flags |= KW_GITIGNORE; break;
        case NO_HIDDEN: s->watch.flags |= KW_SKIP_HIDDEN; break;
        case 'd': s->watch.flags |= KW_DIRS_ONLY; break;
        case 'x': s->watch.flags |= KW_ONE_DEVICE; break;
        case 'w': s->watch.flags |= KW_ALLOW_MISSING; break;
        case INITIAL: s->watch.flags |= KW_INITIAL; break;
        case EXPAND_MOVES: s->watch.flags |= KW_EXPANDED; break;
        case DIR_MODIFIED: s->watch.flags |= KW_DIR_MODIFIED; break;
        case SYNC_ALL: s->watch.flags |= KW_SYNC_ALL; break;
        case 'k':
            if (!read_kinds(optarg, s))
                return EXIT_USAGE;
            break;
        case '1': s->once = true; break;
        case 'j': s->form = FORM_JSON; break;
        case 'f':
            s->form = FORM_STRING;
            s->format = optarg;
            if (format_defect(optarg) != NULL)
                return usage_error("--format: %s", format_defect(optarg));
            break;
        case '0': s->print0 = true; break;
        case COLOR:
            if (!read_color(optarg, s))
                return usage_error("--color: \"%s\" is none of always, never, auto", optarg);
            break;
        case STATS: s->stats = true; break;
        case 'q': s->quiet = true; break;
        case 'v': s->verbose = true; break;
        case 'r': s->restart = true; break;
        case SIGNAL:
            s->stop_signal = read_signal(optarg);
            if (s->stop_signal == 0)
                return usage_error("--signal: there is no signal \"%s\"", optarg);
            break;
        case 'n': s->initial_run = false; break;
        case 'c': s->clear = true; break;
        case 'p': s->print = true; break;
        case SINCE: s->watch.since = optarg; break;
        case SAVE: s->save = optarg; break;
        case POLL: s->handle.flags |= KW_POLL_ONLY; break;
        case 'h': return help();
        case 'V': return version();
        case '?': return usage_error("%s", "");
        default:
            if (!read_value(code, optarg, s))
                return EXIT_USAGE;
            break;
        }
    }

    if (optind < argc)
        s->command = argv + optind;
    else if (argc > 1 && strcmp(argv[argc - 1], "--") == 0 && argv[argc - 1] != last)
        return usage_error("there is no command after \"--\"");
    for (char **word = s->command; word != NULL && *word != NULL; word++)
        s->command_takes_paths |= strcmp(*word, "{}") == 0;
    if (s->path_count == 0)
        s->paths[s->path_count++] = ".";
    s->watch.exclude = excluded > 0 ? exclude : NULL;
    s->watch.include = included > 0 ? include : NULL;
    if (s->print0 && s->form == FORM_TEXT)
        s->form = FORM_PATHS;
    if (s->command == NULL || s->form != FORM_TEXT)
        s->print = true;
    /* An editor's save is several changes: one run is enough for them. */
    if (s->command != NULL && !given['s'])
        s->watch.settle_ms = given[SETTLE_MAX] && s->watch.settle_max_ms < 50
                                 ? s->watch.settle_max_ms
                                 : 50;
    if (s->watch.flags & KW_SYNC_ALL && !given[SYNC_INTERVAL])
        s->sync_interval_ms = 60 * 1000;
    return check(s);
}
