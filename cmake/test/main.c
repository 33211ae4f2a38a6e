/* Watches the directory that is its argument, makes a file in it, and prints what it is
 * told of that. */
#include <kw.h>
#include <stdio.h>

static int fail(const kw_handle *h)
{
    kw_error e = KW_ERROR_INIT;
    kw_last_error(h, &e);
    fprintf(stderr, "%s: %s: %s\n", e.path, e.operation, kw_strerror(e.status));
    return 1;
}

int main(int argc, char **argv)
{
    kw_handle *h;
    kw_event e;
    char name[4096];
    int n;

    if (argc != 2 || snprintf(name, sizeof name, "%s/made", argv[1]) >= (int)sizeof name)
        return 2;
    if (kw_open(NULL, &h) < 0)
        return fail(NULL);
    n = kw_add(h, argv[1], NULL, NULL);
    if (n == KW_OK) {
        FILE *made = fopen(name, "w");
        if (made == NULL || fclose(made) != 0) {
            perror(name);
            kw_free(h);
            return 1;
        }
        while ((n = kw_poll(h, &e, 1, 0)) > 0)
            printf("%x %s\n", (unsigned)e.kind, e.path + e.root_len);
    }
    if (n < 0)
        fail(h);
    kw_free(h);
    return n < 0;
}
