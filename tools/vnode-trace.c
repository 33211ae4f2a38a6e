/*
 * vnode-trace - records which EVFILT_VNODE notes the kernel of this machine posts
 * to which watched vnode, one file-system operation at a time. What comes out is
 * a Markdown table; tests/traces has those of other kernels, with equal labels.
 *
 *     cc tools/vnode-trace.c -o vnode-trace                    (macOS, the BSDs)
 *     cc tools/vnode-trace.c $(pkg-config --cflags --libs libkqueue) -o vnode-trace
 *     ./vnode-trace [DIRECTORY]
 *
 * It works in a new directory below DIRECTORY, or else below $TMPDIR, and removes
 * it. Which file system that is on matters as much as the kernel: each posts its
 * own notes. Exit status: 0, 1 if an operation failed, 2 if the call was wrong.
 *
 * Nothing of libkw is used, so that this file alone can be sent to a machine.
 */
#if defined(__linux__)
#define _GNU_SOURCE 1 /* renameat2, copy_file_range, O_PATH */
#elif defined(__NetBSD__)
#define _NETBSD_SOURCE 1 /* -std=c11 hides kevent there */
#elif defined(__APPLE__)
#define _DARWIN_C_SOURCE 1
#endif

#include <sys/types.h>
#include <sys/param.h>
#include <sys/event.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/vfs.h>
#include <sys/xattr.h>
#elif defined(__NetBSD__)
#include <sys/extattr.h>
#include <sys/statvfs.h>
#else
#include <sys/mount.h>
#if defined(__FreeBSD__)
#include <sys/extattr.h>
#elif defined(__APPLE__)
#include <sys/clonefile.h>
#include <sys/xattr.h>
#endif
#endif

/* ---- what this system has ------------------------------------------------- */

/* DragonFly has calls for it, but no file system that does it. */
#if !defined(__OpenBSD__) && !defined(__DragonFly__)
#define HAVE_XATTR 1
#endif
#if defined(__linux__) || (defined(__FreeBSD__) && __FreeBSD_version >= 1300037)
#define HAVE_COPY_RANGE 1
#endif
#if defined(__linux__) || defined(__FreeBSD__) || \
    (defined(__NetBSD__) && __NetBSD_Version__ >= 700000000)
#define HAVE_FALLOCATE 1
#endif
#if defined(RENAME_SWAP) || defined(RENAME_EXCHANGE)
#define HAVE_EXCHANGE 1
#endif

/* macOS: what is open with O_EVTONLY does not keep a volume mounted; it is how
 * a watcher opens there. */
#if defined(O_EVTONLY)
#define OPEN_TO_WATCH (O_EVTONLY | O_NONBLOCK)
#else
#define OPEN_TO_WATCH (O_RDONLY | O_NONBLOCK)
#endif

/* How a symbolic link itself is opened. NetBSD, OpenBSD and DragonFly cannot.
 * libkqueue takes an O_PATH descriptor, but then looks the path up again, so that
 * its rows tell of what the link leads to. */
#if defined(O_SYMLINK)
#define OPEN_LINK (OPEN_TO_WATCH | O_SYMLINK)
#elif defined(O_PATH)
#define OPEN_LINK (O_PATH | O_NOFOLLOW)
#endif

static const struct {
    unsigned bit;
    const char *name;
} notes[] = {
    {NOTE_DELETE, "DELETE"},
    {NOTE_WRITE, "WRITE"},
    {NOTE_EXTEND, "EXTEND"},
    {NOTE_ATTRIB, "ATTRIB"},
    {NOTE_LINK, "LINK"},
    {NOTE_RENAME, "RENAME"},
#ifdef NOTE_REVOKE /* libkqueue has none */
    {NOTE_REVOKE, "REVOKE"},
#endif
/* By name, not by number: 0x80 is NOTE_OPEN on FreeBSD and NetBSD, NOTE_NONE on
 * macOS. OpenBSD and libkqueue have this one. */
#ifdef NOTE_TRUNCATE
    {NOTE_TRUNCATE, "TRUNCATE"},
#endif
};
#define NOTES (sizeof notes / sizeof notes[0])

/* ---- what is said after the table ----------------------------------------- */

static int failures;
static char remarks[16384]; /* a comment within a table would end the table */

static void remark(const char *format, ...)
{
    size_t used = strlen(remarks);
    va_list args;

    va_start(args, format);
    vsnprintf(remarks + used, sizeof remarks - used, format, args);
    va_end(args);
}

/* ---- paths ------------------------------------------------------------------ */

#define PATH_ROOM 1024
static char base[PATH_ROOM - 64]; /* 64: for the longest name below it */

static const char *at(const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", base, name);
    return path;
}

/* Removes what is at a path, with all in it. An entry that is removed while its
 * directory is listed can make others be left out (HFS+), hence the rounds. */
