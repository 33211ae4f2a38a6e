/*
 * kw.h - libkw: what changed in a file tree.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * This file is generated from src/ffi (make header); do not edit it.
 *
 * In short: kw_open() a handle, kw_add() the trees to watch, kw_poll() for
 * events into an array of yours, kw_free().
 *
 *     kw_handle *h;
 *     kw_watch_options o = KW_WATCH_OPTIONS_INIT;
 *     kw_event e[64];
 *     int n;
 *     o.flags = KW_RECURSIVE;
 *     if (kw_open(NULL, &h) < 0 || kw_add(h, "src", &o, NULL) < 0) ...
 *     while ((n = kw_poll(h, e, 64, -1)) >= 0)
 *         for (int i = 0; i < n; i++)
 *             printf("%s\n", e[i].path);
 *     kw_free(h);
 *
 * THE PROMISE. Let T0 be the tree when kw_add() returned, and E the events
 * delivered since. Whenever kw_poll() has returned 0 and nothing has changed
 * since it was called, folding E over T0 gives the tree as it is on disk, and
 * every prefix of E can be applied: a directory is created before what is in
 * it, a name is free before something moves onto it, a directory is empty (or
 * moves with all it holds) before it goes. This holds through renames, through
 * the kernel's loss of notifications, and through replaced roots. A file that
 * was created and deleted between two looks was never there.
 *
 * What no kernel tells, no watcher can report in time: a store through
 * mmap(2) (Linux: most often noticed when the file is closed or unmapped; some
 * BSD file systems: never), a write through a hard link that is outside the
 * watched tree, or gone again before anyone could look (Linux), a truncation on
 * NetBSD's tmpfs, a block clone on FreeBSD's ZFS. It is reported when something
 * else makes the library look at that file.
 *
 * POLLING. What has no kernel watch is looked at from time to time instead: for want
 * of descriptors or watches (kqueue needs a descriptor for every file and directory,
 * inotify a watch for every directory), because it may not be opened, or because its
 * file system does not tell of changes (NFS, SMB, 9p, FUSE, /proc, ...). Watches go to
 * directories first, then to the files that changed last. The promise holds for what
 * is polled as of its own last look.
 *
 * While anything is polled, kw_fd() is readable every `poll_interval_ms` (1 s), and
 * kw_poll() then looks at up to `poll_looks` (2500) entries, mostly without an event
 * coming of it. Until all n of them have been looked at takes about
 *     poll_interval_ms * (n / poll_looks + 1)
 * and up to twice that in every fourth round, in which directories are listed whatever
 * their times say. `round_ms` of kw_stats has the figure: a change is reported that
 * much later at most (one that a directory's times do not show: after four rounds at
 * most). n is `polled` of kw_stats, and with inotify what is in those directories, too.
 * kw_sync() has all of it looked at now. While nothing is polled this costs nothing.
 *
 * What is polled may be told of in other words. A rename may be KW_DELETED and, before
 * the round is over, KW_CREATED (after kw_sync() it is KW_MOVED). A file that was
 * written to just before it was looked at (20 ms; 2 s where times are whole seconds) may
 * be KW_MODIFIED once more without having changed.
 *
 * FILTERS. What a watch is not interested in does not exist for it: it is not crawled,
 * not watched, not counted and not reported, nor is anything below an excluded directory.
 * What is moved there is reported as deleted, what comes from there as created, and the
 * promise holds for the rest. (With inotify, a write to a file through an excluded name of
 * it is one through a hard link outside the tree.) `exclude`, `include`, `depth` and some
 * flags of kw_watch_options say what is excluded; the root never is.
 *
 * A pattern is UTF-8 and means what it means to a shell: `*` and `?` match within a name,
 * `[a-z]` one of these characters, `{a,b}` either; a backslash takes the meaning from the
 * next character. Without a slash it is matched against names, at every depth: "*.o",
 * ".git". With one it is matched against whole paths relative to the root: "build/tmp".
 * Two stars in the place of a name there are any number of directories, and at the end of
 * a pattern all that is below one. A slash at the beginning makes a path of what would be a
 * name: "/build". With a slash at the end it is matched against directories only: "target/".
 *
 * With KW_GITIGNORE the files named .gitignore exclude, too, in the directories they are in
 * and below, and by git's rules: a nearer file counts before one farther up, and in a file
 * the last line that matches; what begins with `!` is included again, but not in a directory
 * that is excluded. What is named .git is excluded as well. The files themselves are
 * entries, whatever else would exclude them: when one has changed, what it excludes by then
 * is reported as deleted, and what it no longer excludes as created, at the cost of one
 * listing for each directory below. Files above the root, the user's own excludes and what
 * git has in its index count for nothing. A file that cannot be read, or is longer than a
 * megabyte, says nothing, which a KW_ERROR tells.
 *
 * FAULTS. How does a program cope with what is rare? `faults` of kw_options is a text for its
 * tests, by which the library behaves on that handle as if the system did so. A fault on each
 * line; what follows `#` is a remark. What is no fault is KW_E_INVALID, and kw_last_error()
 * has the line.
 *
 *     overflow after N         when N notifications have come, the next are lost, once (with
 *                              kqueue many changes may be one; 0 loses the first)
 *     overflow every N         the same again and again
 *     refuse PATTERN [ERRNO]   what matches cannot be watched (ENOSPC: it is polled)
 *     fail PATTERN [ERRNO]     a directory that matches cannot be listed, and anything else
 *                              not be looked at (EIO: a KW_ERROR tells)
 *     late MS                  notifications come so many milliseconds late
 *
 * A pattern without a slash is matched against names, one with a slash against the end of
 * the path, one that begins with a slash against the whole, in the syntax of FILTERS. ERRNO
 * is EACCES, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC or EPERM. What has been promised above holds
 * all the same, but with `late` a kw_poll() that returns 0 answers for what happened so much
 * earlier.
 *
 * CONVENTIONS. A function returns 0 or a positive count for success and a
 * negative KW_E_ code for failure; kw_last_error() has errno and the path. No
 * function aborts, prints or exits. What is passed in is not kept. A struct
 * that the caller fills begins with its size; begin with its _INIT macro.
 *
 * THREADS. Every function may be called from any thread. One thread at a time
 * is in kw_poll(); while it waits the others can add, remove, ask and wake. The
 * library starts no thread unless `crawl_threads` asks for it, installs no signal
 * handler and calls nothing back.
 *
 * FORK. A handle belongs to the process that opened it: in a child every call
 * on it returns KW_E_FORKED and touches nothing. Descriptors are close-on-exec.
 */


