/* mirror SOURCE COPY - makes COPY, which must not exist, the same as SOURCE, and keeps it so
 * until SIGTERM or Ctrl-C; then it is as SOURCE was at that moment. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <kw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static kw_handle *h; static volatile sig_atomic_t stop;
static const char *source, *copy; static unsigned lates;
/* What was not where an event had it: it will be, or another event says where it is. */
static struct entry { uint64_t inode; uint32_t flags; char path[PATH_MAX]; } *late;
static void on_signal(int s) { (void)s, stop = 1, kw_wake(h); }
static void check(long result, const char *path) { if (result < 0) perror(path); }

/* Copies the content (of a link its target) and the mode. Whether it is there. */
static int refresh(const struct entry *one)
{
    char from[2 * PATH_MAX], to[2 * PATH_MAX], buffer[65536]; struct stat s; int in, out;
    snprintf(from, sizeof from, "%s/%s", source, one->path);
    snprintf(to, sizeof to, "%s/%s", copy, one->path);
    ssize_t n = readlink(from, buffer, sizeof buffer - 1);
    in = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    int same = (in < 0 ? lstat(from, &s) : fstat(in, &s)) == 0 && s.st_ino == one->inode;
    if (same && one->flags & KW_IS_SYMLINK && (same = n >= 0))
        buffer[n] = '\0', unlink(to), check(symlink(buffer, to), to);
    else if (same && one->flags & KW_IS_DIR)
        check(chmod(to, (s.st_mode & 07777) | S_IRWXU), to);
    else if (same) {
        unlink(to), check(out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600), to);
        while (S_ISREG(s.st_mode) && (n = read(in, buffer, sizeof buffer)) > 0)
            check(write(out, buffer, (size_t)n) == n ? 0 : -1, to);
        check(fchmod(out, s.st_mode & 07777) + close(out), to);
    }
    return close(in), same;
}

static void apply(const kw_event *e)
{
    if (e->kind > KW_MOVED && e->kind != KW_ROOT_GONE && e->kind != KW_ROOT_BACK) return;
    char at[2 * PATH_MAX], to[2 * PATH_MAX];
    static struct entry one; one.inode = e->inode, one.flags = e->flags;
    snprintf(one.path, sizeof one.path, "%s", e->path + e->root_len); /* cut: no call takes it */
    snprintf(at, sizeof at, "%s/%s", copy, one.path);
    snprintf(to, sizeof to, "%s/%s", copy, e->dest ? e->dest + e->root_len : "");
    if (e->kind & (KW_CREATED | KW_ROOT_BACK))
        check(e->flags & KW_IS_DIR ? mkdir(at, 0700) : close(creat(at, 0600)), at);
    if (e->kind & (KW_DELETED | KW_ROOT_GONE)) check(remove(at), at);
    if (e->kind == KW_MOVED && !(e->flags & KW_EXPANDED)) check(rename(at, to), at);
    for (unsigned i = lates; i-- > 0;)
        if (strcmp(late[i].path, one.path) != 0) continue;
        else if (e->kind != KW_MOVED) late[i] = late[--lates];
        else snprintf(late[i].path, sizeof one.path, "%s", e->dest + e->root_len);
    if (e->kind & (KW_DELETED | KW_MOVED | KW_ROOT_GONE) || refresh(&one)) return;
    if ((late = realloc(late, (lates + 1) * sizeof one)) == NULL) perror("mirror"), exit(1);
    late[lates++] = one;
}

int main(int argc, char **argv)
{
    kw_watch_options o = KW_WATCH_OPTIONS_INIT; kw_event e[64]; int last = 0, n = KW_E_INVALID;
    o.flags = KW_RECURSIVE | KW_INITIAL | KW_EXPANDED, source = argv[1], copy = argv[argc - 1];
    signal(SIGTERM, on_signal), signal(SIGINT, on_signal);
    if (argc == 3 && (n = kw_open(NULL, &h)) == KW_OK) n = kw_add(h, source, &o, NULL);
    for (; n >= 0 && !(n == 0 && last);) {
        last = stop; /* A poll that began after the signal, and returns 0, has told all. */
        if ((n = kw_poll(h, e, 64, last ? 0 : -1)) == KW_E_INTERRUPTED) n = last = 0;
        for (int i = 0; i < n; i++) apply(&e[i]);
        for (unsigned i = lates; i-- > 0;) if (refresh(&late[i])) late[i] = late[--lates];
    }
    return kw_free(h), n < 0 && fprintf(stderr, "mirror: %s\n", kw_strerror(n));
}