static void scrub(const char *path)
{
    struct stat st;
    int round;

    if (lstat(path, &st) < 0)
        return;
    if (!S_ISDIR(st.st_mode)) {
        unlink(path);
        return;
    }
    for (round = 0; round < 4 && rmdir(path) < 0; round++) {
        DIR *dir = opendir(path);
        struct dirent *entry;

        if (dir == NULL)
            return;
        while ((entry = readdir(dir)) != NULL) {
            char child[PATH_ROOM];

            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if ((size_t)snprintf(child, sizeof child, "%s/%s", path, entry->d_name) < sizeof child)
                scrub(child);
        }
        closedir(dir);
    }
}

/* ---- watches ------------------------------------------------------------------ */

/* One for each column of the table, in its order. */
static const char columns[] = "DEFRX";
#define COLUMNS 5
static struct watch {
    int fd; /* -1: nothing is watched */
    int events;
    int refused; /* errno of EV_ADD */
    unsigned fflags;
    unsigned flags;
} watches[COLUMNS] = {{-1, 0, 0, 0, 0}, {-1, 0, 0, 0, 0}, {-1, 0, 0, 0, 0},
                       {-1, 0, 0, 0, 0}, {-1, 0, 0, 0, 0}};
static int kq = -1;
static volatile sig_atomic_t stop;

/* Not by udata: an integer on NetBSD before 10, a pointer elsewhere. */
static struct watch *watch_of(int fd)
{
    int i;

    for (i = 0; i < COLUMNS; i++)
        if (watches[i].fd == fd)
            return &watches[i];
    return NULL;
}

/* Fetches until nothing has come for a while. Kernels post before the system
 * call returns, so that one fetch would do; libkqueue passes on what inotify
 * tells it. The limit is for one that never falls silent. */
static void drain(int record)
{
    int fetches;

    for (fetches = 0; fetches < 64; fetches++) {
        struct kevent events[COLUMNS];
        struct timespec quiet = {0, 50 * 1000 * 1000};
        int i, n = kevent(kq, NULL, 0, events, COLUMNS, &quiet);

        if (n < 0 && errno == EINTR && !stop)
            continue;
        if (n <= 0) {
            if (n < 0 && !stop) {
                failures++;
                remark("<!-- FAILED kevent: %s -->\n", strerror(errno));
            }
            return;
        }
        for (i = 0; record && i < n; i++) {
            struct watch *w = watch_of((int)events[i].ident);

            if (w == NULL) {
                remark("<!-- an event of descriptor %d, which is not watched -->\n",
                       (int)events[i].ident);
                continue;
            }
            w->events++;
            w->fflags |= (unsigned)events[i].fflags;
            w->flags |= (unsigned)events[i].flags;
        }
    }
    if (record)
        remark("<!-- still events after %d fetches -->\n", fetches);
}

static void forget(void)
{
    int i;

    for (i = 0; i < COLUMNS; i++) {
        if (watches[i].fd >= 0)
            close(watches[i].fd);
        memset(&watches[i], 0, sizeof watches[i]);
        watches[i].fd = -1;
    }
    if (kq >= 0)
        close(kq);
    kq = -1;
}

static void print_cell(const struct watch *w)
{
    unsigned rest = w->fflags;
    const char *plus = "";
    size_t i;

    if (w->fd < 0) {
        printf("  |");
        return;
    }
    putchar(' ');
    if (w->refused) {
        printf("EV_ADD: %s |", strerror(w->refused));
        return;
    }
    for (i = 0; i < NOTES; i++) {
        if (w->fflags & notes[i].bit) {
            printf("%s%s", plus, notes[i].name);
            plus = "+";
            rest &= ~notes[i].bit;
        }
    }
    /* Kernels deliver bits that were not asked for, if one that was is with them. */
    if (rest) {
        printf("%s0x%x", plus, rest);
        plus = "+";
    }
    /* A revocation, even without a note. */
    if (w->flags & EV_EOF) {
        printf("%sEOF", plus);
        plus = "+";
    }
    if (*plus == '\0')
        printf("%s", w->events ? "an event without notes" : "none");
    printf(" |");
}

/* ---- operations that take more than one call ----------------------------------- */

static const struct timeval long_ago[2] = {{1000000000, 0}, {1000000000, 0}};

/* For copy_file_range: ZFS clones blocks that are on the disk, and copies others. */
static int fill(int fd)
{
    static char block[65536];
    int i;

    memset(block, 'x', sizeof block);
    for (i = 0; i < 4; i++)
        if (write(fd, block, sizeof block) < 0)
            return -1;
    return fsync(fd);
}

static int map_write(int fd, int sync)
{
    char *memory = mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return -1;
    memory[0] = 'Z';
    if (sync && msync(memory, 5, MS_SYNC) < 0)
        return -1;
    return munmap(memory, 5);
}

static int list(const char *path)
{
    DIR *dir = opendir(path);

    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        ;
    return closedir(dir);
}