#ifndef KW_H
#define KW_H

#include <stddef.h>
#include <stdint.h>

/* Initialisers: every option at its default. */
#define KW_OPTIONS_INIT { sizeof(kw_options), 0, 0, 0, 0, 0, 0, 0, 0 }
#define KW_WATCH_OPTIONS_INIT { sizeof(kw_watch_options), 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#define KW_STATS_INIT { sizeof(kw_stats), {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
                        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}, 0 }
#define KW_ERROR_INIT { sizeof(kw_error), 0, 0, {0}, 0, {0} }

/* kw_set_watch_limit(), kw_stats: as many kernel watches as are to be had. */
#define KW_NO_LIMIT UINT64_MAX

/* The header's version as one number, for comparisons: 0x000100 is 0.1.0. */
#define KW_VERSION ((KW_VERSION_MAJOR << 16) | (KW_VERSION_MINOR << 8) | \
                    KW_VERSION_PATCH)

/*
 Major version of this header. The shared library's SONAME carries it.
 */
#define KW_VERSION_MAJOR 0

/*
 Minor version of this header.
 */
#define KW_VERSION_MINOR 1

/*
 Patch version of this header.
 */
#define KW_VERSION_PATCH 0

/*
 Success.
 */
#define KW_OK 0

/*
 An argument is not acceptable: NULL where something must be, a wrong
 `size`, an unknown flag, a pointer that is no live handle.
 */
#define KW_E_INVALID (-1)

/*
 The system refused; `sys_errno` of kw_last_error() says why.
 */
#define KW_E_SYSTEM (-2)

/*
 Another thread is in kw_poll() on this handle. Of kw_save(): events of the watch wait to
 be delivered.
 */
#define KW_E_BUSY (-3)

/*
 A signal ended the wait, or kw_wake() a crawl. Nothing is lost: call kw_poll() again.
 */
#define KW_E_INTERRUPTED (-4)

/*
 The handle was opened before a fork(2), by the parent process.
 */
#define KW_E_FORKED (-5)

/*
 The library failed (a bug). The handle refuses all calls but kw_free().
 */
