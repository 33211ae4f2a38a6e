/* More entries than can be watched: few descriptors, few watches of the kernel, few that
 * the caller allows, none at all. Everything is reported all the same. */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include "namespace.h"
#include <sys/xattr.h>
#endif

enum { DESCRIPTORS = 64, WATCHES = 200 };

static replica *mirror;
static int begun, ended;
static uint64_t polled_at_last;

static void reflect(const kw_event *e)
{
    if (e->kind == KW_DEGRADED) {
        begun += e->count > 0;
        ended += e->count == 0;
        polled_at_last = e->count;
    }
    replica_apply(mirror, e);
}

static kw_stats stats_of(const kw_handle *h)
{
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    return s;
}

/* Sets the soft limit, 0 being the hard one. Returns what it was. */
static rlim_t limit_descriptors(rlim_t limit)
{
    struct rlimit l;
    getrlimit(RLIMIT_NOFILE, &l);
    rlim_t before = l.rlim_cur;
    l.rlim_cur = limit != 0 ? limit : l.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &l) != 0)
        die("setrlimit: %s", strerror(errno));
    return before;
}

static void reported(kw_handle *h, const char *what)
{
    is(kw_sync(h, -1), KW_OK, fmt("%s: kw_sync() has everything looked at", what));
    drain(h);
    rlim_t low = limit_descriptors(0);
    is(replica_differences(mirror), 0, "  and all that happened has been reported");
    limit_descriptors(low);
}

/* --- A large tree, and what another process does to it --------------------- */

static unsigned dirs, files;

static unsigned dice(unsigned sides)
{
    static unsigned long long seed = 88172645463325252;
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (unsigned)(seed >> 33) % sides;
}

static const char *some_dir(void)
{
    return fmt("tree/d%u", dice(dirs));
}

static const char *some_file(void)
{
    unsigned d = dice(dirs);
    return fmt("tree/d%u/f%u", d, dice(files));
}

/* What fails (there is no such file by then) is part of it. */
static void stress(int operations)
{
    for (int i = 0; i < operations; i++) {
        const char *file = some_file(), *other = some_file();
        switch (dice(9)) {
        case 0:
        case 1:
        case 2: {
            FILE *f = fopen(file, dice(4) ? "a" : "w");
            if (f != NULL)
                fputs("more", f), fclose(f);
            break;
        }
        case 3: unlink(file); break;
        case 4: rename(file, other); break;
        case 5: mkdir(fmt("%s/n%u", some_dir(), dice(4)), 0777); break;
        case 6: rename(fmt("%s/n%u", some_dir(), dice(4)), fmt("%s/n%u", some_dir(), dice(4))); break;
        case 7: rename(some_dir(), some_dir()); break;
        default: chmod(file, dice(2) ? 0600 : 0644); break;
        }
    }
}

static void make_tree(unsigned d, unsigned f)
{
    dirs = d, files = f;
    for (unsigned i = 0; i < dirs; i++) {
        make_dir(fmt("tree/d%u", i));
        for (unsigned j = 0; j < files; j++)
            write_file(fmt("tree/d%u/f%u", i, j), "x");
    }
    mirror = replica_of("tree");
    on_event = reflect;
    begun = ended = 0;
}

static void remove_all(void)
{
    on_event = NULL;
    replica_free(mirror);
    remove_tree("tree");
    make_dir("tree");
}

