/* Events as text, as JSON, as paths alone, and by a format string. */
#define _XOPEN_SOURCE 700
#include "kwatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "out.h"

static const char green[] = "\033[32m", red[] = "\033[31m", yellow[] = "\033[33m",
                  blue[] = "\033[34m", cyan[] = "\033[36m", magenta[] = "\033[35m";

/* A kind and its REPLACED variant are told apart, as a reader would. */
static const struct {
    uint32_t kind;
    uint32_t flag;
    const char *name;
    const char *color;
} names[] = {
    {KW_CREATED, 0, "created", green},
    {KW_DELETED, 0, "deleted", red},
    {KW_MODIFIED, KW_REPLACED, "replaced", yellow},
    {KW_MODIFIED, 0, "modified", yellow},
    {KW_ATTRIB, 0, "attrib", cyan},
    {KW_MOVED, 0, "moved", blue},
    {KW_RESCANNED, 0, "rescanned", magenta},
    {KW_ROOT_GONE, 0, "root gone", red},
    {KW_ROOT_BACK, 0, "root back", green},
    {KW_READY, 0, "ready", magenta},
    {KW_UNMOUNTED, 0, "unmounted", magenta},
    {KW_DEGRADED, 0, "degraded", magenta},
    {KW_ERROR, 0, "error", red},
};
#define NAMES (sizeof names / sizeof names[0])

static unsigned long seen[NAMES];
static const struct settings *settings;
static bool colored;
static out *const o = &out_stdout;

void print_begin(const struct settings *s)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    settings = s;
    colored = s->color == WHEN_ALWAYS ||
              (s->color == WHEN_AUTO && (no_color == NULL || no_color[0] == '\0') &&
               isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0);
}

/* A later library may know kinds that this program does not: NAMES. */
static size_t index_of(const kw_event *e)
{
    size_t i = 0;
    while (i < NAMES && (e->kind != names[i].kind || (names[i].flag & ~e->flags)))
        i++;
    return i;
}

/* As one word: "root-gone". */
static void put_kind(size_t i)
{
    const char *name = i < NAMES ? names[i].name : "?";
    for (; *name != '\0'; name++)
        out_char(o, (char)(*name == ' ' ? '-' : *name));
}

uint32_t kind_by_name(const char *name, size_t length, bool *replaced)
{
    if (length == 3 && strncmp(name, "all", 3) == 0)
        return KW_ALL_EVENTS;
    for (size_t i = 0; i < NAMES; i++) {
        size_t j = 0;
        if (strlen(names[i].name) != length)
            continue;
        while (j < length && (name[j] == names[i].name[j] ||
                              (name[j] == '-' && names[i].name[j] == ' ')))
            j++;
        if (j == length) {
            *replaced = names[i].flag == KW_REPLACED;
            return names[i].kind;
        }
    }
    return 0;
}

/* --- Text --------------------------------------------------------------- */

static void put_color(const char *color)
{
    if (colored)
        out_text(o, color);
}

void print_watching(const char *path)
{
    if (settings->verbose) {
        out_text(&out_stderr, "kwatch: watching ");
        out_name(&out_stderr, path, strlen(path));
        out_char(&out_stderr, '\n');
        out_flush(&out_stderr);
    }
    if (settings->print && settings->form == FORM_TEXT && !settings->quiet) {
        out_text(o, "watching  ");
        out_name(o, path, strlen(path));
        out_char(o, '\n');
    }
}

/* What a KW_DEGRADED is about, and what to do about it. */
static void text_polling(uint64_t count)
{
    kw_stats s = KW_STATS_INIT;
    if (count == 0) {
        out_text(o, ": nothing is polled any more");
        return;
    }
    out_format(o, ": %llu polled", (unsigned long long)count);
    if (kw_stats_get(handle, &s) == KW_OK && s.limited_by[0] != '\0')
        out_format(o, ", for %s", s.limited_by);
}

static void text_event(const kw_event *e)
{
    size_t i = index_of(e);
    const char *name = i < NAMES ? names[i].name : "?";
    put_color(i < NAMES ? names[i].color : magenta);
    out_text(o, name);
    put_color("\033[m");
    for (size_t column = strlen(name); column < 10; column++)
        out_char(o, ' ');
    out_name(o, e->path, e->path_len);
    if (e->flags & KW_IS_DIR && e->path_len > 0 && e->path[e->path_len - 1] != '/')
        out_char(o, '/');
    if (e->flags & KW_IS_SYMLINK)
        out_char(o, '@');
    if (e->dest != NULL) {
        out_text(o, " -> ");
        out_name(o, e->dest, e->dest_len);
        if (e->flags & KW_IS_DIR)
            out_char(o, '/');
    }
    if (e->error != 0)
        out_format(o, ": %s", strerror(e->error));
    if (e->kind == KW_DEGRADED)
        text_polling(e->count);
    out_char(o, '\n');
}

