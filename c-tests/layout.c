/* The ABI: the sizes, offsets and values that compiled programs rely on. What
 * fails here fails when it is compiled; the program only says that it was. */
#include "tap.h"

#include <kw.h>
#include <stddef.h>

#define AT(type, field, offset) \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field)

#if SIZE_MAX == UINT64_MAX
_Static_assert(sizeof(kw_event) == 112, "kw_event");
AT(kw_event, kind, 0);
AT(kw_event, flags, 4);
AT(kw_event, watch, 8);
AT(kw_event, error, 12);
AT(kw_event, path, 16);
AT(kw_event, path_len, 24);
AT(kw_event, dest, 32);
AT(kw_event, dest_len, 40);
AT(kw_event, root_len, 48);
AT(kw_event, sequence, 56);
AT(kw_event, device, 64);
AT(kw_event, inode, 72);
AT(kw_event, size, 80);
AT(kw_event, mtime_ns, 88);
AT(kw_event, count, 96);
AT(kw_event, reserved, 104);

_Static_assert(sizeof(kw_options) == 48, "kw_options");
AT(kw_options, size, 0);
AT(kw_options, flags, 8);
AT(kw_options, poll_interval_ms, 12);
AT(kw_options, watch_limit, 16);
AT(kw_options, descriptor_reserve, 24);
AT(kw_options, poll_looks, 28);
AT(kw_options, crawl_threads, 32);
AT(kw_options, reserved, 36);
AT(kw_options, faults, 40);

_Static_assert(sizeof(kw_watch_options) == 56, "kw_watch_options");
AT(kw_watch_options, size, 0);
AT(kw_watch_options, flags, 8);
AT(kw_watch_options, events, 12);
AT(kw_watch_options, exclude, 16);
AT(kw_watch_options, include, 24);
AT(kw_watch_options, depth, 32);
AT(kw_watch_options, settle_ms, 36);
AT(kw_watch_options, settle_max_ms, 40);
AT(kw_watch_options, reserved, 44);
AT(kw_watch_options, since, 48);

_Static_assert(sizeof(kw_stats) == 240, "kw_stats");
AT(kw_stats, size, 0);
AT(kw_stats, engine, 8);
AT(kw_stats, watches, 24);
AT(kw_stats, entries, 32);
AT(kw_stats, kernel_watches, 40);
AT(kw_stats, polled, 48);
AT(kw_stats, descriptors, 56);
AT(kw_stats, descriptor_limit, 64);
AT(kw_stats, overflows, 72);
AT(kw_stats, rescans, 80);
AT(kw_stats, events, 88);
AT(kw_stats, notes, 96);
AT(kw_stats, waits, 104);
AT(kw_stats, fetches, 112);
AT(kw_stats, listings, 120);
AT(kw_stats, stats, 128);
AT(kw_stats, opens, 136);
AT(kw_stats, registrations, 144);
AT(kw_stats, last_errno, 152);
AT(kw_stats, reserved, 156);
AT(kw_stats, watch_limit, 160);
AT(kw_stats, rounds, 168);
AT(kw_stats, round_ms, 176);
AT(kw_stats, limited_by, 184);
AT(kw_stats, crawling, 232);

_Static_assert(sizeof(kw_error) == 4184, "kw_error");
AT(kw_error, size, 0);
AT(kw_error, status, 8);
AT(kw_error, sys_errno, 12);
AT(kw_error, operation, 16);
AT(kw_error, path_len, 80);
AT(kw_error, path, 88);
#endif

_Static_assert(sizeof(kw_watch) == 4, "kw_watch");

/* Values are never given a new meaning. */
_Static_assert(KW_OK == 0 && KW_E_INVALID == -1 && KW_E_SYSTEM == -2 && KW_E_BUSY == -3 &&
                   KW_E_INTERRUPTED == -4 && KW_E_FORKED == -5 && KW_E_INTERNAL == -6 &&
                   KW_E_NOT_FOUND == -7 && KW_E_DENIED == -8 && KW_E_NO_WATCH == -9 &&
                   KW_E_LIMIT == -10 && KW_E_TOO_LONG == -11 && KW_E_SNAPSHOT == -12,
               "codes");
_Static_assert(KW_CREATED == 1 && KW_DELETED == 2 && KW_MODIFIED == 4 && KW_ATTRIB == 8 &&
                   KW_MOVED == 16 && KW_RESCANNED == 32 && KW_ROOT_GONE == 64 &&
                   KW_ROOT_BACK == 128 && KW_UNMOUNTED == 256 && KW_DEGRADED == 512 &&
                   KW_ERROR == 1024 && KW_READY == 2048 && KW_ALL_EVENTS == 4095,
               "kinds");
_Static_assert(KW_IS_DIR == 1 && KW_IS_SYMLINK == 2 && KW_REPLACED == 4 && KW_INITIAL == 8 &&
                   KW_EXPANDED == 16,
               "event flags");
_Static_assert(KW_RAISE_LIMIT == 1 && KW_POLL_ONLY == 2 && KW_NO_LIMIT == UINT64_MAX,
               "handle options");
_Static_assert(KW_RECURSIVE == 1 && KW_DIR_MODIFIED == 2 && KW_SYNC_ALL == 4 &&
                   KW_DIRS_ONLY == 32 && KW_ONE_DEVICE == 64 && KW_SKIP_HIDDEN == 128 &&
                   KW_GITIGNORE == 256 && KW_ALLOW_MISSING == 512,
               "watch options");

int main(void)
{
    kw_options options = KW_OPTIONS_INIT;
    kw_watch_options watch_options = KW_WATCH_OPTIONS_INIT;
    kw_stats stats = KW_STATS_INIT;
    kw_error error = KW_ERROR_INIT;

    ok(1, "sizes, offsets and values are those of version 0");
    ok(options.size == sizeof options && options.flags == 0 && options.poll_interval_ms == 0 &&
           options.watch_limit == 0 && options.descriptor_reserve == 0 && options.poll_looks == 0 &&
           options.crawl_threads == 0 && options.reserved == 0 && options.faults == NULL,
       "KW_OPTIONS_INIT");
    ok(watch_options.size == sizeof watch_options && watch_options.flags == 0 &&
           watch_options.events == 0 && watch_options.exclude == NULL &&
           watch_options.include == NULL && watch_options.depth == 0 &&
           watch_options.reserved == 0,
       "KW_WATCH_OPTIONS_INIT");
    ok(stats.size == sizeof stats && stats.engine[0] == '\0' && stats.reserved == 0,
       "KW_STATS_INIT");
    ok(stats.round_ms == 0 && stats.limited_by[0] == '\0', "  to its end");
    ok(error.size == sizeof error && error.status == KW_OK && error.path[0] == '\0',
       "KW_ERROR_INIT");
    return done();
}