static void few(int inotify)
{
    /* kqueue needs a descriptor for everything, inotify a watch for a directory. */
    make_tree(inotify ? 2000 : 500, 10);
    rlim_t before = limit_descriptors(DESCRIPTORS);
    kw_handle *h = watch_tree();
    drain(h);
    ok(begun == 1 && ended == 0, "%u entries, %d descriptors: KW_DEGRADED comes once",
       dirs * (files + 1), DESCRIPTORS);
    kw_stats s = stats_of(h);
    ok(s.polled > 0 && s.polled == polled_at_last, "  %d entries are polled",
       (int)polled_at_last);
    ok(s.descriptors < DESCRIPTORS && s.descriptor_limit == DESCRIPTORS,
       "  it holds %d descriptors and %d watches", (int)s.descriptors, (int)s.kernel_watches);
    is_text(s.limited_by, inotify ? "fs.inotify.max_user_watches" : "RLIMIT_NOFILE",
            "  what limits it has its name");
    FILE *f = fopen("tree/d0/f0", "r");
    ok(f != NULL, "  this program can open files");
    if (f != NULL)
        fclose(f);

    pid_t child = fork();
    if (child == 0) {
        stress(getenv("KW_TEST_SECONDS") ? 500 : 5000);
        _exit(0);
    }
    while (waitpid(child, NULL, WNOHANG) == 0) {
        readable(h, 20);
        drain(h);
    }
    reported(h, "after what another process did to it at full speed");
    is(begun, 1, "  KW_DEGRADED has not come again");

    /* Nobody asks for it. */
    stress(50);
    uint64_t rounds = stats_of(h).rounds + 2;
    long until = now_ms() + 120000;
    while (stats_of(h).rounds < rounds && now_ms() < until) {
        readable(h, 2000);
        drain(h);
    }
    s = stats_of(h);
    ok(s.rounds >= rounds, "in time: %d rounds, the last of them took %d ms", (int)s.rounds,
       (int)s.round_ms);
    limit_descriptors(before);
    is(replica_differences(mirror), 0, "  all is reported without being asked for");

    /* Then there is room. */
#ifdef __linux__
    if (inotify)
        set("/proc/sys/user/max_inotify_watches", "100000");
#endif
    for (int i = 0; i < 3; i++) {
        kw_sync(h, -1);
        drain(h);
    }
    readable(h, 5000);
    drain(h);
    s = stats_of(h);
    ok(ended == 1 && s.polled == 0, "when there is room KW_DEGRADED says so, and %d are watched",
       (int)s.kernel_watches);
    is_text(s.limited_by, "", "  and nothing limits it");
    reported(h, "all being watched");

    /* And then there is not. */
    if (!inotify) {
        limit_descriptors(DESCRIPTORS);
        write_file("tree/new", "x");
        kw_sync(h, -1);
        drain(h);
        ok(stats_of(h).descriptors < DESCRIPTORS, "when the limit falls descriptors are given back: it holds %d",
           (int)stats_of(h).descriptors);
        reported(h, "with few of them again");
        limit_descriptors(before);
    }
    kw_free(h);
    remove_all();
}

/* --- What the caller allows ------------------------------------------------ */

static kw_handle *open_with(uint32_t flags, uint64_t limit)
{
    kw_options o = KW_OPTIONS_INIT;
    kw_handle *h = NULL;
    o.flags = flags;
    o.watch_limit = limit;
    o.poll_interval_ms = 20;
    if (kw_open(&o, &h) != KW_OK)
        die("kw_open failed");
    return h;
}

static void chosen(void)
{
    make_tree(40, 5);
    kw_handle *h = open_with(0, 30);
    add_watch(h, "tree", KW_RECURSIVE);
    drain(h);
    kw_stats s = stats_of(h);
    ok(s.kernel_watches <= 30 && s.watch_limit == 30, "30 watches are allowed: it has %d",
       (int)s.kernel_watches);
    is_text(s.limited_by, "watch_limit", "  which is what limits it");
    is(begun, 1, "  KW_DEGRADED");
    stress(100);
    reported(h, "30 watches");

    is(kw_set_watch_limit(h, 5), KW_OK, "5 are allowed");
    ok(stats_of(h).kernel_watches <= 5, "  the others are given back at once");
    stress(100);
    reported(h, "5 watches");

    is(kw_set_watch_limit(h, 0), KW_OK, "none is allowed");
    is(stats_of(h).kernel_watches, 0, "  there is none");
    stress(100);
    reported(h, "no watches");

    is(kw_set_watch_limit(h, KW_NO_LIMIT), KW_OK, "as many as there are");
    stress(100);
    reported(h, "all watches");
    long until = now_ms() + 20000;
    while (ended == 0 && now_ms() < until) {
        readable(h, 1000);
        drain(h);
    }
    ok(ended == 1 && stats_of(h).polled == 0, "  KW_DEGRADED says that nothing is polled");
    kw_free(h);
    remove_all();
}

