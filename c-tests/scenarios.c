/*
 * Runs the scenarios of tests/scenarios on the disk; the README there says what
 * they may hold. They are looked for in $KW_SCENARIOS, or where an argument says:
 * a directory, or single files.
 *
 * A scenario is read as a whole before its first line is run: so one that is
 * wrong is told with its line, and one that is not for this machine is left out.
 */
#define _GNU_SOURCE /* syscall */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE 1
#define _NETBSD_SOURCE 1
#define __BSD_VISIBLE 1
#include "sandbox.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* Where we are, the most particular first; the file system may be unknown. */
enum { FILE_SYSTEM, SYSTEM, FAMILY, ALL, KERNELS };
static const char *kernels[KERNELS] = {
    [FILE_SYSTEM] = "",
    [ALL] = "",
#if defined(__linux__)
    [SYSTEM] = "linux", [FAMILY] = "inotify",
#elif defined(__APPLE__)
    [SYSTEM] = "macos", [FAMILY] = "kqueue",
#elif defined(__FreeBSD__)
    [SYSTEM] = "freebsd", [FAMILY] = "kqueue",
#elif defined(__NetBSD__)
    [SYSTEM] = "netbsd", [FAMILY] = "kqueue",
#elif defined(__OpenBSD__)
    [SYSTEM] = "openbsd", [FAMILY] = "kqueue",
#elif defined(__DragonFly__)
    [SYSTEM] = "dragonfly", [FAMILY] = "kqueue",
#else
    [SYSTEM] = "unknown", [FAMILY] = "unknown",
#endif
};

static int is_here(const char *kernel)
{
    for (int i = 0; i < ALL; i++)
        if (*kernel != '\0' && strcmp(kernel, kernels[i]) == 0)
            return 1;
    return 0;
}

/* Whether there is such a kernel somewhere: a system, one with a file system, a family. */
static int is_kernel(const char *name)
{
    static const char *const all[] = {"linux",     "macos",   "freebsd", "netbsd", "openbsd",
                                      "dragonfly", "inotify", "kqueue"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t n = strlen(all[i]);
        if (strncmp(name, all[i], n) == 0 && (name[n] == '\0' || name[n] == '-'))
            return 1;
    }
    return 0;
}

/* --- A scenario ---------------------------------------------------------- */

enum { MOST_WORDS = 8, MOST_STEPS = 256, MOST_WANTED = 8, MOST_WATCHES = 16 };

/* What is to be told, one event a line as of drain(). */
struct wanted {
    char kernel[32]; /* "" is all */
    int in_any_order;
    int never; /* each of these begins an event that may not come */
    int line;
    char *text;
};

struct step {
    int line;
    const struct verb *verb;
    char *words[MOST_WORDS]; /* with the verb */
    int count;
    int must_fail;
    struct wanted wanted[MOST_WANTED];
    int wanted_count;
};

static struct scenario {
    const char *path;
    char name[NAME_MAX + 1];
    char title[512];
    const char *skip; /* why it is not run here, or NULL */
    struct step steps[MOST_STEPS];
    int count;
    int failed, failed_at; /* the first line that went wrong */
} story;

/* One of its watches. */
static struct watched {
    kw_watch number;
    const char *name; /* "" unless `as` */
    char *root;
    replica *mirror; /* NULL where it cannot be compared */
} watches[MOST_WATCHES];
static int watch_count;
static kw_handle *handle;

static void complain(int line, const char *format, ...)
{
    char text[16384];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    diag("%s:%d: %s", story.path, line, text);
    if (!story.failed)
        story.failed_at = line;
    story.failed = 1;
}

static char *copy(const char *text)
{
    char *s = strdup(text);
    if (s == NULL)
        die("out of memory");
    return s;
}

/* --- What is done -------------------------------------------------------- */

/* Where a path of a scenario is: the root is "tree", beside it are its siblings. */
static const char *place(const char *path)
{
    if (strcmp(path, ".") == 0)
        return "tree";
    if (strncmp(path, "../", 3) == 0)
        return path + 3;
    return fmt("tree/%s", path);
}

/* All of these return 0, or -1 and errno. */