#define KW_E_INTERNAL (-6)

/*
 Nothing is at that path.
 */
#define KW_E_NOT_FOUND (-7)

/*
 Permission denied.
 */
#define KW_E_DENIED (-8)

/*
 There is no watch of that number.
 */
#define KW_E_NO_WATCH (-9)

/*
 Descriptors or kernel memory ran out. (Too few kernel watches, or too few
 descriptors to watch, are no error: see KW_DEGRADED.)
 */
#define KW_E_LIMIT (-10)

/*
 The path, or a name in it, is longer than the system allows.
 */
#define KW_E_TOO_LONG (-11)

/*
 The file was not written by kw_save(), or is damaged, or by a newer version.
 */
#define KW_E_SNAPSHOT (-12)

/*
 An entry appeared at `path`.
 */
#define KW_CREATED (1 << 0)

/*
 The entry at `path` is gone. What was in a directory was reported as gone before.
 */
#define KW_DELETED (1 << 1)

/*
 The content of the file at `path` changed (its size or modification time).
 With KW_REPLACED: another file has taken this name. With KW_IS_DIR (only
 with KW_DIR_MODIFIED): entries of this directory came or went.
 */
#define KW_MODIFIED (1 << 2)

/*
 Metadata of the entry at `path` changed: mode, owner, extended attributes.
 */
#define KW_ATTRIB (1 << 3)

/*
 The entry at `path` is at `dest` now, with all that is below it. `dest` was free.
 */
#define KW_MOVED (1 << 4)

/*
 The kernel lost notifications (`path` is the root). The library has looked
 at the whole tree and reported the differences before this event: the state
 is exact, the history between is not known.
 */
#define KW_RESCANNED (1 << 5)

/*
 Nothing is at the root's path any more. What was below it was reported as
 gone before. The watch stays, and waits for it to come back.
 */
#define KW_ROOT_GONE (1 << 6)

/*
 Something is at the root's path again; what is in it is reported as created.
 */
#define KW_ROOT_BACK (1 << 7)

/*
 The file system at `path` was unmounted. (Linux; with kqueue what was below
 it is reported as gone.)
 */
#define KW_UNMOUNTED (1 << 8)

/*
 Some entries of this watch are polled, and what happens to them is reported later: see
 POLLING above. `path` is the root, `count` how many they are (with inotify, how many
 directories; one more where the ancestors of the root cannot be watched). Reported by
 the first kw_poll() after that began, not again when their number changes, and with a
 count of 0 when a round has found that none is any more. What has to be changed for
 all to be watched is in `limited_by` of kw_stats.
 */
#define KW_DEGRADED (1 << 9)

/*
 The entry at `path` could not be read; `error` says why. Its state is as
 last reported. Entries beside it are not affected.
 */
#define KW_ERROR (1 << 10)

/*
 With the watch option KW_INITIAL: all that the first crawl found has been reported. With
 `since`: all that had changed has been. `path` is the root.
 */
#define KW_READY (1 << 11)

/*
 Every kind of event.
 */
#define KW_ALL_EVENTS 4095

/*
 The entry is a directory.
 */
#define KW_IS_DIR (1 << 0)

/*
 The entry is a symbolic link. Links are entries; they are never followed.
 */
#define KW_IS_SYMLINK (1 << 1)

/*
 With KW_MODIFIED: the name belongs to another file now (an atomic save:
 written elsewhere, renamed to this name).
 */
#define KW_REPLACED (1 << 2)

/*
 With KW_CREATED and KW_ROOT_BACK: it was there when the watch was added, and is
 reported because of the watch option of the same name.
 */
#define KW_INITIAL (1 << 3)

/*
 With KW_MOVED: it has moved with a directory above it, whose KW_MOVED came before; told
 because of the watch option of the same name. A program that moves directories with all
 that is in them ignores it.
 */
#define KW_EXPANDED (1 << 4)

/*
 Handle option: raise the process's soft limit on descriptors (RLIMIT_NOFILE) to its
 hard limit (on macOS perhaps only to 10240), for kqueue needs a descriptor for each
 entry. For the whole process, inherited by its children, and not undone by kw_free():
 mind that select(2) cannot have descriptors above 1023.
 */
#define KW_RAISE_LIMIT (1 << 0)

