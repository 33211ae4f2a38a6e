#define _XOPEN_SOURCE 700
#include "out.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kwatch.h"

#ifndef PIPE_BUF
#define PIPE_BUF _POSIX_PIPE_BUF
#endif

/* How long a reader may not read when all is to end. */
#define GIVE_UP_MS 1000

out out_stdout = {.fd = STDOUT_FILENO};
out out_stderr = {.fd = STDERR_FILENO};

/* A file takes all at once. Of a pipe this much is free if it is said to be writable. */
static size_t portion_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? SIZE_MAX : PIPE_BUF;
}

/* Waits until something can be written; after a signal that is to end the program for
 * GIVE_UP_MS in all. pselect() lets signals in only while it waits, so none is missed.
 * Returns 0, or errno. */
static int wait_until_writable(int fd)
{
    static int64_t give_up = -1;
    sigset_t all, before;
    int n, error;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    do {
        struct timespec limit;
        fd_set set;
        if (stops > 0) {
            int64_t left;
            if (give_up < 0)
                give_up = now_ms() + GIVE_UP_MS;
            left = give_up - now_ms();
            limit.tv_sec = left > 0 ? (time_t)(left / 1000) : 0;
            limit.tv_nsec = left > 0 ? (long)(left % 1000) * 1000000 : 0;
        }
        FD_ZERO(&set);
        FD_SET(fd, &set);
        n = pselect(fd + 1, NULL, &set, NULL, stops > 0 ? &limit : NULL, &before);
        error = n > 0 ? 0 : n == 0 ? EINTR : errno;
    } while (n < 0 && error == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int out_flush(out *o)
{
    size_t done = 0;
    if (o->portion == 0)
        o->portion = portion_of(o->fd);
    while (done < o->used && o->error == 0) {
        size_t length = o->used - done < o->portion ? o->used - done : o->portion;
        ssize_t n;
        if (o->portion == PIPE_BUF && (o->error = wait_until_writable(o->fd)) != 0)
            break;
        n = write(o->fd, o->buffer + done, length);
        if (n >= 0)
            done += (size_t)n;
        /* Someone else may have made the terminal or the pipe non-blocking. */
        else if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
            o->error = errno;
    }
    o->used = 0;
    return o->error;
}

void out_bytes(out *o, const void *bytes, size_t length)
{
    const char *from = bytes;
    while (length > 0) {
        size_t n = sizeof o->buffer - o->used;
        if (n > length)
            n = length;
        memcpy(o->buffer + o->used, from, n);
        o->used += n;
        from += n;
        length -= n;
        if (o->used == sizeof o->buffer)
            out_flush(o);
    }
}

void out_text(out *o, const char *text)
{
    out_bytes(o, text, strlen(text));
}

void out_char(out *o, char c)
{
    out_bytes(o, &c, 1);
}

void out_unsigned(out *o, uint64_t number)
{
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    out_bytes(o, digits + i, sizeof digits - i);
}

void out_signed(out *o, int64_t number)
{
    if (number < 0)
        out_char(o, '-');
    out_unsigned(o, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void out_format(out *o, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    out_text(o, text);
}

size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    if (n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* What would be shorter, a surrogate, beyond U+10FFFF. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

void out_name(out *o, const char *name, size_t length)
{
    const unsigned char *s = (const unsigned char *)name;
    for (size_t i = 0; i < length; i++) {
        size_t n = utf8_length(s + i, length - i);
        /* U+0080 to U+009F are control characters, too. */
        if (n > 1 && !(s[i] == 0xc2 && s[i + 1] < 0xa0)) {
            out_bytes(o, s + i, n);
            i += n - 1;
        } else if (s[i] == '\n') {
            out_text(o, "\\n");
        } else if (s[i] == '\\') {
            out_text(o, "\\\\");
        } else if (s[i] < 0x20 || s[i] >= 0x7f) {
            out_format(o, "\\x%02x", s[i]);
        } else {
            out_char(o, (char)s[i]);
        }
    }
}
