/* same A B - says what differs between two trees: names, kinds, modes, contents, targets. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *here, *there;
static int differences;
static long entries;

static void differ(const char *path, const char *how)
{
    printf("%s: %s\n", path, how);
    differences++;
}

static int same_content(const char *a, const char *b)
{
    FILE *f = fopen(a, "r"), *g = fopen(b, "r");
    int c = EOF, d = EOF;
    if (f != NULL && g != NULL)
        do
            c = getc(f), d = getc(g);
        while (c == d && c != EOF);
    int same = f != NULL && g != NULL && c == d;
    if (f != NULL)
        fclose(f);
    if (g != NULL)
        fclose(g);
    return same;
}

static int compare(const char *path, const struct stat *s, int type, struct FTW *where)
{
    char other[PATH_MAX], target[2][PATH_MAX];
    struct stat o;
    (void)type, (void)where;
    entries++;
    snprintf(other, sizeof other, "%s%s", there, path + strlen(here));
    if (lstat(other, &o) != 0)
        differ(path, "only here");
    else if ((s->st_mode ^ o.st_mode) & S_IFMT)
        differ(path, "another kind");
    else if (S_ISLNK(s->st_mode)) {
        ssize_t n = readlink(path, target[0], PATH_MAX), m = readlink(other, target[1], PATH_MAX);
        if (n != m || n < 0 || memcmp(target[0], target[1], (size_t)n) != 0)
            differ(path, "another target");
    } else if (s->st_mode != o.st_mode) {
        snprintf(target[0], PATH_MAX, "mode %o, there %o", (unsigned)s->st_mode, (unsigned)o.st_mode);
        differ(path, target[0]);
    }
    else if (S_ISREG(s->st_mode) && !same_content(path, other))
        differ(path, "another content");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (int i = 1; i <= 2; i++) {
        here = argv[i], there = argv[3 - i];
        if (nftw(here, compare, 16, FTW_PHYS) != 0) {
            perror(here);
            return 2;
        }
    }
    printf("%ld entries, %d differences\n", entries / 2, differences);
    return differences > 0;
}
