/*
 * namespace.h - Linux: a user namespace of the test's own, in which it may mount
 * and set limits without anybody else noticing, and without being root.
 */
#ifndef NAMESPACE_H
#define NAMESPACE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "sandbox.h"

/* Whether the text could be written to the file. */
static inline int set(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return written;
}

/* Enters a new user namespace, and others as `flags` say (CLONE_NEWNS, ...), as
 * the same user. NULL, or why not. */
static inline const char *try_namespace(int flags)
{
    long uid = (long)geteuid(), gid = (long)getegid();
    if (unshare(CLONE_NEWUSER | flags) != 0)
        return fmt("no user namespace: %s", strerror(errno));
    set("/proc/self/setgroups", "deny");
    if (!set("/proc/self/uid_map", fmt("%ld %ld 1", uid, uid)) ||
        !set("/proc/self/gid_map", fmt("%ld %ld 1", gid, gid)))
        return fmt("cannot stay the same user in a user namespace: %s", strerror(errno));
    return NULL;
}

/* The same. Where that is not allowed the whole test is skipped. */
static inline void enter_namespace(int flags)
{
    const char *why = try_namespace(flags);
    if (why != NULL)
        skip_all(why);
}

#endif