/* Which nobody may be refused. */
static int chown_to_owner(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? -1 : chown(path, st.st_uid, st.st_gid);
}

/* Fails unless two names that differ in case are one. */
static int same_name(const char *a, const char *b)
{
    struct stat one, other;

    if (stat(a, &one) < 0 || stat(b, &other) < 0)
        return -1;
    errno = EEXIST;
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino ? 0 : -1;
}

#ifdef HAVE_FALLOCATE
static int fallocated(int fd, off_t size)
{
    errno = posix_fallocate(fd, 0, size);
    return errno ? -1 : 0;
}
#endif

#ifdef F_PREALLOCATE
static int preallocate(int fd, off_t size)
{
    fstore_t store;

    memset(&store, 0, sizeof store);
    store.fst_flags = F_ALLOCATEALL;
    store.fst_posmode = F_PEOFPOSMODE;
    store.fst_length = size;
    return fcntl(fd, F_PREALLOCATE, &store);
}
#endif

#ifdef HAVE_COPY_RANGE
static int copy_range(int in, const char *name)
{
    char path[PATH_ROOM];
    int error, out = open(at(name, path), O_RDWR);
    ssize_t n = -1;

    if (out < 0)
        return -1;
    do
        n = copy_file_range(in, NULL, out, NULL, 262144, 0);
    while (n > 0);
    error = errno;
    close(out);
    errno = error;
    return (int)n;
}
#endif

/* ---- operations ----------------------------------------------------------------- */

/* The rows below are written in these words. Each gets two arguments, "" if there
 * are fewer; it returns a negative number and sets errno if it failed. */

static int held = -1;

static int close_after(int fd, long result)
{
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return result < 0 ? -1 : 0;
}

/* A call with paths: `a` and `b` are those that the arguments name. */
#define BY_PATH(word, call)                              \
    static int do_##word(const char *one, const char *two) \
    {                                                    \
        char a[PATH_ROOM], b[PATH_ROOM];                 \
                                                         \
        at(one, a);                                      \
        at(two, b);                                      \
        return (int)(call);                              \
    }

/* A call with a descriptor `fd` of the file that the first argument names. */
#define BY_FD(word, flags, call)                           \
    static int do_##word(const char *one, const char *two) \
    {                                                      \
        char a[PATH_ROOM];                                 \
        int fd = open(at(one, a), flags, 0644);            \
                                                           \
        (void)two;                                         \
        return close_after(fd, fd < 0 ? -1 : (long)(call)); \
    }

#define NUMBER(text) ((off_t)atol(text))

/* Without a text nothing is written, not even 0 bytes. */
BY_FD(new, O_CREAT | O_RDWR, *two ? write(fd, two, strlen(two)) : 0)
BY_FD(new_exclusive, O_CREAT | O_EXCL | O_RDWR, 0)
BY_FD(new_large, O_CREAT | O_RDWR, fill(fd))
BY_FD(open_trunc, O_TRUNC | O_RDWR, 0)
BY_FD(write, O_RDWR, write(fd, two, strlen(two)))
BY_FD(write_at, O_RDWR, pwrite(fd, "far", 3, NUMBER(two)))
BY_FD(append, O_RDWR | O_APPEND, write(fd, two, strlen(two)))
BY_FD(read, O_RDONLY, read(fd, a, 5))
BY_FD(ftruncate, O_RDWR, ftruncate(fd, NUMBER(two)))
BY_FD(map_write, O_RDWR, map_write(fd, *two != '\0'))
BY_FD(hold, O_RDWR, held = dup(fd))
BY_PATH(truncate, truncate(a, NUMBER(two)))
BY_PATH(list, list(a))
BY_PATH(chmod, chmod(a, (mode_t)strtol(two, NULL, 8)))
BY_PATH(chown, chown_to_owner(a))
BY_PATH(utimes, utimes(a, long_ago))
BY_PATH(link, link(a, b))
BY_PATH(rename, rename(a, b))
BY_PATH(symlink, symlink(one, b))
BY_PATH(unlink, unlink(a))
BY_PATH(mkdir, mkdir(a, 0755))
BY_PATH(rmdir, rmdir(a))
BY_PATH(mkfifo, mkfifo(a, 0644))
BY_PATH(same_name, same_name(a, b))