/*
 Handle option: no kernel watches at all, everything is polled, as after
 kw_set_watch_limit(handle, 0); by another limit it is ended. `watch_limit` must be 0.
 */
#define KW_POLL_ONLY (1 << 1)

/*
 Watch option: everything below the directory. Without it: the directory and
 its direct entries.
 */
#define KW_RECURSIVE (1 << 0)

/*
 Watch option: also report a directory whose entries changed, as
 KW_MODIFIED with KW_IS_DIR, as classic kqueue watchers do.
 */
#define KW_DIR_MODIFIED (1 << 1)

/*
 Watch option: kw_sync() looks at every entry of this watch, not only at those
 that are polled. It is for changes that a kernel tells nobody of: a store
 through a shared mapping, a truncation on NetBSD's tmpfs, a block cloned on
 FreeBSD's ZFS, a file system mounted over a directory. With it, what happened
 before kw_sync() is delivered by calling kw_poll() until it returns 0, but for what the process
 may not look at, and for content that changed while neither the size nor the
 time of modification shows it. How often to call it is the caller's choice.
 Costs one listing for each directory and one stat for each entry, at each
 kw_sync(), and nothing otherwise.
 */
#define KW_SYNC_ALL (1 << 2)

/*
 Watch option: only directories are entries. What happens to other things is not
 reported.
 */
#define KW_DIRS_ONLY (1 << 5)

/*
 Watch option: directories on another device (file system) than the root are entries
 like files: what is in them is not watched.
 */
#define KW_ONE_DEVICE (1 << 6)

/*
 Watch option: what has a name that begins with a dot is excluded.
 */
#define KW_SKIP_HIDDEN (1 << 7)

/*
 Watch option: what the files named .gitignore below the root exclude is excluded; see
 FILTERS above.
 */
#define KW_GITIGNORE (1 << 8)

/*
 Watch option: nothing need be at the path yet. Then the watch begins as one whose root is
 gone, and KW_ROOT_BACK says that something has appeared there.
 */
#define KW_ALLOW_MISSING (1 << 9)

/*
 An open handle. Opaque.
 */
typedef struct kw_handle kw_handle;

/*
 How kw_open() is to open a handle. Begin with KW_OPTIONS_INIT.
 */
typedef struct kw_options {
    /*
     sizeof(kw_options), set by KW_OPTIONS_INIT. A library that is newer than
     its caller takes what the caller does not know as 0.
     */
    size_t size;
    /*
     KW_RAISE_LIMIT, KW_POLL_ONLY. Unknown bits are KW_E_INVALID.
     */
    uint32_t flags;
    /*
     Milliseconds between the times at which some of what is polled is looked at;
     0 is the default, 1000. See POLLING above.
     */
    uint32_t poll_interval_ms;
    /*
     How many kernel watches the handle may have, which with kqueue is how many
     descriptors it takes to watch; 0 and KW_NO_LIMIT are no limit but the system's.
     Can be changed by kw_set_watch_limit(). The directories above the roots take
     watches, too, unless the limit is below four times their number: then it is
     noticed only within a round that a root goes or comes back.
     */
    uint64_t watch_limit;
    /*
     How many descriptors watching leaves free for the rest of the process, below
     its soft limit (RLIMIT_NOFILE); 0 is the default, 32. Never more than a quarter
     of that limit. With inotify, which needs no descriptor to watch, it has no
     meaning.
     */
    uint32_t descriptor_reserve;
    /*
     How many looks are made each time at most; 0 is the default, 2500.
     */
    uint32_t poll_looks;
    /*
     How many threads may take part in the crawl of a large tree, the calling one
     included; 0 and 1: that one alone, which is the default. The others are started
     when 64 directories have been read and more wait, take no signals, hold one
     descriptor each, and have ended when kw_add() or kw_poll() returns; if they cannot
     be started, the crawl goes on without them. More than 16 are taken as 16. With
     kqueue it has no meaning.
     */
    uint32_t crawl_threads;
    /*
     0.
     */
    uint32_t reserved;
    /*
     For tests of a program: a text that says what is to go wrong; see FAULTS above. NULL:
     nothing.
     */
    const char *faults;
} kw_options;

/*
 How kw_add() is to watch. Begin with KW_WATCH_OPTIONS_INIT.
 */