static int put(const char *path, const char *text, int flags)
{
    int fd = open(place(path), O_WRONLY | O_CLOEXEC | flags, 0644);
    size_t n = strlen(text);
    if (fd < 0)
        return -1;
    int result = write(fd, text, n) == (ssize_t)n ? 0 : -1;
    return close(fd) == 0 ? result : -1;
}

static int do_mkdir(char **w, int n)
{
    (void)n;
    return mkdir(place(w[1]), 0755);
}

static int do_mkdirs(char **w, int n)
{
    (void)n;
    for (char *slash = w[1]; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        int result = mkdir(place(w[1]), 0755);
        *slash = '/';
        if (result != 0 && errno != EEXIST)
            return -1;
    }
    return mkdir(place(w[1]), 0755);
}

static int do_create(char **w, int n)
{
    (void)n;
    return put(w[1], "", O_CREAT | O_EXCL);
}

static int do_write(char **w, int n)
{
    return put(w[1], n > 2 ? w[2] : "", O_CREAT | O_TRUNC);
}

static int do_append(char **w, int n)
{
    return put(w[1], n > 2 ? w[2] : "", O_APPEND);
}

static int do_overwrite(char **w, int n)
{
    return put(w[1], n > 2 ? w[2] : "", 0);
}

static int do_truncate(char **w, int n)
{
    (void)n;
    return truncate(place(w[1]), strtol(w[2], NULL, 10));
}

static int do_chmod(char **w, int n)
{
    (void)n;
    return chmod(place(w[1]), (mode_t)strtol(w[2], NULL, 8));
}

static int do_age(char **w, int n)
{
    struct stat s;
    (void)n;
    if (lstat(place(w[1]), &s) != 0)
        return -1;
    age(place(w[1]));
    return 0;
}

static int do_rm(char **w, int n)
{
    (void)n;
    return unlink(place(w[1]));
}

static int do_rmdir(char **w, int n)
{
    (void)n;
    return rmdir(place(w[1]));
}

static int do_rmtree(char **w, int n)
{
    struct stat s;
    (void)n;
    if (lstat(place(w[1]), &s) != 0)
        return -1;
    remove_tree(place(w[1]));
    return 0;
}

static int do_mv(char **w, int n)
{
    (void)n;
    return rename(place(w[1]), place(w[2]));
}

static int do_swap(char **w, int n)
{
    (void)n;
#if defined(SYS_renameat2)
    return (int)syscall(SYS_renameat2, AT_FDCWD, place(w[1]), AT_FDCWD, place(w[2]),
                        1u << 1 /* RENAME_EXCHANGE */);
#elif defined(__APPLE__)
    return renameatx_np(AT_FDCWD, place(w[1]), AT_FDCWD, place(w[2]), RENAME_SWAP);
#else
    (void)w;
    errno = ENOSYS;
    return -1;
#endif
}

static int do_ln(char **w, int n)
{
    (void)n;
    return link(place(w[1]), place(w[2]));
}

static int do_symlink(char **w, int n)
{
    (void)n;
    return symlink(w[1], place(w[2]));
}

static int do_mkfifo(char **w, int n)
{
    (void)n;
    return mkfifo(place(w[1]), 0644);
}

/* A call of the library that fails leaves its status here, for errno has no place for it. */
static int status;

static const struct {
    const char *word;
    uint32_t flag;
    int partial; /* not all there is will be reported */
} flags[] = {
    {"dirs", KW_DIR_MODIFIED, 0},  {"all", KW_SYNC_ALL, 0},       {"initial", KW_INITIAL, 0},
    {"onlydirs", KW_DIRS_ONLY, 1}, {"onedevice", KW_ONE_DEVICE, 1}, {"nohidden", KW_SKIP_HIDDEN, 1},
    {"gitignore", KW_GITIGNORE, 1}, {"expanded", KW_EXPANDED, 0},  {"missing", KW_ALLOW_MISSING, 0},
};
#define FLAGS (sizeof flags / sizeof flags[0])

/* Where what is known of a watch is saved. */
static const char *snapshot(const char *name)
{
    return fmt("%s.snapshot", name);
}