#if defined(__linux__)
BY_PATH(set_xattr, setxattr(a, "user.vnode-trace", "value", 5, 0))
BY_PATH(drop_xattr, removexattr(a, "user.vnode-trace"))
#elif defined(__APPLE__)
BY_PATH(set_xattr, setxattr(a, "user.vnode-trace", "value", 5, 0, 0))
BY_PATH(drop_xattr, removexattr(a, "user.vnode-trace", 0))
#elif defined(HAVE_XATTR)
BY_PATH(set_xattr, extattr_set_file(a, EXTATTR_NAMESPACE_USER, "vnode-trace", "value", 5))
BY_PATH(drop_xattr, extattr_delete_file(a, EXTATTR_NAMESPACE_USER, "vnode-trace"))
#endif
#ifdef UF_NODUMP
BY_PATH(chflags, chflags(a, UF_NODUMP))
#endif
#ifdef HAVE_FALLOCATE
BY_FD(fallocate, O_RDWR, fallocated(fd, NUMBER(two)))
#endif
#ifdef F_PREALLOCATE
BY_FD(preallocate, O_RDWR, preallocate(fd, NUMBER(two)))
#endif
#ifdef HAVE_COPY_RANGE
BY_FD(copy_range, O_RDONLY, copy_range(fd, two))
#endif
#ifdef __APPLE__
BY_PATH(clone, clonefile(a, b, 0))
#endif
#if defined(RENAME_SWAP)
BY_PATH(exchange, renamex_np(a, b, RENAME_SWAP))
#elif defined(RENAME_EXCHANGE)
BY_PATH(exchange, renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE))
#endif
#ifdef OPEN_LINK
BY_PATH(utimes_link, utimensat(AT_FDCWD, a, NULL, AT_SYMLINK_NOFOLLOW))
#endif

static int do_write_held(const char *text, const char *unused)
{
    int fd = held;

    (void)unused;
    held = -1;
    return close_after(fd, write(fd, text, strlen(text)));
}

/* What came until here is not for this row. */
static int do_drain(const char *unused, const char *unused2)
{
    (void)unused;
    (void)unused2;
    drain(0);
    return 0;
}

static const struct {
    const char *word;
    int (*run)(const char *, const char *);
} words[] = {
    {"new", do_new},
    {"new-exclusive", do_new_exclusive},
    {"new-large", do_new_large},
    {"open-trunc", do_open_trunc},
    {"write", do_write},
    {"append", do_append},
    {"write-at", do_write_at},
    {"read", do_read},
    {"list", do_list},
    {"truncate", do_truncate},
    {"ftruncate", do_ftruncate},
    {"map-write", do_map_write},
    {"chmod", do_chmod},
    {"chown", do_chown},
    {"utimes", do_utimes},
    {"link", do_link},
    {"rename", do_rename},
    {"symlink", do_symlink},
    {"unlink", do_unlink},
    {"mkdir", do_mkdir},
    {"rmdir", do_rmdir},
    {"mkfifo", do_mkfifo},
    {"hold", do_hold},
    {"write-held", do_write_held},
    {"drain", do_drain},
    {"same-name", do_same_name},
#ifdef HAVE_XATTR
    {"set-xattr", do_set_xattr},
    {"drop-xattr", do_drop_xattr},
#endif
#ifdef UF_NODUMP
    {"chflags", do_chflags},
#endif
#ifdef HAVE_FALLOCATE
    {"fallocate", do_fallocate},
#endif
#ifdef F_PREALLOCATE
    {"preallocate", do_preallocate},
#endif
#ifdef HAVE_COPY_RANGE
    {"copy-range", do_copy_range},
#endif
#ifdef __APPLE__
    {"clone", do_clone},
#endif
#ifdef HAVE_EXCHANGE
    {"exchange", do_exchange},
#endif
#ifdef OPEN_LINK
    {"utimes-link", do_utimes_link},
#endif
};
#define WORDS (sizeof words / sizeof words[0])

/* ---- rows --------------------------------------------------------------------- */

/* What was there before, what is watched and what is done. D is the directory a,
 * E is b; both are there and empty when a row begins. Steps are parted by commas.
 * In front of a step: `!`, it must fail; `?`, not every file system can do it,
 * and if this one cannot the row is left out.
 *
 * A watch is a column's letter, how it comes about and a path: `:` opened, then
 * registered; `@` the symbolic link itself; `~` removed between the two. */
struct row {
    const char *label;
    const char *before;
    const char *watched;
    const char *steps;
};