typedef struct kw_watch_options {
    /*
     sizeof(kw_watch_options), set by KW_WATCH_OPTIONS_INIT.
     */
    size_t size;
    /*
     KW_RECURSIVE, KW_DIR_MODIFIED, KW_SYNC_ALL, KW_INITIAL (see kw_add()), KW_EXPANDED,
     KW_DIRS_ONLY, KW_ONE_DEVICE, KW_SKIP_HIDDEN, KW_GITIGNORE, KW_ALLOW_MISSING. Unknown
     bits are KW_E_INVALID.
     */
    uint32_t flags;
    /*
     Which kinds of events are wanted: KW_CREATED | ...; 0 is all of them.
     The stream replays only with all of them.
     */
    uint32_t events;
    /*
     What is excluded: an array of patterns, NULL after the last; or NULL. See FILTERS
     above.
     */
    const char *const *exclude;
    /*
     What is included, likewise: what is no directory and matches none of these is
     excluded. NULL, or none: everything is included.
     */
    const char *const *include;
    /*
     How many levels of entries there are below the root, with KW_RECURSIVE: 1 are its
     direct entries. 0: no limit.
     */
    uint32_t depth;
    /*
     Milliseconds: what happens is reported when nothing has happened for so long; 0: at
     once. What cancels out meanwhile (a file that is created and deleted, one that is
     written to many times) is not reported, or once. It applies to each watch as a whole.
     kw_sync() ends the waiting: a kw_poll() that returns 0 says that all has been
     delivered only after that.
     */
    uint32_t settle_ms;
    /*
     Milliseconds: but so long after something has happened for the first time, at the
     latest; 0: ten times settle_ms.
     */
    uint32_t settle_max_ms;
    /*
     0.
     */
    uint32_t reserved;
    /*
     A file that kw_save() has written; or NULL. What has changed since then is reported
     first: see kw_save(). Not with KW_INITIAL.
     */
    const char *since;
} kw_watch_options;

/*
 Names a watch within its handle; greater than 0, never used twice.
 */
typedef int32_t kw_watch;

/*
 One event, filled in by kw_poll().

 `path` and `dest` are bytes as the system has them, `path_len` and
 `dest_len` of them; a name may hold anything but `/` and NUL. A NUL follows
 for convenience. They point into the handle and live until the next
 kw_poll() or kw_free() of it.
 */
typedef struct kw_event {
    /*
     Exactly one of KW_CREATED, KW_DELETED, ...
     */
    uint32_t kind;
    /*
     KW_IS_DIR, KW_IS_SYMLINK, KW_REPLACED, KW_INITIAL, KW_EXPANDED. Bits you do not know
     may appear in later versions.
     */
    uint32_t flags;
    /*
     The watch it belongs to.
     */
    kw_watch watch;
    /*
     errno of a KW_ERROR, else 0.
     */
    int32_t error;
    /*
     Where: begins with the root as it was given to kw_add().
     */
    const char *path;
    /*
     Length of `path` in bytes.
     */
    size_t path_len;
    /*
     KW_MOVED: where to. Else NULL.
     */
    const char *dest;
    /*
     Length of `dest` in bytes, or 0.
     */
    size_t dest_len;
    /*
     `path + root_len` (and `dest + root_len`) is relative to the watch's
     root, without a leading slash; empty for the root itself.
     */
    size_t root_len;
    /*
     1, 2, 3, ... within the handle.
     */
    uint64_t sequence;
    /*
     Device number, as last seen.
     */
    uint64_t device;
    /*
     Inode number, as last seen. Entries with equal device and inode are hard links.
     */
    uint64_t inode;
    /*
     Size in bytes as last seen; 0 for what is gone.
     */
    uint64_t size;
    /*
     Modification time as last seen, in nanoseconds since the epoch; 0 for what is gone.
     */
    int64_t mtime_ns;
    /*
     KW_DEGRADED: how many entries are polled; 0: none any more. Else 0.
     */
    uint64_t count;
    /*
     Zero; room for later versions.
     */
    uint64_t reserved;
} kw_event;

/*
 A handle's health; see kw_stats_get().
 */
