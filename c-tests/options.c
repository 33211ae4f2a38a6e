/* The options of a watch. */
#include "sandbox.h"

static kw_handle *watch_with(uint32_t flags, uint32_t events)
{
    kw_watch_options options = KW_WATCH_OPTIONS_INIT;
    kw_handle *h = open_handle();
    options.flags = flags;
    options.events = events;
    is(kw_add(h, "tree", &options, NULL), KW_OK, fmt("flags %u, events %u", flags, events));
    return h;
}

static void not_recursive(void)
{
    make_dir("tree/d");
    write_file("tree/d/f", "x");
    kw_handle *h = watch_with(0, 0);
    write_file("tree/f", "x");
    expect(h, "a direct entry is made", "CREATED f\n");
    append("tree/f", "y");
    expect(h, "a direct entry is modified", "MODIFIED f\n");
    append("tree/d/f", "y");
    write_file("tree/d/g", "x");
    remove_file("tree/d/g");
    make_dir("tree/d/deep");
    write_file("tree/d/deep/f", "x");
    expect(h, "what is below a direct entry is not reported", "");
    make_dir("tree/e");
    write_file("tree/e/f", "x");
    expect(h, "a directory is made, with content", "CREATED e/\n");
    rename_to("tree/e", "tree/d/e");
    expect(h, "a directory moves to where it is not seen", "DELETED e/\n");
    rename_to("tree/d/e", "tree/e");
    expect(h, "and back", "CREATED e/\n");
    rename_to("tree/e", "tree/E2");
    expect(h, "a directory is renamed", "MOVED e/ -> E2/\n");
    remove_tree("tree/E2");
    expect(h, "a directory is removed, with content", "DELETED E2/\n");
    remove_tree("tree/d");
    remove_file("tree/f");
    expect_in_any_order(h, "all is removed", "DELETED d/\nDELETED f\n");
    kw_free(h);
}

static void dir_modified(void)
{
    make_dir("tree/d");
    write_file("tree/d/f", "x");
    kw_handle *h = watch_with(KW_RECURSIVE | KW_DIR_MODIFIED, 0);
    write_file("tree/d/g", "x");
    expect_in_any_order(h, "an entry is made: its directory is modified",
                        "CREATED d/g\nMODIFIED d/\n");
    append("tree/d/g", "y");
    expect(h, "an entry is written to: its directory is not", "MODIFIED d/g\n");
    age("tree/d/g");
    drain(h);
    rename_to("tree/d/g", "tree/g");
    expect_in_any_order(h, "an entry moves: both directories are",
                        "MODIFIED .\nMODIFIED d/\nMOVED d/g -> g\n");
    remove_file("tree/g");
    expect_in_any_order(h, "an entry is deleted: its directory is", "DELETED g\nMODIFIED .\n");
    kw_free(h);

    h = watch_with(KW_RECURSIVE, 0);
    write_file("tree/d/g", "x");
    expect(h, "without the option no directory is", "CREATED d/g\n");
    kw_free(h);
    remove_tree("tree/d");
}

static void mask(void)
{
    kw_handle *h = watch_with(KW_RECURSIVE, KW_DELETED | KW_MOVED);
    write_file("tree/f", "x");
    append("tree/f", "y");
    change_mode("tree/f", 0600);
    expect(h, "kinds that are not wanted are not reported", "");
    rename_to("tree/f", "tree/g");
    expect(h, "the others are", "MOVED f -> g\n");
    make_dir("tree/d");
    rename_to("tree/g", "tree/d/g");
    expect(h, "also below what was not reported", "MOVED g -> d/g\n");
    remove_tree("tree/d");
    expect(h, "and are of all", "DELETED d/g\nDELETED d/\n");
    kw_free(h);

    h = watch_with(KW_RECURSIVE, KW_MODIFIED);
    write_file("tree/f", "x");
    expect(h, "an unwanted creation", "");
    append("tree/f", "y");
    expect(h, "and a wanted modification", "MODIFIED f\n");
    kw_free(h);
}

int main(void)
{
    sandbox();
    not_recursive();
    dir_modified();
    mask();
    return done();
}
