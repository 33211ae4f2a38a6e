/*
 * floor.c - the system calls that no watcher of a tree by inotify can do without, and
 * nothing else: what the others are measured against.
 *
 * To get ready, for each directory: open, inotify_add_watch, getdents64 until it is
 * empty, one fstatat for each entry, close. (A watch before the listing, so that
 * nothing is missed; a stat, because who keeps no size and no time cannot tell what
 * changed while the kernel lost notifications.) One thread. No snapshot is kept: a
 * directory's path is forgotten once it is listed.
 *
 * Then: read the inotify descriptor, and print the names or count them.
 */
#define _GNU_SOURCE
#include "../contenders/protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What libkw asks for, too. */
#define MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | \
              IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW)

/* As readdir(3) has it. */
#define LISTING (32 * 1024)

/* getdents64(2); glibc does not declare it. */
struct linux_dirent64 {
    ino64_t d_ino;
    off64_t d_off;
    unsigned short d_reclen;
    unsigned char d_type;
    char d_name[];
};

/* A directory that is still to be listed. */
struct pending {
    struct pending *next;
    size_t len;
    char path[];
};

static void die(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static struct pending *push(struct pending *next, const char *dir, size_t dir_len,
                            const char *name)
{
    size_t name_len = strlen(name);
    struct pending *p = malloc(sizeof *p + dir_len + name_len + 2);
    if (p == NULL)
        die("malloc");
    p->next = next;
    memcpy(p->path, dir, dir_len);
    p->len = dir_len;
    if (dir_len > 0)
        p->path[p->len++] = '/';
    memcpy(p->path + p->len, name, name_len + 1);
    p->len += name_len;
    return p;
}

static int is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static void crawl(int inotify, const char *root)
{
    static char listing[LISTING];
    struct pending *stack = push(NULL, "", 0, root);

    while (stack != NULL) {
        struct pending *dir = stack;
        long n;
        int fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        stack = dir->next;
        if (fd < 0 || inotify_add_watch(inotify, dir->path, MASK) < 0)
            die(dir->path);
        while ((n = syscall(SYS_getdents64, fd, listing, sizeof listing)) > 0) {
            for (long at = 0; at < n;) {
                struct linux_dirent64 *d = (struct linux_dirent64 *)(listing + at);
                struct stat s;
                at += d->d_reclen;
                if (is_dots(d->d_name))
                    continue;
                if (fstatat(fd, d->d_name, &s, AT_SYMLINK_NOFOLLOW) < 0) {
                    if (errno == ENOENT)
                        continue;
                    die(d->d_name);
                }
                if (S_ISDIR(s.st_mode))
                    stack = push(stack, dir->path, dir->len, d->d_name);
            }
        }
        if (n < 0)
            die(dir->path);
        close(fd);
        free(dir);
    }
}

static enum told told(uint32_t mask)
{
    if (mask & (IN_CREATE | IN_MOVED_TO))
        return TOLD_CREATED;
    if (mask & (IN_DELETE | IN_MOVED_FROM))
        return TOLD_DELETED;
    return TOLD_TOUCHED;
}

int main(int argc, char **argv)
{
    static char notes[64 * 1024] __attribute__((aligned(8)));
    int count = argc == 3 && strcmp(argv[1], "count") == 0;
    int print = argc == 3 && strcmp(argv[1], "print") == 0;
    int64_t begin;
    int inotify;

    if (argc == 2 && strcmp(argv[1], "version") == 0)
        return puts("bare system calls") < 0;
    if (!count && !print) {
        fprintf(stderr, "usage: floor version | print TREE | count TREE\n");
        return 2;
    }

    begin = now_ns();
    inotify = inotify_init1(IN_CLOEXEC);
    if (inotify < 0)
        die("inotify_init1");
    crawl(inotify, argv[2]);
    say_ready(now_ns() - begin);
    if (count)
        answer();

    for (;;) {
        ssize_t n = read(inotify, notes, sizeof notes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("read");
        if (count)
            tally_begin();
        for (ssize_t at = 0; at < n;) {
            struct inotify_event *e = (struct inotify_event *)(notes + at);
            at += (ssize_t)(sizeof *e + e->len);
            if (print) {
                puts(e->len > 0 ? e->name : "");
            } else {
                tally_event();
                if (e->len > 0)
                    tally_path(told(e->mask), e->name, strlen(e->name));
            }
        }
        if (count)
            tally_end();
        else
            fflush(stdout);
    }
}
