/* What sandbox.h describes. */
#define _XOPEN_SOURCE 700
#define _DARWIN_C_SOURCE 1
#define _NETBSD_SOURCE 1
#define __BSD_VISIBLE 1
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int tap_count, tap_failures;
void (*on_event)(const kw_event *event);

/* --- The directory ------------------------------------------------------- */

static char home[PATH_MAX];
static pid_t owner;

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s, (void)type, (void)where;
    return remove(path);
}

static void remove_all(const char *path)
{
    /* 16 descriptors: enough, and the test may have set itself a low limit. */
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void leave(void)
{
    /* A child that exits is not the one to clean up. */
    if (getpid() != owner)
        return;
    if (chdir("/") == 0)
        remove_all(home);
}

void sandbox(void)
{
    const char *temporary = getenv("TMPDIR");
    const char *seconds = getenv("KW_TEST_SECONDS");
    char path[PATH_MAX];

    if (temporary == NULL || temporary[0] != '/')
        temporary = "/tmp";
    snprintf(path, sizeof path, "%s/libkw-XXXXXX", temporary);
    /* The real path: macOS's /tmp is a symbolic link. */
    if (mkdtemp(path) == NULL || realpath(path, home) == NULL || chdir(home) != 0)
        die("make %s: %s", path, strerror(errno));
    owner = getpid();
    atexit(leave);
    make_dir("tree");
    /* A test that hangs has failed. (A disk may take a minute for 22,000 files.) */
    alarm(seconds != NULL ? (unsigned)atoi(seconds) : 180);
}

static void check(int result, const char *what, const char *path)
{
    if (result != 0)
        die("%s %s: %s", what, path, strerror(errno));
}

static void put(const char *path, const char *text, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0)
        die("open %s: %s", path, strerror(errno));
    check(write(fd, text, strlen(text)) != (ssize_t)strlen(text), "write", path);
    check(close(fd), "close", path);
}

void write_file(const char *path, const char *text)
{
    put(path, text, O_TRUNC);
}

void append(const char *path, const char *text)
{
    put(path, text, O_APPEND);
}

void make_dir(const char *path)
{
    check(mkdir(path, 0755), "mkdir", path);
}

void change_mode(const char *path, unsigned mode)
{
    check(chmod(path, (mode_t)mode), "chmod", path);
}

void age(const char *path)
{
    static long some_time;
    struct timespec t = {.tv_sec = 1000000000 + ++some_time, .tv_nsec = 123456789};
    struct timespec times[2] = {t, t};
    check(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), "utimensat", path);
}

void rename_to(const char *from, const char *to)
{
    check(rename(from, to), "rename", from);
}

void make_link(const char *from, const char *to)
{
    check(link(from, to), "link", from);
}

void make_symlink(const char *target, const char *path)
{
    check(symlink(target, path), "symlink", path);
}

void remove_file(const char *path)
{
    check(unlink(path), "unlink", path);
}

void remove_dir(const char *path)
{
    check(rmdir(path), "rmdir", path);
}

void remove_tree(const char *path)
{
    struct stat s;
    remove_all(path);
    check(lstat(path, &s) == 0, "remove", path);
}

const char *fmt(const char *format, ...)
{
    static char buffers[8][PATH_MAX * 2];
    static unsigned next;
    char *buffer = buffers[next++ % 8];
    va_list args;
    va_start(args, format);
    vsnprintf(buffer, sizeof buffers[0], format, args);
    va_end(args);
    return buffer;
}

/* --- The library --------------------------------------------------------- */

kw_handle *open_handle(void)
{
    kw_handle *h;
    int status = kw_open(NULL, &h);
    if (status != KW_OK)
        die("kw_open: %s", kw_strerror(status));
    return h;
}

kw_watch add_watch(kw_handle *h, const char *path, uint32_t flags)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_watch watch = 0;
    options.flags = flags;
    int status = kw_add(h, path, &options, &watch);
    if (status != KW_OK)
        die("kw_add %s: %s", path, kw_strerror(status));
    return watch;
}

kw_handle *watch_tree(void)
{
    kw_handle *h = open_handle();
    add_watch(h, "tree", KW_RECURSIVE);
    return h;
}