typedef struct kw_stats {
    /*
     sizeof(kw_stats), set by KW_STATS_INIT.
     */
    size_t size;
    /*
     "inotify" or "kqueue".
     */
    char engine[16];
    /*
     Watches added and not removed.
     */
    uint64_t watches;
    /*
     Entries in all snapshots, and those that a kw_add() under way has found so far.
     */
    uint64_t entries;
    /*
     Watches held in the kernel: one a directory (inotify) or an entry (kqueue), and
     one for each directory above a root.
     */
    uint64_t kernel_watches;
    /*
     Entries that are polled (see KW_DEGRADED): they have no kernel watch, or one that
     does not tell of everything. With inotify these are directories, and what is in
     them is polled with them.
     */
    uint64_t polled;
    /*
     Descriptors that the handle holds.
     */
    uint64_t descriptors;
    /*
     The process's soft limit on descriptors (RLIMIT_NOFILE).
     */
    uint64_t descriptor_limit;
    /*
     Times that the kernel lost notifications.
     */
    uint64_t overflows;
    /*
     Times that a whole tree was looked at because of that.
     */
    uint64_t rescans;
    /*
     Events delivered.
     */
    uint64_t events;
    /*
     Notifications received from the kernel.
     */
    uint64_t notes;
    /*
     System calls: waits of kw_poll().
     */
    uint64_t waits;
    /*
     System calls: fetches of notifications.
     */
    uint64_t fetches;
    /*
     Directories listed.
     */
    uint64_t listings;
    /*
     System calls: stat of any form.
     */
    uint64_t stats;
    /*
     System calls: opens in order to watch.
     */
    uint64_t opens;
    /*
     System calls that add or remove kernel watches.
     */
    uint64_t registrations;
    /*
     errno of the last failed call on this handle, or 0.
     */
    int32_t last_errno;
    /*
     Zero.
     */
    int32_t reserved;
    /*
     How many kernel watches the handle may have; KW_NO_LIMIT if you have set no limit.
     */
    uint64_t watch_limit;
    /*
     Complete rounds of looks at all that is polled. (A kw_sync() is none of them.)
     */
    uint64_t rounds;
    /*
     How long the last one took, in milliseconds: how late a change to something
     that is polled may be reported. 0 until one is complete.
     */
    uint64_t round_ms;
    /*
     What keeps entries from being watched, as the system calls it:
     "fs.inotify.max_user_watches", "fs.inotify.max_user_instances" (for sysctl(8) on
     Linux; in a user namespace its own, user.max_inotify_watches and ..._instances, may
     be the lower ones), "RLIMIT_NOFILE", "fs.file-max", "kern.maxfiles", "watch_limit"
     (yours, or KW_POLL_ONLY), "memory", "file system" (one that does not tell of
     changes), "permission", "error"; empty if nothing is polled. If there are several
     reasons, one of them.
     */
    char limited_by[48];
    /*
     1 while a kw_add() crawls, else 0.
     */
    uint64_t crawling;
} kw_stats;

/*
 An error in detail; see kw_last_error().
 */
typedef struct kw_error {
    /*
     sizeof(kw_error), set by KW_ERROR_INIT.
     */
    size_t size;
    /*
     KW_E_..., or KW_OK if there was no error.
     */
    int32_t status;
    /*
     errno of the system call that failed, or 0.
     */
    int32_t sys_errno;
    /*
     What was being done, in a few English words.
     */
    char operation[64];
    /*
     Length of the path in bytes, also where `path` holds only its beginning.
     */
    size_t path_len;
    /*
     The path that was concerned, NUL-terminated; empty if there is none.
     */
    char path[4096];
} kw_error;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Opens a handle and stores it in `*out`. It holds a few descriptors, all of
 them close-on-exec, and no thread.

 `options` may be NULL for the defaults. Returns KW_OK, or a negative code
 and `*out` NULL; kw_last_error() with a NULL handle has the details, for the
 calling thread.

 # Safety
 `options` is NULL or points to a struct of the `size` that it says, whose string ends with
 NUL; `out` is NULL or writable.
 */
int kw_open(const struct kw_options *options,
            struct kw_handle **out);