static int do_watch(char **w, int n)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    struct watched *one = &watches[watch_count];
    const char *path = ".";
    struct stat s;
    int i = 1;

    *one = (struct watched){.name = ""};
    options.flags = KW_RECURSIVE;
    char *since = NULL;
    const char *exclude[MOST_WORDS + 1], *include[MOST_WORDS + 1];
    int excluded = 0, included = 0, partial = 0;
    for (; i < n; i++) {
        size_t f = 0;
        while (f < FLAGS && strcmp(w[i], flags[f].word) != 0)
            f++;
        if (f < FLAGS)
            options.flags |= flags[f].flag, partial |= flags[f].partial;
        else if (strcmp(w[i], "flat") == 0)
            options.flags &= ~(uint32_t)KW_RECURSIVE;
        else if (strcmp(w[i], "as") == 0 && i + 1 < n)
            one->name = w[++i];
        else if (strncmp(w[i], "exclude=", 8) == 0)
            exclude[excluded++] = w[i] + 8;
        else if (strncmp(w[i], "include=", 8) == 0)
            include[included++] = w[i] + 8;
        else if (strncmp(w[i], "depth=", 6) == 0)
            options.depth = (uint32_t)atoi(w[i] + 6);
        else if (strncmp(w[i], "since=", 6) == 0)
            since = copy(snapshot(w[i] + 6));
        else if (strncmp(w[i], "settle=", 7) == 0)
            options.settle_ms = (uint32_t)atoi(w[i] + 7);
        else if (i == 1)
            path = w[i];
        else {
            errno = EINVAL;
            return -1;
        }
    }
    exclude[excluded] = include[included] = NULL;
    options.exclude = exclude;
    options.include = include;
    options.since = since;
    partial |= excluded > 0 || included > 0 || options.depth > 0;
    if (watch_count == MOST_WATCHES - 1) {
        errno = EINVAL;
        return -1;
    }
    one->root = copy(place(path));
    status = kw_add(handle, one->root, &options, &one->number);
    if (since != NULL) /* It is compared with what was, not with what is. */
        partial = 1;
    free(since);
    if (status != KW_OK) {
        free(one->root);
        return -1;
    }
    /* What is a part only, or no directory, does not compare with what nftw(3) finds. */
    if (options.flags & KW_RECURSIVE && !partial && lstat(one->root, &s) == 0 && S_ISDIR(s.st_mode))
        one->mirror =
            options.flags & KW_INITIAL ? empty_replica_of(one->root) : replica_of(one->root);
    watch_count++;
    return 0;
}

static void forget(struct watched *one)
{
    free(one->root);
    if (one->mirror != NULL)
        replica_free(one->mirror);
}

static int do_unwatch(char **w, int n)
{
    for (int i = 0; i < watch_count; i++) {
        if (strcmp(watches[i].name, n > 1 ? w[1] : "") != 0)
            continue;
        status = kw_remove(handle, watches[i].number);
        forget(&watches[i]);
        watches[i] = watches[--watch_count];
        return status == KW_OK ? 0 : -1;
    }
    errno = ENOENT;
    return -1;
}

static int do_save(char **w, int n)
{
    const char *name = n > 2 ? w[1] : "";
    for (int i = 0; i < watch_count; i++)
        if (strcmp(watches[i].name, name) == 0) {
            status = kw_save(handle, watches[i].number, snapshot(w[n - 1]));
            return status == KW_OK ? 0 : -1;
        }
    errno = ENOENT;
    return -1;
}

static int do_sync(char **w, int n)
{
    (void)w, (void)n;
    status = kw_sync(handle, 0);
    return status == KW_OK ? 0 : -1;
}

static int do_budget(char **w, int n)
{
    (void)n;
    uint64_t limit = strcmp(w[1], "none") == 0 ? KW_NO_LIMIT : strtoull(w[1], NULL, 10);
    status = kw_set_watch_limit(handle, limit);
    return status == KW_OK ? 0 : -1;
}