static const char *kind_name(uint32_t kind)
{
    switch (kind) {
    case KW_CREATED: return "CREATED";
    case KW_DELETED: return "DELETED";
    case KW_MODIFIED: return "MODIFIED";
    case KW_ATTRIB: return "ATTRIB";
    case KW_MOVED: return "MOVED";
    case KW_RESCANNED: return "RESCANNED";
    case KW_ROOT_GONE: return "ROOT_GONE";
    case KW_ROOT_BACK: return "ROOT_BACK";
    case KW_READY: return "READY";
    case KW_UNMOUNTED: return "UNMOUNTED";
    case KW_DEGRADED: return "DEGRADED";
    case KW_ERROR: return "ERROR";
    default: return "?";
    }
}

/* Appends one path, relative to the root; an odd byte becomes \xNN. */
static void describe_path(char *text, size_t size, const char *path, size_t len, uint32_t flags)
{
    size_t at = strlen(text);
    if (len == 0)
        path = ".", len = 1, flags = 0;
    for (size_t i = 0; i < len && at + 5 < size; i++) {
        unsigned char c = (unsigned char)path[i];
        int odd = c < 0x20 || c >= 0x7f || c == '\\';
        at += (size_t)snprintf(text + at, size - at, odd ? "\\x%02x" : "%c", c);
    }
    if (at + 1 < size && flags & (KW_IS_DIR | KW_IS_SYMLINK)) {
        text[at++] = flags & KW_IS_DIR ? '/' : '@';
        text[at] = '\0';
    }
}

void describe(const kw_event *e, char *text, size_t size)
{
    const char *more = e->flags & KW_REPLACED ? "|REPLACED" : e->flags & KW_EXPANDED ? "|EXPANDED" : "";
    snprintf(text, size, "%s%s ", kind_name(e->kind), more);
    describe_path(text, size, e->path + e->root_len, e->path_len - e->root_len, e->flags);
    if (e->dest != NULL) {
        snprintf(text + strlen(text), size - strlen(text), " -> ");
        describe_path(text, size, e->dest + e->root_len, e->dest_len - e->root_len, e->flags);
    }
    if (e->kind == KW_DEGRADED && e->count == 0)
        snprintf(text + strlen(text), size - strlen(text), " ended");
    if (e->error != 0)
        snprintf(text + strlen(text), size - strlen(text), " errno=%d", e->error);
}

/* What the header says of every event. */
static const char *malformed(const kw_event *e, uint64_t last)
{
    if (e->kind == 0 || (e->kind & (e->kind - 1)) != 0 || e->kind & ~(uint32_t)KW_ALL_EVENTS)
        return "not exactly one kind";
    if (e->flags & ~(uint32_t)(KW_IS_DIR | KW_IS_SYMLINK | KW_REPLACED | KW_INITIAL | KW_EXPANDED))
        return "unknown flags";
    if (e->flags & KW_INITIAL && e->kind != KW_CREATED && e->kind != KW_ROOT_BACK)
        return "what is no news cannot have happened";
    if (e->watch <= 0)
        return "no watch";
    if (e->path == NULL || strlen(e->path) != e->path_len)
        return "path and its length disagree";
    if ((e->kind == KW_MOVED) != (e->dest != NULL))
        return "dest where there should be none, or none where it should be";
    if (e->dest == NULL ? e->dest_len != 0 : strlen(e->dest) != e->dest_len)
        return "dest and its length disagree";
    if (e->root_len > e->path_len || (e->dest != NULL && e->root_len > e->dest_len))
        return "root longer than the path";
    if (e->dest != NULL && memcmp(e->path, e->dest, e->root_len) != 0)
        return "moved out of its root";
    if (e->path[e->root_len] == '/')
        return "the path below the root begins with a slash";
    if ((e->kind == KW_ERROR) != (e->error != 0))
        return "an error without its number, or a number without an error";
    if (e->sequence <= last)
        return "a sequence that does not rise";
    if (e->kind == KW_DELETED && (e->size != 0 || e->mtime_ns != 0))
        return "what is gone has a size or a time";
    if (e->count != 0 && e->kind != KW_DEGRADED)
        return "a count of something else than what is polled";
    if (e->reserved != 0)
        return "reserved room in use";
    return NULL;
}

static char *lines;
static size_t lines_len, lines_size;

static void free_lines(void)
{
    free(lines);
}

