/* Prints what changes below a directory: the smallest complete program.
 * cc minimal.c $(pkg-config --cflags --libs kw) -o minimal && ./minimal DIR */
#include <kw.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    kw_handle *h;
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_event events[64];
    int n = kw_open(NULL, &h);
    options.flags = KW_RECURSIVE;
    if (n == KW_OK)
        n = kw_add(h, argc > 1 ? argv[1] : ".", &options, NULL);
    while (n >= 0 && (n = kw_poll(h, events, 64, -1)) >= 0)
        for (int i = 0; i < n; i++)
            printf("%4x %s\n", (unsigned)events[i].kind, events[i].path);
    fprintf(stderr, "minimal: %s\n", kw_strerror(n));
    kw_free(h);
    return 1;
}