/* A verb without a function is for the simulation, or (only, except) for the reader. */
static const struct verb {
    const char *name;
    int least, most; /* words after it */
    int (*run)(char **words, int count);
} verbs[] = {
    {"mkdir", 1, 1, do_mkdir},
    {"mkdirs", 1, 1, do_mkdirs},
    {"create", 1, 1, do_create},
    {"write", 1, 2, do_write},
    {"append", 1, 2, do_append},
    {"overwrite", 1, 2, do_overwrite},
    {"truncate", 2, 2, do_truncate},
    {"chmod", 2, 2, do_chmod},
    {"age", 1, 1, do_age},
    {"rm", 1, 1, do_rm},
    {"rmdir", 1, 1, do_rmdir},
    {"rmtree", 1, 1, do_rmtree},
    {"mv", 2, 2, do_mv},
    {"swap", 2, 2, do_swap},
    {"ln", 2, 2, do_ln},
    {"symlink", 2, 2, do_symlink},
    {"mkfifo", 1, 1, do_mkfifo},
    {"watch", 0, 6, do_watch},
    {"unwatch", 0, 1, do_unwatch},
    {"save", 1, 2, do_save},
    {"sync", 0, 0, do_sync},
    {"budget", 1, 1, do_budget},
    {"looks", 1, 1, NULL},
    {"only", 1, MOST_WORDS, NULL},
    {"except", 1, MOST_WORDS, NULL},
    {"overflow", 0, 0, NULL},
    {"limit", 1, 1, NULL},
    {"fail", 3, 3, NULL},
    {"mount", 1, 2, NULL},
    {"unmount", 1, 1, NULL},
    {"notice", 1, 1, NULL},
    {"revoke", 1, 1, NULL},
    {"mmap", 1, 1, NULL},
    {"clone", 1, 2, NULL},
    {"granule", 1, 1, NULL},
    {"queue", 1, 1, NULL},
    {"kindless", 0, 0, NULL},
    {"pace", 1, 1, NULL},
    {"poll", 0, 0, NULL},
    {"peek", 0, 0, NULL},
    {"cancel", 0, 0, NULL},
    {"casefold", 0, 0, NULL},
    {"wait", 1, 1, NULL},
};

/* --- Reading ------------------------------------------------------------- */

