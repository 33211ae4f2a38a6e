/*
 * tap.h - the Test Anything Protocol, as prove(1) reads it.
 *
 * ok() and the like count a test each and go on when it fails; die() ends the
 * program when going on makes no sense. `return done();` ends main().
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In sandbox.c, for there may be several source files in a test. */
extern int tap_count, tap_failures;

static inline void tap_comment(FILE *to, const char *format, va_list args)
{
    static char text[65536];
    vsnprintf(text, sizeof text, format, args);
    for (char *line = text; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        fprintf(to, "# %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

/* A comment that is shown, for what has failed; a line for each of the text's. */
static inline void diag(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_comment(stderr, format, args);
    va_end(args);
}

/* A comment for those who ask for it (prove -v). */
static inline void note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_comment(stdout, format, args);
    va_end(args);
}

static inline int tap_result(int passed, const char *file, int line, const char *format, ...)
{
    va_list args;
    tap_count++;
    tap_failures += !passed;
    printf("%sok %d - ", passed ? "" : "not ", tap_count);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    if (!passed)
        diag("failed at %s:%d", file, line);
    return passed;
}

#define ok(condition, ...) tap_result(!!(condition), __FILE__, __LINE__, __VA_ARGS__)

static inline int tap_is(long got, long want, const char *file, int line, const char *label)
{
    int passed = tap_result(got == want, file, line, "%s", label);
    if (!passed)
        diag("got %ld, want %ld", got, want);
    return passed;
}
#define is(got, want, label) tap_is((long)(got), (long)(want), __FILE__, __LINE__, (label))

static inline int tap_is_text(const char *got, const char *want, const char *file, int line,
                              const char *label)
{
    int passed = tap_result(strcmp(got, want) == 0, file, line, "%s", label);
    if (!passed)
        diag("got:\n%s\nwant:\n%s\n", got, want);
    return passed;
}
#define is_text(got, want, label) tap_is_text((got), (want), __FILE__, __LINE__, (label))

/* One test that cannot be made here, and why. */
static inline void skip(const char *label, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++tap_count, label, why);
}

/* The whole program cannot be run here. */
static inline void skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(EXIT_SUCCESS);
}

/* What the test itself needs has failed. */
static inline void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("not ok %d - cannot go on: ", ++tap_count);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    exit(EXIT_FAILURE);
}

static inline int done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