static void none(void)
{
    make_tree(10, 5);
    kw_handle *h = open_with(KW_POLL_ONLY, 0);
    add_watch(h, "tree", KW_RECURSIVE);
    drain(h);
    is(stats_of(h).kernel_watches, 0, "KW_POLL_ONLY: there is no watch");
    write_file("tree/d3/new", "x");
    long until = now_ms() + 20000;
    char *text = strdup("");
    while (strstr(text, "CREATED d3/new\n") == NULL && now_ms() < until) {
        readable(h, 1000);
        free(text);
        text = strdup(drain(h));
    }
    ok(strstr(text, "CREATED d3/new\n") != NULL, "  what happens is reported before long");
    free(text);
#ifdef __linux__
    if (setxattr("tree/d4/f1", "user.libkw", "x", 1, 0) == 0) {
        kw_sync(h, -1);
        ok(strstr(drain(h), "ATTRIB d4/f1\n") != NULL, "  an extended attribute, too");
    }
#endif
    int held[DESCRIPTORS], n = 0;
    rlim_t before = limit_descriptors(DESCRIPTORS);
    while (n < DESCRIPTORS && (held[n] = dup(0)) >= 0)
        n++;
    if (truncate("tree/d6/f1", 77) != 0)
        die("truncate: %s", strerror(errno));
    kw_sync(h, -1);
    text = strdup(drain(h));
    while (n > 0)
        close(held[--n]);
    limit_descriptors(before);
    is_text(text, "MODIFIED d6/f1\n", "  it needs no descriptor");
    free(text);
    rename_to("tree/d5/f1", "tree/d5/renamed");
    kw_sync(h, -1);
    ok(strstr(drain(h), "MOVED d5/f1 -> d5/renamed\n") != NULL, "  a rename is one");
    stress(100);
    reported(h, "  without watches");
    rename_to("tree", "away");
    kw_sync(h, -1);
    ok(strstr(drain(h), "ROOT_GONE .\n") != NULL, "  the root goes");
    rename_to("away", "tree");
    kw_sync(h, -1);
    ok(strstr(drain(h), "ROOT_BACK .\n") != NULL, "  and comes back");
    is(replica_differences(mirror), 0, "  with all that is in it");
    kw_free(h);
    remove_all();
}

#ifdef __linux__
/* Every instance of inotify that the user may have is in use. */
static void no_instance(void)
{
    if (!set("/proc/sys/user/max_inotify_instances", "0"))
        return;
    make_tree(10, 5);
    kw_handle *h = watch_tree();
    drain(h);
    is(begun, 1, "no inotify instance is to be had: KW_DEGRADED");
    is_text(stats_of(h).limited_by, "fs.inotify.max_user_instances", "  is what limits it");
    stress(100);
    reported(h, "without an instance");
    set("/proc/sys/user/max_inotify_instances", "100");
    kw_sync(h, -1);
    drain(h);
    ok(stats_of(h).polled == 0, "when there is one, everything is watched");
    stress(100);
    reported(h, "with an instance");
    kw_free(h);
    remove_all();
}

