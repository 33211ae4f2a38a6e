/* Several watches in one handle, several handles on one tree. */
#include "sandbox.h"

static void side_by_side(void)
{
    kw_handle *h = open_handle();
    make_dir("tree/a");
    make_dir("tree/b");
    int a = add_watch(h, "tree/a", KW_RECURSIVE);
    int b = add_watch(h, "tree/b", KW_RECURSIVE);
    ok(a != b, "two watches have two numbers");
    write_file("tree/a/f", "x");
    write_file("tree/b/g", "x");
    is_text(sorted(drain_by_watch(h)), sorted(fmt("%d: CREATED f\n%d: CREATED g\n", a, b)),
            "each reports for itself");
    rename_to("tree/a/f", "tree/b/f");
    is_text(sorted(drain_by_watch(h)), sorted(fmt("%d: DELETED f\n%d: CREATED f\n", a, b)),
            "what goes from one to the other leaves the one and comes into the other");
    write_file("tree/a/1", "x");
    write_file("tree/b/2", "x");
    is(kw_remove(h, a), KW_OK, "a watch is removed");
    is_text(drain_by_watch(h), fmt("%d: CREATED 2\n", b), "what it had still to say is not said");
    write_file("tree/a/3", "x");
    append("tree/b/2", "y");
    is_text(drain_by_watch(h), fmt("%d: MODIFIED 2\n", b), "nor what happens then");
    int again = add_watch(h, "tree/a", KW_RECURSIVE);
    ok(again > b, "it is added again, with a new number");
    append("tree/a/3", "y");
    is_text(drain_by_watch(h), fmt("%d: MODIFIED 3\n", again), "and reports from then on");

    /* Events that were fetched and did not fit are not delivered either. */
    kw_event e;
    for (int i = 0; i < 5; i++)
        write_file(fmt("tree/a/left%d", i), "x");
    is(kw_poll(h, &e, 1, 0), 1, "an event of several");
    kw_remove(h, again);
    is_text(drain_by_watch(h), "", "the others go with their watch");
    kw_free(h);
    remove_tree("tree/a");
    remove_tree("tree/b");
}

static void overlapping(void)
{
    kw_handle *h = open_handle();
    make_dir("tree/d");
    make_dir("tree/d/e");
    int outer = add_watch(h, "tree", KW_RECURSIVE);
    int inner = add_watch(h, "tree/d", KW_RECURSIVE);
    int flat = add_watch(h, "tree/d", 0);
    write_file("tree/d/f", "x");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: CREATED d/f\n%d: CREATED f\n%d: CREATED f\n", outer, inner, flat)),
            "watches that overlap report each for itself");
    write_file("tree/d/e/g", "x");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: CREATED d/e/g\n%d: CREATED e/g\n", outer, inner)),
            "what it sees");
    is(kw_remove(h, inner), KW_OK, "one of two on the same directory is removed");
    append("tree/d/f", "y");
    append("tree/d/e/g", "y");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: MODIFIED d/f\n%d: MODIFIED f\n%d: MODIFIED d/e/g\n", outer, flat,
                       outer)),
            "and the others go on");
    is(kw_remove(h, outer), KW_OK, "the outer one is removed");
    append("tree/d/f", "z");
    append("tree/d/e/g", "z");
    is_text(drain_by_watch(h), fmt("%d: MODIFIED f\n", flat), "and the last one goes on");
    outer = add_watch(h, "tree", KW_RECURSIVE);
    rename_to("tree/d", "tree/c");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: MOVED d/ -> c/\n%d: DELETED e/\n%d: DELETED f\n%d: ROOT_GONE .\n",
                       outer, flat, flat, flat)),
            "what moves for the one is gone for the other");
    rename_to("tree/c", "tree/d");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: MOVED c/ -> d/\n%d: ROOT_BACK .\n%d: CREATED e/\n%d: CREATED f\n",
                       outer, flat, flat, flat)),
            "and back");
    kw_free(h);
    remove_tree("tree/d");
}

static void reached_twice(void)
{
    kw_handle *h = open_handle();
    make_symlink("tree", "link");
    int direct = add_watch(h, "tree", KW_RECURSIVE);
    int same = add_watch(h, "tree", KW_RECURSIVE);
    int linked = add_watch(h, "link", KW_RECURSIVE);
    make_dir("tree/d");
    write_file("tree/d/f", "x");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: CREATED d/\n%d: CREATED d/f\n%d: CREATED d/\n%d: CREATED d/f\n"
                       "%d: CREATED d/\n%d: CREATED d/f\n",
                       direct, direct, same, same, linked, linked)),
            "a directory reached three ways is three watches");
    kw_remove(h, direct);
    append("tree/d/f", "y");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: MODIFIED d/f\n%d: MODIFIED d/f\n", same, linked)),
            "of which two are left");
    remove_tree("tree/d");
    is_text(sorted(drain_by_watch(h)),
            sorted(fmt("%d: DELETED d/f\n%d: DELETED d/\n%d: DELETED d/f\n%d: DELETED d/\n", same,
                       same, linked, linked)),
            "and see the end of it");
    kw_free(h);
    remove_file("link");
}

static void two_handles(void)
{
    kw_handle *one = watch_tree();
    kw_handle *two = watch_tree();
    write_file("tree/f", "x");
    expect(one, "a handle", "CREATED f\n");
    append("tree/f", "y");
    kw_free(one);
    expect(two, "and another, which has its own time", "CREATED f\n");
    append("tree/f", "z");
    expect(two, "  and goes on without the first", "MODIFIED f\n");
    kw_free(two);
    remove_file("tree/f");
}

static void many(void)
{
    enum { MANY = 100 };
    kw_handle *handles[MANY];
    int good = 0;
    for (int i = 0; i < MANY; i++)
        handles[i] = watch_tree();
    write_file("tree/f", "x");
    for (int i = 0; i < MANY; i++)
        good += strcmp(drain(handles[i]), "CREATED f\n") == 0;
    is(good, MANY, "a hundred handles");
    /* Not in the order in which they were opened. */
    for (int i = 0; i < MANY; i++)
        kw_free(handles[i * 37 % MANY]);
    remove_file("tree/f");
}

int main(void)
{
    sandbox();
    side_by_side();
    overlapping();
    reached_twice();
    two_handles();
    many();
    return done();
}
