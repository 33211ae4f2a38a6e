/* What Swift does not import of kw.h: the initialisers, and arrays within structs. */
#ifndef CKW_SHIM_H
#define CKW_SHIM_H

#include <kw.h>

static inline kw_options ckw_options(void)
{
    kw_options options = KW_OPTIONS_INIT;
    return options;
}

static inline kw_watch_options ckw_watch_options(void)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    return options;
}

static inline kw_stats ckw_stats(void)
{
    kw_stats stats = KW_STATS_INIT;
    return stats;
}

static inline kw_error ckw_error(void)
{
    kw_error error = KW_ERROR_INIT;
    return error;
}

static inline const char *ckw_stats_engine(const kw_stats *stats) { return stats->engine; }
static inline const char *ckw_stats_limited_by(const kw_stats *stats) { return stats->limited_by; }
static inline const char *ckw_error_operation(const kw_error *error) { return error->operation; }
static inline const char *ckw_error_path(const kw_error *error) { return error->path; }

#endif