/*
 Watches `path`, a directory or a file, and stores the watch's number in
 `*out` (which may be NULL).

 Returns when the tree has been crawled: what changes from then on is
 reported by kw_poll(), and nothing that was so before. Events spell the root as it was
 given here.

 Symbolic links in `path` are followed, and again when one of them comes to lead elsewhere,
 as `current` of `current -> releases/42` does: what is there then is the root, and if it is
 another directory KW_ROOT_GONE and KW_ROOT_BACK tell. (A link that takes the place of a
 root, or of a directory above one, to which no link has led, is not followed.)

 With KW_INITIAL among the options' flags what the crawl has found is reported, too,
 before anything that follows: KW_ROOT_BACK for the root, KW_CREATED for each entry, a
 directory before what is in it, all with KW_INITIAL among their flags, and then
 KW_READY. So a mirror that begins empty needs no crawl of its own. Meanwhile
 nothing else is reported of this watch, and nothing is lost; what is deleted meanwhile
 is reported as created, and then as deleted. An error in a directory comes after
 KW_READY.

 With KW_ALLOW_MISSING nothing need be there yet. What of the path is there is resolved now,
 and the nearest directory that exists is watched until the root appears.

 The watch is one on the path: if what is there is deleted, moved away or
 replaced, and made again, the watch goes on (KW_ROOT_GONE, KW_ROOT_BACK).
 If it went because its file system was unmounted, the path is looked at once in each
 `poll_interval_ms` until one is mounted there again, which no kernel tells.
 A handle may have many watches; they may overlap, and each reports for itself.

 `options` may be NULL for the defaults: not recursive, all kinds of events.
 May be called from any thread, also while another is in kw_poll().

 Returns KW_OK or a negative code: KW_E_NOT_FOUND, KW_E_DENIED, KW_E_TOO_LONG,
 KW_E_INVALID, KW_E_INTERRUPTED (see kw_wake()), ... While it crawls, kw_stats_get() in
 another thread tells how far it has come (`crawling`, `entries`). An entry below the root that cannot be read is not an
 error here but an event (KW_ERROR).

 # Safety
 `path` is NULL or NUL-terminated; `options` is NULL or points to a struct of
 the `size` that it says, whose arrays end with NULL and whose strings with NUL; `out` is
 NULL or writable.
 */
int kw_add(struct kw_handle *handle,
           const char *path,
           const struct kw_watch_options *options,
           kw_watch *out);

/*
 Ends a watch and gives back what it held. None of its events are delivered
 after this returns. May be called from any thread.

 Returns KW_OK, or KW_E_NO_WATCH if the handle has no such watch (any more).

 # Safety
 None beyond what the types say.
 */
int kw_remove(struct kw_handle *handle, kw_watch watch);

/*
 Writes what is known of a watch to a file, so that a later kw_add() with the file as `since`
 reports what has changed in between: while the program was not running, say. What is
 saved is the tree as the events delivered so far have it: if some wait to be delivered,
 that is KW_E_BUSY (call it when kw_poll() has returned 0, or between two calls if all
 events of the first had room).

 The file is replaced as a whole or left as it is, is written to disk before this
 returns, and only its owner may read it. It takes about 20 bytes an entry, and the
 names; it is the same on every machine, and has a checksum.

 kw_add() reads it, watches the root and returns at once. The next calls of kw_poll() look
 at every directory and every entry, as after an overflow; what differs comes as ordinary
 events, moves included, and then KW_READY. Something is taken for the same file as before
 if inode number, kind and time of birth are; where a file system keeps no time of birth
 a file that was given the number of one that is gone may be reported as that one, moved and
 modified. What was written to just before it was saved may be KW_MODIFIED once more. A
 change that leaves size, modification time, mode and owner as they were is not seen. With
 other options than before (other filters, say) what is not wanted any more is reported as
 deleted, and what was not wanted before as created. If the file is not to be
 had, or KW_E_SNAPSHOT, kw_add() has added nothing: add the watch without it.

 Returns KW_OK, KW_E_NO_WATCH, KW_E_BUSY or another negative code.

 # Safety
 `file` is NULL or NUL-terminated.
 */
int kw_save(struct kw_handle *handle,
            kw_watch watch,
            const char *file);

/*
 Sets how many kernel watches the handle may have; KW_NO_LIMIT: as many as are to be
 had, 0: none, everything is polled. What is above the limit is given back before this
 returns: directories are kept rather than files, and what changed last rather than
 what has not for long. Where there is room now, what was polled is watched within a
 round. Nothing is lost either way. May be called from any thread. Returns KW_OK or a
 negative code.

 # Safety
 None beyond what the types say.
 */
int kw_set_watch_limit(struct kw_handle *handle,
                       uint64_t limit);