static void add_line(const char *line)
{
    size_t n = strlen(line);
    if (lines_len + n + 2 > lines_size) {
        if (lines == NULL)
            atexit(free_lines);
        lines_size = (lines_size + n + 2) * 2;
        lines = realloc(lines, lines_size);
        if (lines == NULL)
            die("out of memory");
    }
    lines_len += (size_t)sprintf(lines + lines_len, "%s\n", line);
}

static const char *drain_into_lines(kw_handle *h, int by_watch)
{
    /* A small array, so that there often is something left over. */
    kw_event events[7];
    uint64_t last = 0;
    int n;

    lines_len = 0;
    add_line("");
    lines[lines_len = 0] = '\0';
    while ((n = kw_poll(h, events, 7, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            char text[PATH_MAX * 2];
            int at = by_watch ? snprintf(text, sizeof text, "%d: ", events[i].watch) : 0;
            const char *wrong = malformed(&events[i], last);
            describe(&events[i], text + at, sizeof text - (size_t)at);
            if (wrong != NULL)
                ok(0, "%s: %s", text, wrong);
            last = events[i].sequence;
            add_line(text);
            if (on_event != NULL)
                on_event(&events[i]);
        }
    }
    if (n < 0)
        add_line(fmt("kw_poll: %s", kw_strerror(n)));
    return lines;
}

const char *drain(kw_handle *h)
{
    return drain_into_lines(h, 0);
}

const char *drain_by_watch(kw_handle *h)
{
    return drain_into_lines(h, 1);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *sorted(const char *text)
{
    static char out[65536];
    char *copy = strdup(text);
    char *line[1024];
    size_t n = 0;
    for (char *s = strtok(copy, "\n"); s != NULL && n < 1024; s = strtok(NULL, "\n"))
        line[n++] = s;
    qsort(line, n, sizeof line[0], by_bytes);
    out[0] = '\0';
    for (size_t i = 0, at = 0; i < n && at < sizeof out; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s\n", line[i]);
    free(copy);
    return out;
}

/* --- The system ---------------------------------------------------------- */

int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

int readable(kw_handle *h, int timeout_ms)
{
    struct pollfd p = {.fd = kw_fd(h), .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1 && p.revents & POLLIN;
}

long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* --- The replica --------------------------------------------------------- */

struct leaf {
    char *path; /* relative to the root; first, for by_path() */
    char type;  /* d, l or f for anything else */
    long long size;
    int found; /* while comparing */
    size_t at; /* in the replica's entries */
};

struct replica {
    char root[PATH_MAX];
    struct leaf **entries; /* unordered */
    size_t count, room;
    void *tree; /* the same, by path: tsearch(3) */
    int wrong;
};

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct leaf *find(replica *r, const char *path)
{
    struct leaf **found = tfind(&path, &r->tree, by_path);
    return found == NULL ? NULL : *found;
}

static void enter(replica *r, struct leaf *e)
{
    if (tsearch(e, &r->tree, by_path) == NULL)
        die("out of memory");
}

static void take_out(replica *r, struct leaf *e)
{
    tdelete(e, &r->tree, by_path);
    r->entries[e->at] = r->entries[--r->count];
    r->entries[e->at]->at = e->at;
    free(e->path);
    free(e);
}

static void insert(replica *r, const char *path, char type, long long size)
{
    if (r->count == r->room) {
        r->room = (r->room + 8) * 2;
        r->entries = realloc(r->entries, r->room * sizeof r->entries[0]);
    }
    struct leaf *e = malloc(sizeof *e);
    if (r->entries == NULL || e == NULL)
        die("out of memory");
    *e = (struct leaf){.path = strdup(path), .type = type, .size = size, .at = r->count};
    if (e->path == NULL)
        die("out of memory");
    r->entries[r->count++] = e;
    enter(r, e);
}

/* nftw(3) hands nothing through. */
static replica *walking;
static int comparing;

static int visit(const char *path, const struct stat *s, int type, struct FTW *where)
{
    const char *below = path + strlen(walking->root);
    char kind = S_ISDIR(s->st_mode) ? 'd' : S_ISLNK(s->st_mode) ? 'l' : 'f';
    long long size = kind == 'f' ? (long long)s->st_size : 0;
    (void)type;
    if (where->level == 0)
        return 0;
    below++;
    if (!comparing) {
        insert(walking, below, kind, size);
        return 0;
    }
    struct leaf *e = find(walking, below);
    if (e == NULL || e->type != kind || e->size != size) {
        diag("on disk: %s (%c, %lld bytes); in the replica: %s", below, kind, size,
             e == NULL ? "nothing" : fmt("%c, %lld bytes", e->type, e->size));
        walking->wrong++;
    }
    if (e != NULL)
        e->found = 1;
    return 0;
}

static void walk(replica *r, int compare)
{
    walking = r;
    comparing = compare;
    if (nftw(r->root, visit, 16, FTW_PHYS) != 0)
        die("walk %s: %s", r->root, strerror(errno));
}

replica *empty_replica_of(const char *root)
{
    replica *r = calloc(1, sizeof *r);
    if (r == NULL)
        die("out of memory");
    snprintf(r->root, sizeof r->root, "%s", root);
    return r;
}

replica *replica_of(const char *root)
{
    replica *r = empty_replica_of(root);
    walk(r, 0);
    return r;
}

/* Whether `path` is below `dir`. */
static int below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Whether the directory that `path` is in is there. */
static int has_parent(replica *r, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return 1;
    char *parent = strdup(path);
    parent[slash - path] = '\0';
    struct leaf *e = find(r, parent);
    free(parent);
    return e != NULL && e->type == 'd';
}

static const char *apply(replica *r, const kw_event *event)
{
    const char *path = event->path + event->root_len;
    const char *dest = event->dest == NULL ? NULL : event->dest + event->root_len;
    struct leaf *e = find(r, path);
    char type = event->flags & KW_IS_DIR ? 'd' : event->flags & KW_IS_SYMLINK ? 'l' : 'f';
    long long size = type == 'f' ? (long long)event->size : 0;

    switch (event->kind) {
    case KW_CREATED:
        if (e != NULL)
            return "is there already";
        if (!has_parent(r, path))
            return "has no directory to be in";
        insert(r, path, type, size);
        return NULL;
    case KW_MODIFIED:
    case KW_ATTRIB:
        if (*path == '\0')
            return NULL; /* the root itself */
        if (e == NULL)
            return "is not there";
        e->size = size;
        if (event->flags & KW_REPLACED)
            e->type = type;
        return e->type == type ? NULL : "is something else";
    case KW_DELETED:
        if (e == NULL)
            return "is not there";
        for (size_t i = 0; i < r->count; i++)
            if (below(r->entries[i]->path, path))
                return "is not empty";
        take_out(r, e);
        return NULL;
    case KW_MOVED:
        if (event->flags & KW_EXPANDED) /* It has moved with a directory above it. */
            return e == NULL && find(r, dest) != NULL ? NULL : "has not moved with a directory";
        if (e == NULL)
            return "is not there";
        if (find(r, dest) != NULL)
            return "moves onto something";
        if (!has_parent(r, dest) || below(dest, path))
            return "moves to where there is no directory";
        for (size_t i = 0; i < r->count; i++) {
            struct leaf *x = r->entries[i];
            if (x != e && !below(x->path, path))
                continue;
            tdelete(x, &r->tree, by_path);
            char *moved = malloc(strlen(dest) + strlen(x->path) - strlen(path) + 1);
            if (moved == NULL)
                die("out of memory");
            sprintf(moved, "%s%s", dest, x->path + strlen(path));
            free(x->path);
            x->path = moved;
            enter(r, x);
        }
        return NULL;
    default:
        return NULL;
    }
}

void replica_apply(replica *r, const kw_event *event)
{
    const char *wrong = apply(r, event);
    char text[PATH_MAX * 2];
    if (wrong == NULL)
        return;
    describe(event, text, sizeof text);
    diag("cannot be applied: %s: %s", text, wrong);
    r->wrong++;
}

int replica_differences(replica *r)
{
    for (size_t i = 0; i < r->count; i++)
        r->entries[i]->found = 0;
    walk(r, 1);
    for (size_t i = 0; i < r->count; i++) {
        if (r->entries[i]->found)
            continue;
        diag("in the replica, not on disk: %s", r->entries[i]->path);
        r->wrong++;
    }
    return r->wrong;
}

void replica_free(replica *r)
{
    while (r->count > 0)
        take_out(r, r->entries[0]);
    free(r->entries);
    free(r);
}
