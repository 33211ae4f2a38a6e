/* scribble DIR SEED OPERATIONS - changes what is in a directory at random, at full speed. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state;

static unsigned dice(unsigned sides)
{
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (unsigned)((state * UINT64_C(2685821657736338717)) >> 33) % sides;
}

/* One to three levels of a few names. */
static const char *path(char into[64])
{
    unsigned depth = 1 + dice(3);
    *into = '\0';
    for (unsigned i = 0; i < depth; i++)
        sprintf(into + strlen(into), "%s%c", i > 0 ? "/" : "", 'a' + (int)dice(6));
    return into;
}

static void write_to(const char *name, int flags)
{
    char text[200];
    int fd = open(name, O_WRONLY | flags, 0644);
    size_t n = 1 + dice(sizeof text - 1);
    if (fd < 0)
        return;
    memset(text, 'a' + (int)dice(26), n);
    if (write(fd, text, n) < 0)
        perror(name);
    close(fd);
}

int main(int argc, char **argv)
{
    char a[64], b[64];
    unsigned modes = 0, writer;
    if (argc != 4 || chdir(argv[1]) != 0)
        return 2;
    umask(0);
    writer = (unsigned)(strtoull(argv[2], NULL, 10) % 3);
    state = strtoull(argv[2], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (long left = atol(argv[3]); left > 0; left--) {
        path(a), path(b);
        /* Most of these fail most of the time: what they are to happen to is not there. */
        switch (dice(12)) {
        case 0: case 1: mkdir(a, 0755); break;
        case 2: case 3: write_to(a, O_CREAT | O_TRUNC); break;
        case 4: write_to(a, O_APPEND); break;
        case 5: case 6: rename(a, b); break;
        case 7: unlink(a); break;
        case 8: rmdir(a); break;
        case 9: symlink(b, a); break;
        /* Each time another mode, and not one of the other writers': the mirror looks at
         * the source later than the library has. If a mode changes in between, and back
         * before the library looks again, no event tells that the mirror saw what is gone. */
        case 10:
            if (modes < 21 && dice(40) == 0)
                chmod(a, 0700 | (mode_t)(writer * 21 + modes++));
            break;
        default: /* as an editor saves */
            write_to(".tmp", O_CREAT | O_TRUNC);
            rename(".tmp", a);
        }
    }
    return 0;
}