/* The labels are what recordings are compared by: they are never changed. */
static const struct row rows[] = {
    {"open(O_CREAT) new empty file in D, close", "", "D:a", "new a/f"},
    {"create + write 5 bytes (no drain between)", "", "D:a", "new a/f hello"},
    {"open(O_CREAT) of an existing file, close", "new a/f hello", "D:a F:a/f", "new a/f"},
    {"open(O_TRUNC) of a 5-byte file", "new a/f hello", "D:a F:a/f", "open-trunc a/f"},
    {"open(O_TRUNC) of an empty file", "new a/f", "D:a F:a/f", "open-trunc a/f"},
    {"write inside the file (overwrite, same size)", "new a/f hello", "D:a F:a/f",
     "write a/f HE"},
    {"write of 0 bytes", "new a/f hello", "D:a F:a/f", "write a/f"},
    {"append (O_APPEND write, file grows)", "new a/f hello", "D:a F:a/f", "append a/f more"},
    {"first write into an empty file", "new a/f", "D:a F:a/f", "write a/f more"},
    {"ftruncate shrink 5 -> 2", "new a/f hello", "D:a F:a/f", "ftruncate a/f 2"},
    {"ftruncate to 0", "new a/f hello", "D:a F:a/f", "ftruncate a/f 0"},
    {"ftruncate grow 5 -> 100", "new a/f hello", "D:a F:a/f", "ftruncate a/f 100"},
    {"ftruncate to the same size", "new a/f hello", "D:a F:a/f", "ftruncate a/f 5"},
    {"truncate(path) shrink 5 -> 2", "new a/f hello", "D:a F:a/f", "truncate a/f 2"},
    {"read the file", "new a/f hello", "D:a F:a/f", "read a/f"},
    {"mmap(MAP_SHARED) write + msync(MS_SYNC)", "new a/f hello", "D:a F:a/f",
     "?map-write a/f sync"},
    {"chmod file", "new a/f hello", "D:a F:a/f", "chmod a/f 600"},
    {"chown file (same owner)", "new a/f hello", "D:a F:a/f", "chown a/f"},
    {"utimes file", "new a/f hello", "D:a F:a/f", "utimes a/f"},
    {"chmod dir D/c", "mkdir a/c", "D:a F:a/c", "chmod a/c 700"},
    {"utimes dir D/c", "mkdir a/c", "D:a F:a/c", "utimes a/c"},
    {"read directory D/c (getdents)", "mkdir a/c", "D:a F:a/c", "list a/c"},
    {"link(2) D/f -> D/h", "new a/f hello", "D:a F:a/f", "link a/f a/h"},
    {"link(2) D/f -> E/h", "new a/f hello", "D:a E:b F:a/f", "link a/f b/h"},
    {"unlink one of two links (R: fd opened by the other name)",
     "new a/f hello, link a/f a/h", "D:a F:a/f R:a/h", "unlink a/f"},
    {"unlink the last link", "new a/f hello", "D:a F:a/f", "unlink a/f"},
    {"unlink an empty file (last link)", "new a/f", "D:a F:a/f", "unlink a/f"},
    {"unlink, then recreate the same name (one drain)", "new a/f hello", "D:a F:a/f",
     "unlink a/f, new a/f new"},
    {"write through an fd after the last unlink (F armed before unlink)",
     "new a/f hello, hold a/f", "D:a F:a/f", "unlink a/f, drain, write-held 123456789"},
    {"mkdir D/c", "", "D:a", "mkdir a/c"},
    {"rmdir of the empty dir D/c", "mkdir a/c", "D:a F:a/c", "rmdir a/c"},
    {"rmdir, then mkdir the same name (one drain)", "mkdir a/c", "D:a F:a/c",
     "rmdir a/c, mkdir a/c"},
    {"create file inside child dir D/c (F = D/c)", "mkdir a/c", "D:a F:a/c", "new a/c/x 1"},
    {"mkdir inside child dir D/c (F = D/c)", "mkdir a/c", "D:a F:a/c", "mkdir a/c/s"},
    {"remove the tree D/c/x, D/c (X = D/c/x)", "mkdir a/c, new a/c/x 1", "D:a F:a/c X:a/c/x",
     "unlink a/c/x, rmdir a/c"},
    {"rename file within D: f -> g", "new a/f hello", "D:a F:a/f", "rename a/f a/g"},
    {"rename file across: D/f -> E/f", "new a/f hello", "D:a E:b F:a/f", "rename a/f b/f"},
    {"rename file within D over existing g (R = old g)", "new a/f hello, new a/g old",
     "D:a F:a/f R:a/g", "rename a/f a/g"},
    {"rename file across over existing E/g (R = old E/g)", "new a/f hello, new b/g old",
     "D:a E:b F:a/f R:b/g", "rename a/f b/g"},
    {"rename over existing g that has a second link E/h (R = old g)",
     "new a/f hello, new a/g old, link a/g b/h", "D:a F:a/f R:a/g", "rename a/f a/g"},
    {"rename f onto h, two links of one file (POSIX no-op)", "new a/f hello, link a/f a/h",
     "D:a F:a/f R:a/h", "rename a/f a/h"},
    {"rename f onto itself", "new a/f hello", "D:a F:a/f", "rename a/f a/f"},
    {"editor save: write D/h, rename h over f (R = old f)", "new a/f hello", "D:a R:a/f",
     "new a/h new-text, rename a/h a/f"},
    {"rename dir within D: c -> c2", "mkdir a/c", "D:a F:a/c", "rename a/c a/c2"},
    {"rename non-empty dir c -> c2, then unlink c2/x and recreate it (X = file c/x)",
     "mkdir a/c, new a/c/x 1", "D:a F:a/c X:a/c/x",
     "rename a/c a/c2, unlink a/c2/x, new a/c2/x 2"},
    {"rename dir across: D/c -> E/c", "mkdir a/c", "D:a E:b F:a/c", "rename a/c b/c"},
    {"rename non-empty dir across: D/c -> E/c (X = file c/x)", "mkdir a/c, new a/c/x 1",
     "D:a E:b F:a/c X:a/c/x", "rename a/c b/c"},
    {"rename dir within D over empty dir c2 (R = old c2)", "mkdir a/c, mkdir a/c2",
     "D:a F:a/c R:a/c2", "rename a/c a/c2"},
    {"rename dir across over empty dir E/c (R = old E/c)", "mkdir a/c, mkdir b/c",
     "D:a E:b F:a/c R:b/c", "rename a/c b/c"},
    {"symlink create D/l", "", "D:a", "symlink nowhere a/l"},
    {"symlink delete D/l", "symlink nowhere a/l", "D:a", "unlink a/l"},
    {"mkfifo D/l", "", "D:a", "mkfifo a/l"},
    {"unlink the symlink to a watched file (F = target)", "new a/f hello, symlink f a/l",
     "D:a F:a/f", "unlink a/l"},
    {"delete of the watched top dir (F = a, nobody watches its parent)", "", "F:a",
     "rmdir a"},
    {"rename of the watched top dir a -> b/c (E = b, F = a)", "", "E:b F:a", "rename a b/c"},
    {"two creates with no drain between (D)", "", "D:a", "new a/f, new a/g"},
    {"same dir opened twice, two knotes (D and X)", "", "D:a X:a", "new a/f"},

/* What the first recordings do not have. */
#ifdef HAVE_XATTR
    {"set an extended attribute of file", "new a/f hello", "D:a F:a/f", "?set-xattr a/f"},
    {"remove an extended attribute of file", "new a/f hello, ?set-xattr a/f", "D:a F:a/f",
     "?drop-xattr a/f"},
    {"set an extended attribute of dir D/c", "mkdir a/c", "D:a F:a/c", "?set-xattr a/c"},
#endif
#ifdef UF_NODUMP
    {"chflags file (UF_NODUMP)", "new a/f hello", "D:a F:a/f", "?chflags a/f"},
#endif
    {"write beyond the end (at 100 of a 5-byte file)", "new a/f hello", "D:a F:a/f",
     "write-at a/f 100"},
    {"mmap(MAP_SHARED) write + munmap, no msync", "new a/f hello", "D:a F:a/f",
     "?map-write a/f"},
#ifdef HAVE_FALLOCATE
    {"posix_fallocate grow 5 -> 4096", "new a/f hello", "D:a F:a/f", "?fallocate a/f 4096"},
    {"posix_fallocate inside a file with a hole", "new a/f, ftruncate a/f 65536",
     "D:a F:a/f", "?fallocate a/f 65536"},
#endif
#ifdef F_PREALLOCATE
    {"fcntl(F_PREALLOCATE) 64 KiB, same size", "new a/f hello", "D:a F:a/f",
     "?preallocate a/f 65536"},
#endif
#ifdef HAVE_COPY_RANGE
    {"copy_file_range 256 KiB into the empty file f (X = source g)",
     "new a/f, new-large a/g", "D:a F:a/f X:a/g", "?copy-range a/g a/f"},
    {"copy_file_range 256 KiB over f of the same size (X = source g)",
     "new-large a/f, new-large a/g", "D:a F:a/f X:a/g", "?copy-range a/g a/f"},
#endif
#ifdef __APPLE__
    {"clonefile f -> g", "new a/f hello", "D:a F:a/f", "?clone a/f a/g"},
    {"clonefile dir c -> c2 (X = file c/x)", "mkdir a/c, new a/c/x 1", "D:a F:a/c X:a/c/x",
     "?clone a/c a/c2"},
#endif
#ifdef HAVE_EXCHANGE
    {"exchange files within D: f and g (R = old g)", "new a/f hello, new a/g old",
     "D:a F:a/f R:a/g", "?exchange a/f a/g"},
    {"exchange files across: D/f and E/g (R = old E/g)", "new a/f hello, new b/g old",
     "D:a E:b F:a/f R:b/g", "?exchange a/f b/g"},
    {"exchange dirs within D: c and c2 (R = old c2, X = file c/x)",
     "mkdir a/c, new a/c/x 1, mkdir a/c2", "D:a F:a/c R:a/c2 X:a/c/x",
     "?exchange a/c a/c2"},
    {"exchange dirs across: D/c and E/c (R = old E/c, X = file c/x)",
     "mkdir a/c, new a/c/x 1, mkdir b/c", "D:a E:b F:a/c R:b/c X:a/c/x",
     "?exchange a/c b/c"},
    {"exchange file and dir across: D/f and E/c (R = old E/c)", "new a/f hello, mkdir b/c",
     "D:a E:b F:a/f R:b/c", "?exchange a/f b/c"},
#endif
    /* Where names are folded this is a rename of an entry over itself. */
    {"rename file within D, case only: name -> NAME", "new a/name hello, ?same-name a/name a/NAME",
     "D:a F:a/name", "rename a/name a/NAME"},
    {"rename dir within D, case only: name -> NAME", "mkdir a/name, ?same-name a/name a/NAME",
     "D:a F:a/name", "rename a/name a/NAME"},
    {"failed rmdir of the non-empty dir D/c", "mkdir a/c, new a/c/x 1", "D:a F:a/c",
     "!rmdir a/c"},
    {"failed rename of dir c over the non-empty dir c2 (R = c2)",
     "mkdir a/c, mkdir a/c2, new a/c2/x 1", "D:a F:a/c R:a/c2", "!rename a/c a/c2"},
    {"failed open(O_CREAT, O_EXCL) of an existing file", "new a/f hello", "D:a F:a/f",
     "!new-exclusive a/f"},
    {"rename non-empty dir within D: c -> c2 (X = file c/x)", "mkdir a/c, new a/c/x 1",
     "D:a F:a/c X:a/c/x", "rename a/c a/c2"},
    {"rename of a dir above: D/c -> D/c2 (F = dir c/s, X = file c/s/x)",
     "mkdir a/c, mkdir a/c/s, new a/c/s/x 1", "D:a F:a/c/s X:a/c/s/x", "rename a/c a/c2"},
    {"write to f (F opened by the symlink l to it)", "new a/f hello, symlink f a/l",
     "D:a F:a/l", "write a/f HE"},
    {"rename f -> g (F opened by the symlink l to it)", "new a/f hello, symlink f a/l",
     "D:a F:a/l", "rename a/f a/g"},
    {"unlink f (F opened by the symlink l to it)", "new a/f hello, symlink f a/l",
     "D:a F:a/l", "unlink a/f"},
#ifdef OPEN_LINK
    {"unlink the symlink l (F = l itself, X = target)", "new a/f hello, symlink f a/l",
     "D:a F@a/l X:a/f", "unlink a/l"},
    {"rename the symlink l -> m (F = l itself, X = target)", "new a/f hello, symlink f a/l",
     "D:a F@a/l X:a/f", "rename a/l a/m"},
    {"rename g over the symlink l (R = l itself, X = target)",
     "new a/f hello, symlink f a/l, new a/g 1", "D:a F:a/g R@a/l X:a/f", "rename a/g a/l"},
    {"utimes of the symlink l, not followed (F = l itself, X = target)",
     "new a/f hello, symlink f a/l", "D:a F@a/l X:a/f", "?utimes-link a/l"},
    {"write through the symlink l (F = l itself, X = target)", "new a/f hello, symlink f a/l",
     "D:a F@a/l X:a/f", "write a/l HE"},
    {"unlink the symlink l that leads nowhere (F = l itself)", "symlink nowhere a/l",
     "D:a F@a/l", "unlink a/l"},
#endif
    /* Whether a watcher learns that it came too late. */
    {"EV_ADD of a file that was unlinked while open", "new a/f hello", "F~a/f", ""},
    {"EV_ADD of a file that was unlinked while open, then write to it",
     "new a/f hello, hold a/f", "F~a/f", "write-held 123456789"},
    {"EV_ADD of a dir that was removed while open", "mkdir a/c", "F~a/c", ""},
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Why the row that is being made is left out. 0 if it is not. */
static int left_out(const struct row *row, const char *step, int error, int counts)
{
    if (counts)
        failures++;
    remark("<!-- %s: %s: %s: %s -->\n", counts ? "FAILED" : "left out", row->label, step,
           error ? strerror(error) : "did not fail");
    return -1;
}

static int run(const struct row *row, const char *steps)
{
    while (*steps) {
        char step[128], word[32], one[64] = "", other[64] = "";
        size_t length = strcspn(steps, ","), i;
        const char *start;
        int rc, error;

        snprintf(step, sizeof step, "%.*s", (int)length, steps);
        steps += length;
        steps += strspn(steps, ", ");
        start = step + strspn(step, "!?");
        sscanf(start, "%31s %63s %63s", word, one, other);
        for (i = 0; i < WORDS && strcmp(words[i].word, word) != 0; i++)
            ;
        if (i == WORDS)
            return left_out(row, step, ENOSYS, 1);
        rc = words[i].run(one, other);
        error = errno;
        if (*step == '!' ? rc >= 0 : rc < 0)
            return left_out(row, step, rc < 0 ? error : 0, *step != '?');
    }
    return 0;
}

static int watch(const struct row *row)
{
    const char *spec;

    kq = kqueue();
    if (kq < 0)
        return left_out(row, "kqueue", errno, 1);
    for (spec = row->watched; *spec; spec += strcspn(spec, " "), spec += strspn(spec, " ")) {
        struct watch *w = &watches[strchr(columns, spec[0]) - columns];
        int flags = OPEN_TO_WATCH;
        char name[64], path[PATH_ROOM];
        struct kevent change;
        size_t i;

        snprintf(name, sizeof name, "%.*s", (int)strcspn(spec + 2, " "), spec + 2);
#ifdef OPEN_LINK
        if (spec[1] == '@')
            flags = OPEN_LINK;
#endif
        w->fd = open(at(name, path), flags);
        if (w->fd < 0)
            return left_out(row, name, errno, spec[1] != '@');
        if (spec[1] == '~' && unlink(path) < 0 && rmdir(path) < 0)
            return left_out(row, name, errno, 1);
        /* Field by field: their types and their order differ between systems. */
        memset(&change, 0, sizeof change);
        change.ident = (uintptr_t)w->fd;
        change.filter = EVFILT_VNODE;
        change.flags = EV_ADD | EV_CLEAR;
        for (i = 0; i < NOTES; i++)
            change.fflags |= notes[i].bit;
        if (kevent(kq, &change, 1, NULL, 0, NULL) < 0) {
            /* For those to which a kernel may say no, its answer is the result. */
            if (spec[1] == ':')
                return left_out(row, name, errno, 1);
            w->refused = errno;
        }
    }
    /* What registration alone brings is of interest in one case only. */
    if (strchr(row->watched, '~') == NULL)
        drain(0);
    return 0;
}

static void trace(const struct row *row)
{
    char path[PATH_ROOM];
    int i;

    scrub(at("a", path));
    scrub(at("b", path));
    if (run(row, "mkdir a, mkdir b") == 0 && run(row, row->before) == 0 && watch(row) == 0 &&
        run(row, row->steps) == 0) {
        drain(1);
        if (!stop) {
            printf("| %s |", row->label);
            for (i = 0; i < COLUMNS; i++)
                print_cell(&watches[i]);
            putchar('\n');
            fflush(stdout);
        }
    }
    forget();
    if (held >= 0)
        close(held);
    held = -1;
}

/* ---- the whole ------------------------------------------------------------------ */

static void file_system(const char *path, char name[32])
{
#if defined(__linux__)
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {0xEF53, "ext4"}, /* or ext2, ext3 */
        {0x01021994, "tmpfs"},
        {0x58465342, "xfs"},
        {0x9123683E, "btrfs"},
        {0xF2F52010, "f2fs"},
        {0x2FC12FC1, "zfs"},
        {0x794C7630, "overlayfs"},
        {0x6969, "nfs"},
    };
    struct statfs fs;
    size_t i;

    snprintf(name, 32, "unknown");
    if (statfs(path, &fs) < 0)
        return;
    snprintf(name, 32, "0x%lx", (unsigned long)fs.f_type);
    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].magic == (unsigned long)fs.f_type)
            snprintf(name, 32, "%s", known[i].name);