/* The first `c` that has no backslash before it, or the end. */
static char *unescaped(char *s, char c)
{
    for (; *s != '\0' && *s != c; s++)
        if (*s == '\\' && s[1] != '\0')
            s++;
    return s;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    for (size_t n = strlen(s); n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'); n--)
        s[n - 1] = '\0';
    return s;
}

/* In place. Returns 0, or -1 if something else follows a backslash. */
static int unescape(char *s)
{
    static const char letters[] = "snt\\|,", bytes[] = " \n\t\\|,";
    char *out = s;
    while (*s != '\0') {
        char hex[3] = "";
        const char *letter;
        if (*s != '\\') {
            *out++ = *s++;
        } else if (s[1] == 'x' && isxdigit((unsigned char)s[2]) && isxdigit((unsigned char)s[3])) {
            memcpy(hex, s + 2, 2);
            *out++ = (char)strtol(hex, NULL, 16);
            s += 4;
        } else if (s[1] != '\0' && (letter = strchr(letters, s[1])) != NULL) {
            *out++ = bytes[letter - letters];
            s += 2;
        } else {
            return -1;
        }
    }
    *out = '\0';
    return 0;
}

/* Appends an event as record() would write it. */
static int want(struct wanted *w, char *event)
{
    /* REPLACED is short for more; it may stand after a watch's name. */
    char *kind = event + strcspn(event, ": ");
    kind = *kind == ':' ? kind + 1 + strspn(kind + 1, " ") : event;
    int replaced = strncmp(kind, "REPLACED ", 9) == 0;
    size_t size = strlen(w->text) + strlen(event) * 4 + sizeof "MODIFIED|\n";
    if (unescape(event) != 0)
        return -1;
    w->text = realloc(w->text, size);
    if (w->text == NULL)
        die("out of memory");
    char *out = w->text + strlen(w->text);
    for (char *s = event; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (s == kind && replaced)
            out += sprintf(out, "MODIFIED|");
        out += sprintf(out, c < 0x20 || c >= 0x7f || c == '\\' ? "\\x%02x" : "%c", c);
    }
    strcpy(out, "\n");
    return 0;
}

/* What stands after a `|`. */
static void read_right(struct step *step, char *s, int line)
{
    struct wanted *w;

    if (*s == '+') {
        if (step->wanted_count == 0) {
            complain(line, "nothing that goes on here");
            return;
        }
        w = &step->wanted[step->wanted_count - 1];
        s++;
    } else {
        if (step->wanted_count == MOST_WANTED) {
            complain(line, "too many expectations");
            return;
        }
        w = &step->wanted[step->wanted_count++];
        *w = (struct wanted){.line = line, .text = copy("")};
        if (*s == '!')
            w->never = 1, s++;
        if (*s == '~')
            w->in_any_order = 1, s++;
        /* A kernel's name follows at once; `as` puts a watch's there after a blank. */
        size_t n = strcspn(s, ": \t");
        if (n > 0 && s[n] == ':') {
            snprintf(w->kernel, sizeof w->kernel, "%.*s", (int)n, s);
            if (!is_kernel(w->kernel))
                complain(line, "no kernel: %s", w->kernel);
            s += n + 1;
        }
        for (int i = 0; i < step->wanted_count - 1; i++)
            if (strcmp(step->wanted[i].kernel, w->kernel) == 0 && !w->never &&
                !step->wanted[i].never)
                complain(line, "a second expectation for the same kernel");
    }
    while (*s != '\0') {
        char *end = unescaped(s, ',');
        char *next = end + (*end == ',');
        *end = '\0';
        s = trim(s);
        if (*s != '\0' && want(w, s) != 0)
            complain(line, "an unknown escape");
        s = next;
    }
}

static const struct verb *verb_named(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int is_number(const char *s)
{
    return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

/* Whether this is one of the kernels that a line `only` or `except` names. */
static int names_us(const struct step *step)
{
    int here = 0;
    for (int i = 1; i < step->count; i++) {
        if (!is_kernel(step->words[i]))
            complain(step->line, "no kernel: %s", step->words[i]);
        here |= is_here(step->words[i]);
    }
    return here;
}

/* What stands before a `|`. */
static void read_left(struct step *step, char *s)
{
    char *words[MOST_WORDS + 3];
    int n = 0, first = 0, simulated = 0;

    while (*(s = s + strspn(s, " \t")) != '\0') {
        if (n == MOST_WORDS + 3) {
            complain(step->line, "too many words");
            return;
        }
        words[n++] = s;
        s += strcspn(s, " \t");
        if (*s != '\0')
            *s++ = '\0';
    }
    if (first < n && strcmp(words[first], "-") == 0)
        step->must_fail = 1, first++;
    if (first < n && words[first][0] == '@' &&
        (is_number(words[first] + 1) || strcmp(words[first], "@*") == 0))
        simulated = 1, first++;
    if (first + 1 < n && (strcmp(words[first], "late") == 0 || strcmp(words[first], "early") == 0) &&
        is_number(words[first + 1]))
        simulated = 1, first += 2;
    if (first < n && strcmp(words[first], "?") == 0)
        simulated = 1, first++;
    for (; first < n && step->count < MOST_WORDS; first++) {
        step->words[step->count++] = words[first];
        if (unescape(words[first]) != 0)
            complain(step->line, "an unknown escape");
    }
    step->verb = step->count > 0 ? verb_named(step->words[0]) : NULL;
    if (step->verb == NULL) {
        complain(step->line, "nothing that can be done: %s", step->count > 0 ? step->words[0] : "");
        return;
    }
    n = step->count - 1;
    if (n < step->verb->least || n > step->verb->most)
        complain(step->line, "%s: too few or too many words", step->verb->name);
    if (strcmp(step->verb->name, "only") == 0)
        simulated = !names_us(step);
    else if (strcmp(step->verb->name, "except") == 0)
        simulated = names_us(step);
    else if (step->verb->run == NULL)
        simulated = 1;
    /* One that is for another kernel is run by the simulation of that. */
    if (simulated)
        story.skip = "needs the simulation";
#if !defined(SYS_renameat2) && !defined(__APPLE__)
    if (step->verb->run == do_swap)
        story.skip = "no exchange of names on this system";
#endif
}

/* The whole file, or NULL. */
static char *read_file(const char *path)
{
    size_t n = 0, size = 65536;
    char *text = malloc(size);
    FILE *f = fopen(path, "r");
    if (text == NULL || f == NULL) {
        free(text);
        if (f != NULL)
            fclose(f);
        return NULL;
    }
    n = fread(text, 1, size - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

/* Fills `story` from `text`, which it cuts into pieces and points into. */
static void read_story(char *text)
{
    int line = 0;
    for (char *s = text, *next; *s != '\0'; s = next) {
        next = s + strcspn(s, "\n");
        if (*next != '\0')
            *next++ = '\0';
        line++;
        if (line == 1 && strncmp(s, "# ", 2) != 0)
            complain(line, "the first line does not say what this proves");
        else if (line == 1)
            snprintf(story.title, sizeof story.title, "%s", s + 2);
        if (*s == '#' || s[strspn(s, " \t")] == '\0')
            continue;
        char *right = unescaped(s, '|');
        int polled = *right == '|';
        *right = '\0';
        s = trim(s);
        if (*s != '\0') {
            if (story.count == MOST_STEPS) {
                complain(line, "too many lines");
                return;
            }
            struct step *step = &story.steps[story.count++];
            *step = (struct step){.line = line};
            read_left(step, s);
        } else if (story.count == 0) {
            complain(line, "nothing was done before");
            return;
        }
        if (polled)
            read_right(&story.steps[story.count - 1], right + 1, line);
    }
    if (story.count == 0)
        complain(line, "an empty scenario");
}

/* --- Running ------------------------------------------------------------- */

static char told[1 << 18];
static size_t told_len;

static void record(const kw_event *event)
{
    if (told_len + PATH_MAX * 2 + 64 > sizeof told)
        die("%s: too many events", story.path);
    /* That nothing is polled any more is told when a round shows it. */
    if (event->kind == KW_DEGRADED && event->count == 0)
        return;
    for (int i = 0; i < watch_count; i++) {
        if (watches[i].number != event->watch)
            continue;
        if (*watches[i].name != '\0')
            told_len += (size_t)sprintf(told + told_len, "%.32s: ", watches[i].name);
        if (watches[i].mirror != NULL)
            replica_apply(watches[i].mirror, event);
    }
    describe(event, told + told_len, sizeof told - told_len);
    strcat(told + told_len, "\n");
    told_len += strlen(told + told_len);
}

/* Polls; what came is in `told`. */
static void poll_all(int line)
{
    told[told_len = 0] = '\0';
    const char *text = drain(handle);
    const char *error = strstr(text, "kw_poll: ");
    if (error != NULL)
        complain(line, "%s", error);
}

/* Whether what was told has a line that begins with one of these. */
static int was_told(const struct wanted *never)
{
    for (const char *event = never->text, *end; *event != '\0'; event = end + 1) {
        end = strchr(event, '\n');
        for (const char *line = told; *line != '\0'; line = strchr(line, '\n') + 1)
            if (strncmp(line, event, (size_t)(end - event)) == 0)
                return 1;
    }
    return 0;
}

static void compare(const struct step *step)
{
    const struct wanted *w = NULL;
    for (int kernel = 0; kernel < KERNELS && w == NULL; kernel++)
        for (int i = 0; i < step->wanted_count && w == NULL; i++)
            if ((kernel == ALL || *kernels[kernel] != '\0') &&
                !step->wanted[i].never && strcmp(step->wanted[i].kernel, kernels[kernel]) == 0)
                w = &step->wanted[i];
    poll_all(step->line);
    for (int i = 0; i < step->wanted_count; i++) {
        const struct wanted *never = &step->wanted[i];
        if (never->never && (*never->kernel == '\0' || is_here(never->kernel)) && was_told(never))
            complain(never->line, "never expected:\n%sgot:\n%s", never->text, told);
    }
    if (w == NULL)
        return; /* nothing is said of this kernel */
    char *got = copy(w->in_any_order ? sorted(told) : told);
    const char *expected = w->in_any_order ? sorted(w->text) : w->text;
    if (strcmp(got, expected) != 0)
        complain(w->line, "expected:\n%sgot:\n%s", expected, told);
    free(got);
}

/* Whether it was done, or failed as it should. */
static int run(const struct step *step)
{
    status = KW_OK;
    errno = 0;
    int failed = step->verb->run((char **)step->words, step->count) != 0;
    if (failed == step->must_fail)
        return 1;
    complain(step->line, "%s: %s", step->words[0],
             !failed            ? "should have failed"
             : status != KW_OK ? kw_strerror(status)
                                : strerror(errno));
    return 0;
}

/* All events together lead to what is on the disk. */
static void check_replicas(void)
{
    struct stat s;
    int last = story.steps[story.count - 1].line;
    poll_all(last);
    for (int i = 0; i < watch_count; i++)
        if (watches[i].mirror != NULL && lstat(watches[i].root, &s) == 0 && S_ISDIR(s.st_mode) &&
            replica_differences(watches[i].mirror) != 0)
            complain(last, "the events do not lead to what is on the disk");
}

static void run_story(void)
{
    static int number;
    char home[16];

    snprintf(home, sizeof home, "%d", ++number);
    make_dir(home);
    if (chdir(home) != 0)
        die("chdir %s: %s", home, strerror(errno));
    make_dir("tree");
    handle = open_handle();
    for (int i = 0; i < story.count; i++) {
        struct step *step = &story.steps[i];
        if (step->verb->run == NULL)
            continue;
        if (!run(step))
            break;
        if (step->wanted_count > 0)
            compare(step);
    }
    check_replicas();
    kw_free(handle);
    while (watch_count > 0)
        forget(&watches[--watch_count]);
    if (chdir("..") != 0)
        die("chdir: %s", strerror(errno));
    remove_tree(home);
}

static void try_file(const char *path)
{
    const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    char *text = read_file(path);

    memset(&story, 0, sizeof story);
    story.path = path;
    snprintf(story.name, sizeof story.name, "%.*s", (int)strcspn(name, "."), name);
    if (text == NULL)
        complain(0, "cannot be read");
    else
        read_story(text);
    if (!story.failed && story.skip == NULL)
        run_story();
    const char *label = fmt("%s: %s", story.name, story.title);
    if (!story.failed && story.skip != NULL)
        skip(label, story.skip);
    else
        tap_result(!story.failed, path, story.failed_at, "%s", label);
    for (int i = 0; i < story.count; i++)
        for (int k = 0; k < story.steps[i].wanted_count; k++)
            free(story.steps[i].wanted[k].text);
    free(text);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void try_directory(const char *path)
{
    char *files[4096];
    size_t n = 0;
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (dir == NULL)
        die("%s: %s", path, strerror(errno));
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (len > 4 && strcmp(entry->d_name + len - 4, ".txt") == 0 && n < 4096)
            files[n++] = copy(fmt("%s/%s", path, entry->d_name));
    }
    closedir(dir);
    qsort(files, n, sizeof files[0], by_name);
    ok(n > 0, "there are scenarios in %s", path);
    for (size_t i = 0; i < n; i++) {
        try_file(files[i]);
        free(files[i]);
    }
}

int main(int argc, char **argv)
{
    const char *where = getenv("KW_SCENARIOS");
    const char *file_system = getenv("KW_SCENARIO_KERNEL");
    char paths[64][PATH_MAX];
    int n = 0;
    struct stat s;

    if (file_system != NULL)
        kernels[FILE_SYSTEM] = file_system;
    if (argc == 1)
        argv[argc++] = (char *)(where != NULL ? where : "tests/scenarios");
    /* The sandbox is elsewhere. */
    for (int i = 1; i < argc && n < 64; i++, n++)
        if (realpath(argv[i], paths[n]) == NULL)
            die("%s: %s", argv[i], strerror(errno));
    sandbox();
    on_event = record;
    for (int i = 0; i < n; i++) {
        if (stat(paths[i], &s) == 0 && S_ISDIR(s.st_mode))
            try_directory(paths[i]);
        else
            try_file(paths[i]);
    }
    return done();
}
