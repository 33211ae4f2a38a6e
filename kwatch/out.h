/*
 * out.h - what is written, in whole and in time.
 *
 * Not stdio: a write that a signal interrupts must not lose what was to be written,
 * and a reader that has stopped reading must not keep a signal from ending the program.
 */
#ifndef OUT_H
#define OUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct out {
    int fd;
    int error; /* errno of the first write that failed, or 0 */
    size_t portion; /* how much one write may have, so that it does not block; 0: not known yet */
    size_t used;
    char buffer[32768];
} out;

/* Standard output and standard error. What goes to the latter has to be flushed, too. */
extern out out_stdout, out_stderr;

void out_bytes(out *o, const void *bytes, size_t length);
void out_text(out *o, const char *text);
void out_char(out *o, char c);
void out_unsigned(out *o, uint64_t number);
void out_signed(out *o, int64_t number);
/* printf, for at most 255 bytes. */
void out_format(out *o, const char *format, ...);

/* A file name, so that it spoils neither its line nor the terminal: a line break is shown
 * as \n, other control characters and what is no UTF-8 as \x1b, a backslash as \\. */
void out_name(out *o, const char *name, size_t length);

/* Writes what there is. 0, or errno of the first write that failed. EINTR: a signal is to
 * end the program, and nobody reads. */
int out_flush(out *o);

/* Length of the UTF-8 character at `s`, 1 to 4; 0 if there is none. */
size_t utf8_length(const unsigned char *s, size_t left);

#endif