/* The descriptors of a process: what appears in /proc is told to nobody. */
static void silent(void)
{
    int ask[2], answer[2];
    char byte = 0, *text;
    if (pipe(ask) != 0 || pipe(answer) != 0)
        die("pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        int fd = -1;
        close(ask[1]);
        while (read(ask[0], &byte, 1) == 1) {
            if (fd < 0)
                fd = dup2(0, 40);
            else
                close(fd), fd = -1;
            if (write(answer[1], &byte, 1) != 1)
                break;
        }
        _exit(0);
    }
    kw_handle *h = open_handle();
    add_watch(h, fmt("/proc/%d/fd", (int)child), KW_RECURSIVE);
    text = strdup(drain(h));
    ok(strstr(text, "DEGRADED .\n") != NULL, "a file system that does not tell of changes");
    free(text);
    is_text(stats_of(h).limited_by, "file system", "  is what limits it");
    for (int i = 0; i < 2; i++) {
        if (write(ask[1], &byte, 1) != 1 || read(answer[0], &byte, 1) != 1)
            die("the child does not answer");
        kw_sync(h, -1);
        text = strdup(drain(h));
        ok(strstr(text, i == 0 ? "CREATED 40@\n" : "DELETED 40@\n") != NULL,
           "  what %s in it is seen", i == 0 ? "appears" : "goes");
        free(text);
    }
    kw_free(h);
    close(ask[1]);
    waitpid(child, NULL, 0);
    close(ask[0]), close(answer[0]), close(answer[1]);
}
#endif

/* `poll_looks`: few looks at a time make a long round. */
static void paced(void)
{
    make_tree(10, 5);
    kw_options o = KW_OPTIONS_INIT;
    kw_handle *h = NULL;
    o.flags = KW_POLL_ONLY;
    o.poll_interval_ms = 20;
    o.poll_looks = 10;
    if (kw_open(&o, &h) != KW_OK)
        die("kw_open failed");
    add_watch(h, "tree", KW_RECURSIVE);
    long until = now_ms() + 20000;
    while (stats_of(h).rounds < 2 && now_ms() < until) {
        readable(h, 1000);
        drain(h);
    }
    /* 61 entries at least, 10 every 20 ms: the seventh look comes six intervals later. */
    ok(stats_of(h).round_ms >= 120, "10 looks every 20 ms: a round of 61 entries takes %d ms",
       (int)stats_of(h).round_ms);
    kw_free(h);
    remove_all();
}

/* `descriptor_reserve`: what watching leaves free, where it takes descriptors. */
static void reserved(void)
{
    enum { RESERVE = 10 };
    make_tree(20, 10);
    rlim_t before = limit_descriptors(DESCRIPTORS);
    kw_options o = KW_OPTIONS_INIT;
    kw_handle *h = NULL;
    int held[DESCRIPTORS], n = 0;
    o.descriptor_reserve = RESERVE;
    if (kw_open(&o, &h) != KW_OK)
        die("kw_open failed");
    add_watch(h, "tree", KW_RECURSIVE);
    drain(h);
    while (n < DESCRIPTORS && (held[n] = dup(0)) >= 0)
        n++;
    ok(n >= RESERVE, "%d descriptors are to be left free: %d are", RESERVE, n);
    while (n > 0)
        close(held[--n]);
    kw_free(h);
    limit_descriptors(before);
    remove_all();
}

static void raised(void)
{
    rlim_t before = limit_descriptors(DESCRIPTORS);
    kw_handle *h = open_with(0, 0);
    is(stats_of(h).descriptor_limit, DESCRIPTORS, "the limit on descriptors is left alone");
    kw_free(h);
    h = open_with(KW_RAISE_LIMIT, 0);
    ok(stats_of(h).descriptor_limit > DESCRIPTORS, "KW_RAISE_LIMIT raises it to %llu",
       (unsigned long long)stats_of(h).descriptor_limit);
    kw_free(h);
    limit_descriptors(before);
}

int main(void)
{
    sandbox();
    kw_handle *h = open_handle();
    int inotify = strcmp(stats_of(h).engine, "inotify") == 0;
    kw_free(h);

    chosen();
    none();
    paced();
    reserved();
    raised();
#ifdef __linux__
    if (inotify) {
        silent();
        const char *why = try_namespace(0);
        if (why == NULL && !set("/proc/sys/user/max_inotify_watches", fmt("%d", WATCHES)))
            why = fmt("its limits cannot be set: %s", strerror(errno));
        if (why != NULL) {
            note("skipped: few watches of the kernel: %s", why);
            return done();
        }
        no_instance();
    }
#endif
    few(inotify);
    return done();
}