/*
 Fetches events into `events`, which has room for `capacity` of them.

 `timeout_ms`: how long to wait for the first event, in milliseconds; 0 looks
 and does not wait, -1 waits for ever. Less than -1 is KW_E_INVALID.

 Returns the number of events stored, 1 to `capacity`; what did not fit comes
 with the next call, and keeps kw_fd() readable until then. Returns 0 when
 time was up or kw_wake() was called, and then *everything that had happened
 before the call, anywhere in the watched trees, has been delivered* (what is
 only polled, or has to settle: see KW_DEGRADED, `settle_ms` and kw_sync()). Returns
 KW_E_INTERRUPTED when a signal was caught while it waited, KW_E_BUSY
 when another thread is in kw_poll() on this handle, or another negative code.

 When the call before has fetched notifications that came faster than some 16,000 in
 a second (a file that is made, written to and closed gives three), a call that may
 wait sleeps for a millisecond first and returns more events, because to look at
 hundreds at once costs half as much. A signal cuts that short, kw_wake() does not. With
 a timeout of 0 it never sleeps.

 # Safety
 `events` is NULL or has room for `capacity` events.
 */
int kw_poll(struct kw_handle *handle,
            struct kw_event *events,
            size_t capacity,
            int timeout_ms);

/*
 Lets kw_poll() return at once: the call that another thread is in, or else
 the next one. A call that has events returns these, and has been woken by that: what it is
 to stop for is for a flag of yours to say. If no thread is in kw_poll() while kw_add() crawls, that returns, too, with
 KW_E_INTERRUPTED, and has added nothing. May be called from any thread and in a signal handler; leaves
 errno alone, and keeps nothing for kw_last_error(). Returns KW_OK or a
 negative code.

 # Safety
 None beyond what the types say.
 */
int kw_wake(struct kw_handle *handle);

/*
 A descriptor that is readable when kw_poll() has something to do: for
 poll(2), epoll, kqueue, or any event loop. When it is, call kw_poll() with a
 timeout of 0 until it returns 0. It may be readable without an event coming
 of it. Do not read from it or close it; it is closed by kw_free().

 Returns the descriptor, the same for the life of the handle, or a negative code.

 # Safety
 None beyond what the types say.
 */
int kw_fd(const struct kw_handle *handle);

/*
 Stores the handle's health in `*out`, which must begin with KW_STATS_INIT.
 Does not wait for other calls. What a library that is older than the header does not
 know is left as it is. Returns KW_OK or a negative code.

 # Safety
 `out` is NULL or points to a struct of the `size` that it says.
 */
int kw_stats_get(const struct kw_handle *handle,
                 struct kw_stats *out);

/*
 Stores the details of the last error of any call on this handle in `*out`,
 which must begin with KW_ERROR_INIT. With a NULL handle: of the calling
 thread's last call that had no valid handle, kw_open() above all, and those on a handle
 of the parent's after a fork. Calls that succeed do not clear it. It is one a handle,
 not one a thread.

 Returns KW_OK, or a negative code if `out` or `handle` is not acceptable.

 # Safety
 `out` is NULL or points to a struct of the `size` that it says.
 */
int kw_last_error(const struct kw_handle *handle,
                  struct kw_error *out);

/*
 Has the library look at every entry that is polled (see POLLING above), and in
 a watch with KW_SYNC_ALL at every entry, so that kw_poll(), called until it
 returns 0, delivers all that happened to them too. What has to settle (`settle_ms`) does
 not wait any longer. The looks are made by the next
 kw_poll(), all of them, whatever its timeout: a few microseconds each on a local
 file system. Otherwise there is nothing to do: a kw_poll() that returns 0 says the
 same. `timeout_ms` is as in kw_poll() and has no effect yet. Returns KW_OK or a
 negative code.

 # Safety
 None beyond what the types say.
 */
int kw_sync(struct kw_handle *handle,
            int timeout_ms);

/*
 What a code that a function returned means, in a few English words. Never
 NULL; static; any thread.
 */
const char *kw_strerror(int code);

/*
 The version of the library that is running, like "0.1.0". Static; any thread.
 */
const char *kw_version(void);

/*
 Closes a handle and everything it holds: descriptors, watches, the strings
 of its events. NULL, and what is no live handle, is ignored. No other thread
 may be in a call on the handle. In a process forked from the one that opened
 it, this does nothing.

 # Safety
 No other thread may be in a call on the handle.
 */
void kw_free(struct kw_handle *handle);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KW_H */