#else
#if defined(__NetBSD__)
    struct statvfs fs; /* its statfs went with 3.0 */
    int rc = statvfs(path, &fs);
#else
    struct statfs fs;
    int rc = statfs(path, &fs);
#endif
    snprintf(name, 32, "%s", rc < 0 ? "unknown" : fs.f_fstypename);
#endif
}

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

int main(int argc, char **argv)
{
    const char *below = argc == 2 ? argv[1] : getenv("TMPDIR");
    struct utsname system;
    char fs[32];
    int made;
    size_t i;

    if (argc > 2 || (argc == 2 && (argv[1][0] == '-' || argv[1][0] == '\0'))) {
        fprintf(stderr, "usage: vnode-trace [DIRECTORY]\n");
        return 2;
    }
    if (below == NULL || *below == '\0')
        below = "/tmp";
    if ((size_t)snprintf(base, sizeof base, "%s/vnode-trace.%ld", below, (long)getpid()) >=
        sizeof base) {
        fprintf(stderr, "vnode-trace: the path is too long: %s\n", below);
        return 2;
    }
    made = argc == 2 && mkdir(below, 0755) == 0;
    if (mkdir(base, 0700) < 0) {
        fprintf(stderr, "vnode-trace: %s: %s\n", base, strerror(errno));
        if (made)
            rmdir(below);
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);

    file_system(base, fs);
    if (uname(&system) < 0)
        memset(&system, 0, sizeof system);
    printf("# %s %s %s %s: EVFILT_VNODE, all NOTE_* flags, EV_CLEAR\n\n## %s\n\n",
           system.sysname, system.release, system.machine, fs, fs);
    printf("| operation | D: parent / source dir | E: destination dir |"
           " F: the object operated on | R: replaced object / other link's fd |"
           " X: extra watch (named in the row) |\n"
           "|---|---|---|---|---|---|\n");
    for (i = 0; i < ROWS && !stop; i++)
        trace(&rows[i]);
    printf("\n%s<!-- op failures: %d -->\n", remarks, failures);

    scrub(base);
    if (made)
        rmdir(below);
    if (stop)
        fprintf(stderr, "vnode-trace: interrupted, the table is not complete\n");
    return failures || stop || fflush(stdout) != 0 || ferror(stdout);
}
