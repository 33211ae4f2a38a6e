/* More events than the caller's array has room for. */
#include "sandbox.h"

#define FILES 10

int main(void)
{
    kw_event e[FILES + 1];
    char names[FILES][64];
    kw_stats s = KW_STATS_INIT;

    sandbox();
    kw_handle *h = watch_tree();
    ok(!readable(h, 0), "kw_fd is not readable while nothing has happened");
    for (int i = 0; i < FILES; i++)
        write_file(fmt("tree/%d", i), "x");
    ok(readable(h, 0), "kw_fd is readable when something has");
    for (int i = 0; i < FILES; i++) {
        int n = kw_poll(h, e, 1, 0);
        is(n, 1, "room for one event: one event");
        if (n != 1)
            break;
        ok(e[0].kind == KW_CREATED && e[0].path_len == 6, "  %s", e[0].path);
        is(e[0].sequence, i + 1, "  in its turn");
        snprintf(names[i], sizeof names[i], "%s", e[0].path);
        for (int before = 0; before < i; before++)
            if (strcmp(names[before], names[i]) == 0)
                ok(0, "%s comes twice", names[i]);
        if (i < FILES - 1)
            ok(readable(h, 0), "  and kw_fd stays readable");
    }
    is(kw_poll(h, e, 1, 0), 0, "then there are no more");
    ok(!readable(h, 0), "and kw_fd is not readable");

    for (int i = 0; i < FILES; i++)
        append(fmt("tree/%d", i), "y");
    is(kw_poll(h, e, 4, -1), 4, "room for four");
    ok(e[0].kind == KW_MODIFIED && e[3].kind == KW_MODIFIED, "  all of them filled in");
    /* Other calls leave the strings alone. */
    kw_stats_get(h, &s);
    kw_wake(h);
    kw_watch watch = add_watch(h, "tree", 0);
    kw_remove(h, watch);
    for (int i = 0; i < 4; i++)
        ok(strncmp(e[i].path, "tree/", 5) == 0 && strlen(e[i].path) == e[i].path_len,
           "  %s is there until the next kw_poll()", e[i].path);
    /* What is left over is what is told, whatever has happened meanwhile. */
    remove_file("tree/0");
    is(kw_poll(h, e, 5, 0), 5, "room for five more");
    is(kw_poll(h, e, FILES + 1, 0), 1, "and for more than there is");
    is(e[0].kind, KW_MODIFIED, "  which is the last one of before");
    expect(h, "then comes what happened since", "DELETED 0\n");

    write_file("tree/a", "x");
    write_file("tree/b", "x");
    is(kw_poll(h, e, 1, 0), 1, "an event is left over");
    kw_free(h);
    ok(1, "kw_free() takes it along");
    return done();
}