void print_summary(void)
{
    kw_stats s = KW_STATS_INIT;
    unsigned long total = 0;
    const char *before = ": ";
    for (size_t i = 0; i < NAMES; i++)
        total += seen[i];
    out_format(o, "-- %lu event%s", total, total == 1 ? "" : "s");
    for (size_t i = 0; i < NAMES; i++) {
        if (seen[i] == 0)
            continue;
        out_format(o, "%s%lu %s", before, seen[i], names[i].name);
        before = ", ";
    }
    out_char(o, '\n');
    if (kw_stats_get(handle, &s) < 0)
        return;
    out_format(o,
               "-- %s: %llu entries, %llu watched, %llu polled, %llu descriptors of %llu, "
               "%llu overflows\n",
               s.engine, (unsigned long long)s.entries, (unsigned long long)s.kernel_watches,
               (unsigned long long)s.polled, (unsigned long long)s.descriptors,
               (unsigned long long)s.descriptor_limit, (unsigned long long)s.overflows);
    if (s.polled > 0)
        out_format(o, "-- polled for %s: a round takes %llu ms\n", s.limited_by,
                   (unsigned long long)s.round_ms);
}

/* --- JSON --------------------------------------------------------------- */

static void json_string(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    out_char(o, '"');
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length(s + i, length - i);
        if (n == 0) {
            out_text(o, "\xef\xbf\xbd"); /* U+FFFD */
            n = 1;
        } else if (s[i] == '"' || s[i] == '\\') {
            out_char(o, '\\');
            out_char(o, (char)s[i]);
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            out_format(o, "\\u%04x", s[i]);
        } else {
            out_bytes(o, s + i, n);
        }
        i += n;
    }
    out_char(o, '"');
}

static bool is_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length((const unsigned char *)text + i, length - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

static void json_key(const char *key, const char *more)
{
    out_text(o, ",\"");
    out_text(o, key);
    out_text(o, more);
    out_text(o, "\":");
}

/* JSON is UTF-8 and a name need not be: then its bytes are there as well. */
static void json_name(const char *key, const char *name, size_t length)
{
    json_key(key, "");
    json_string(name, length);
    if (is_utf8(name, length))
        return;
    json_key(key, "_bytes");
    out_char(o, '"');
    for (size_t i = 0; i < length; i++)
        out_format(o, "%02x", (unsigned char)name[i]);
    out_char(o, '"');
}

static void json_number(const char *key, uint64_t n)
{
    json_key(key, "");
    out_unsigned(o, n);
}

static void json_text(const char *key, const char *text)
{
    json_key(key, "");
    json_string(text, strlen(text));
}

static const char *type_of(const kw_event *e)
{
    return e->flags & KW_IS_DIR ? "directory" : e->flags & KW_IS_SYMLINK ? "symlink" : "file";
}

static void json_event(const kw_event *e)
{
    const char *root = root_of(e->watch);
    out_text(o, "{\"kind\":\"");
    put_kind(index_of(e));
    out_char(o, '"');
    json_text("type", type_of(e));
    json_name("root", root, strlen(root));
    json_name("path", e->path, e->path_len);
    if (e->dest != NULL)
        json_name("dest", e->dest, e->dest_len);
    if (e->flags & KW_INITIAL)
        out_text(o, ",\"initial\":true");
    if (e->flags & KW_EXPANDED)
        out_text(o, ",\"expanded\":true");
    if (e->error != 0) {
        json_number("errno", (uint64_t)e->error);
        json_text("error", strerror(e->error));
    }
    if (e->kind == KW_DEGRADED) {
        kw_stats s = KW_STATS_INIT;
        json_number("count", e->count);
        if (e->count > 0 && kw_stats_get(handle, &s) == KW_OK)
            json_text("limited_by", s.limited_by);
    }
    json_number("sequence", e->sequence);
    json_number("device", e->device);
    json_number("inode", e->inode);
    json_number("size", e->size);
    json_key("mtime_ns", "");
    out_signed(o, e->mtime_ns);
    out_text(o, "}\n");
}

/* --- Statistics --------------------------------------------------------- */

static void put_statistic(const char *name, uint64_t n, bool json)
{
    if (json)
        json_number(name, n);
    else if (n == KW_NO_LIMIT)
        out_format(&out_stderr, "%-17s none\n", name);
    else
        out_format(&out_stderr, "%-17s %llu\n", name, (unsigned long long)n);
}

void print_stats(bool json)
{
    kw_stats s = KW_STATS_INIT;
    if (kw_stats_get(handle, &s) < 0)
        return;
    if (json) {
        out_text(o, "{\"kind\":\"stats\"");
        json_text("engine", s.engine);
    } else {
        out_format(&out_stderr, "%-17s %s\n", "engine", s.engine);
    }
    put_statistic("watches", s.watches, json);
    put_statistic("entries", s.entries, json);
    put_statistic("kernel_watches", s.kernel_watches, json);
    put_statistic("watch_limit", s.watch_limit, json);
    put_statistic("polled", s.polled, json);
    if (json)
        json_text("limited_by", s.limited_by);
    else
        out_format(&out_stderr, "%-17s %s\n", "limited_by", s.limited_by[0] ? s.limited_by : "-");
    put_statistic("rounds", s.rounds, json);
    put_statistic("round_ms", s.round_ms, json);
    put_statistic("descriptors", s.descriptors, json);
    put_statistic("descriptor_limit", s.descriptor_limit, json);
    put_statistic("overflows", s.overflows, json);
    put_statistic("rescans", s.rescans, json);
    put_statistic("events", s.events, json);
    put_statistic("notes", s.notes, json);
    put_statistic("waits", s.waits, json);
    put_statistic("fetches", s.fetches, json);
    put_statistic("listings", s.listings, json);
    put_statistic("stats", s.stats, json);
    put_statistic("opens", s.opens, json);
    put_statistic("registrations", s.registrations, json);
    if (json)
        out_text(o, "}\n");
    out_flush(&out_stderr);
}

/* --- A format ----------------------------------------------------------- */

const char *format_defect(const char *format)
{
    for (const char *c = format; *c != '\0'; c++) {
        if (*c == '%' && (*++c == '\0' || strchr("%kpPfnNHysitDeEcqT", *c) == NULL))
            return *c == '\0' ? "a % at the end" : "unknown conversion";
        if (*c == '\\' && (*++c == '\0' || strchr("\\nt0e", *c) == NULL))
            return *c == '\0' ? "a backslash at the end" : "unknown escape";
    }
    return NULL;
}

/* With --print0 names are for programs, otherwise for lines. */
static void put_name(const char *name, size_t length)
{
    if (settings->print0)
        out_bytes(o, name, length);
    else
        out_name(o, name, length);
}

static void put_relative(const kw_event *e, const char *path, size_t length)
{
    if (path != NULL && length > e->root_len)
        put_name(path + e->root_len, length - e->root_len);
}

static void put_last_component(const char *path, size_t length)
{
    size_t begin;
    while (length > 1 && path[length - 1] == '/')
        length--;
    begin = length;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    put_name(path + begin, length - begin);
}

static void put_time(int64_t ns)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    out_format(o, "%lld.%09lld", (long long)seconds, (long long)rest);
}

static void put_now(void)
{
    char text[64];
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &tm) > 0)
        out_text(o, text);
}

static void put_conversion(char c, const kw_event *e)
{
    switch (c) {
    case '%': out_char(o, '%'); break;
    case 'k': put_kind(index_of(e)); break;
    case 'p': put_name(e->path, e->path_len); break;
    case 'P': put_relative(e, e->path, e->path_len); break;
    case 'f': put_last_component(e->path, e->path_len); break;
    case 'n': put_name(e->dest != NULL ? e->dest : "", e->dest_len); break;
    case 'N': put_relative(e, e->dest, e->dest_len); break;
    case 'H': put_name(root_of(e->watch), strlen(root_of(e->watch))); break;
    case 'y': out_char(o, type_of(e)[0] == 's' ? 'l' : type_of(e)[0]); break;
    case 's': out_unsigned(o, e->size); break;
    case 'i': out_unsigned(o, e->inode); break;
    case 'D': out_unsigned(o, e->device); break;
    case 't': put_time(e->mtime_ns); break;
    case 'e': out_signed(o, e->error); break;
    case 'E': out_text(o, e->error != 0 ? strerror(e->error) : ""); break;
    case 'c': out_unsigned(o, e->count); break;
    case 'q': out_unsigned(o, e->sequence); break;
    case 'T': put_now(); break;
    }
}

static void format_event(const kw_event *e)
{
    for (const char *c = settings->format; *c != '\0'; c++) {
        if (*c == '%')
            put_conversion(*++c, e);
        else if (*c == '\\' && *++c != '\\')
            out_char(o, (char)(*c == 'n' ? '\n' : *c == 't' ? '\t' : *c == 'e' ? '\033' : '\0'));
        else
            out_char(o, *c);
    }
    out_char(o, settings->print0 ? '\0' : '\n');
}

/* ------------------------------------------------------------------------ */

void print_event(const kw_event *e)
{
    size_t i = index_of(e);
    if (i < NAMES)
        seen[i]++;
    switch (settings->form) {
    case FORM_TEXT: text_event(e); break;
    case FORM_JSON: json_event(e); break;
    case FORM_STRING: format_event(e); break;
    case FORM_PATHS:
        out_bytes(o, e->path, e->path_len + 1);
        if (e->dest != NULL)
            out_bytes(o, e->dest, e->dest_len + 1);
        break;
    }
}
