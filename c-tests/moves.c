/* Renames: within, across, out of and into the tree, and several at once. */
#include "sandbox.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
long syscall(long number, ...);
#endif

static kw_handle *h;
static replica *mirror;

static void reflect(const kw_event *e)
{
    replica_apply(mirror, e);
}

/* For what may be told in more than one way: all that counts is that the events
 * can be applied and lead to what is on the disk. */
static void expect_to_replay(const char *label)
{
    const char *text = drain(h);
    note("%s", text);
    if (!is(replica_differences(mirror), 0, label))
        diag("%s", text);
    replica_free(mirror);
    mirror = replica_of("tree");
}

static void files(void)
{
    make_dir("tree/d");
    make_dir("tree/e");
    write_file("tree/d/f", "x");
    age("tree/d/f");
    drain(h);
    rename_to("tree/d/f", "tree/d/g");
    expect(h, "a file is renamed", "MOVED d/f -> d/g\n");
    append("tree/d/g", "y");
    expect(h, "  and is known by its new name", "MODIFIED d/g\n");
    age("tree/d/g");
    drain(h);
    rename_to("tree/d/g", "tree/e/g");
    expect(h, "a file moves to another directory", "MOVED d/g -> e/g\n");
    append("tree/e/g", "z");
    rename_to("tree/e/g", "tree/d/f");
    expect(h, "a file is written to and moves", "MOVED e/g -> d/f\nMODIFIED d/f\n");
    rename_to("tree/d/f", "outside");
    expect(h, "a file leaves the tree", "DELETED d/f\n");
    append("outside", "unseen");
    expect(h, "  and is no longer watched", "");
    rename_to("outside", "tree/e/f");
    expect(h, "a file comes into the tree", "CREATED e/f\n");
    write_file("tree/e/g", "other");
    drain(h);
    rename_to("tree/e/f", "tree/e/g");
    expect_in_any_order(h, "a file moves over another", "DELETED e/f\nMODIFIED|REPLACED e/g\n");
    age("tree/e/g");
    drain(h);
    rename_to("tree/e/g", "tree/e/1");
    rename_to("tree/e/1", "tree/e/2");
    rename_to("tree/e/2", "tree/e/3");
    expect(h, "a file is renamed three times between two looks", "MOVED e/g -> e/3\n");
    rename_to("tree/e/3", "tree/e/2");
    rename_to("tree/e/2", "tree/e/3");
    expect(h, "and there and back again, which is nothing", "");
    rename_to("tree/e/3", "tree/e/F");
    expect(h, "a new name", "MOVED e/3 -> e/F\n");
    rename_to("tree/e/F", "tree/e/f");
    expect(h, "that differs in nothing but case", "MOVED e/F -> e/f\n");
    remove_tree("tree/d");
    remove_tree("tree/e");
    drain(h);
}

static void directories(void)
{
    make_dir("tree/d");
    make_dir("tree/d/sub");
    write_file("tree/d/sub/f", "x");
    make_dir("tree/e");
    drain(h);
    rename_to("tree/d", "tree/c");
    expect(h, "a directory is renamed with all it holds", "MOVED d/ -> c/\n");
    append("tree/c/sub/f", "y");
    expect(h, "  whose paths are the new ones", "MODIFIED c/sub/f\n");
    rename_to("tree/c", "tree/e/c");
    expect(h, "a directory moves into another", "MOVED c/ -> e/c/\n");
    write_file("tree/e/c/sub/g", "x");
    expect(h, "  where it is watched", "CREATED e/c/sub/g\n");
    rename_to("tree/e/c", "outside");
    expect_in_any_order(h, "a directory leaves the tree",
                        "DELETED e/c/\nDELETED e/c/sub/\nDELETED e/c/sub/f\n"
                        "DELETED e/c/sub/g\n");
    write_file("outside/sub/unseen", "x");
    expect(h, "  and is no longer watched", "");
    remove_file("outside/sub/unseen");
    remove_file("outside/sub/g");
    rename_to("outside", "tree/d");
    expect(h, "a directory comes into the tree",
           "CREATED d/\nCREATED d/sub/\nCREATED d/sub/f\n");
    append("tree/d/sub/f", "z");
    expect(h, "  where it is watched", "MODIFIED d/sub/f\n");
    rename_to("tree/d", "tree/e");
    expect_in_any_order(h, "a directory moves over an empty one",
                        "DELETED e/\nMOVED d/ -> e/\n");
    write_file("tree/e/new", "x");
    rename_to("tree/e", "tree/d");
    append("tree/d/sub/f", "!");
    remove_file("tree/d/new");
    write_file("tree/d/newer", "x");
    expect_to_replay("a directory is renamed while its content changes");
    remove_tree("tree/d");
    drain(h);
}

static void several_at_once(void)
{
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        write_file(fmt("tree/%s", names[i]), fmt("%*d", i + 1, i));
    make_dir("tree/p");
    make_dir("tree/q");
    write_file("tree/p/in-p", "p");
    write_file("tree/q/in-q", "qq");
    drain(h);

    rename_to("tree/a", "tree/t");
    rename_to("tree/b", "tree/a");
    rename_to("tree/t", "tree/b");
    expect_to_replay("two files change names");
    rename_to("tree/p", "tree/t");
    rename_to("tree/q", "tree/p");
    rename_to("tree/t", "tree/q");
    expect_to_replay("two directories change names");
    write_file("tree/p/new", "n");
    expect(h, "  and are known by their new ones", "CREATED p/new\n");
    rename_to("tree/a", "tree/t");
    rename_to("tree/b", "tree/a");
    rename_to("tree/c", "tree/b");
    rename_to("tree/t", "tree/c");
    expect_to_replay("three files change names in a circle");
    for (int i = 0; i < 3; i++)
        age(fmt("tree/%s", names[i]));
    drain(h);
    rename_to("tree/c", "tree/d");
    rename_to("tree/b", "tree/c");
    rename_to("tree/a", "tree/b");
    expect(h, "a chain of renames", "MOVED c -> d\nMOVED b -> c\nMOVED a -> b\n");
    rename_to("tree/d", "tree/q/d");
    rename_to("tree/q", "tree/p/q");
    rename_to("tree/p", "tree/r");
    expect_to_replay("a file into a directory into a directory that is renamed");
    rename_to("tree/r/q", "tree/s");
    rename_to("tree/r", "tree/s/r");
    expect_to_replay("a directory goes into what was below it");
#ifdef RENAME_EXCHANGE
    write_file("tree/x", "a file");
    drain(h);
    if (syscall(SYS_renameat2, AT_FDCWD, "tree/x", AT_FDCWD, "tree/s", RENAME_EXCHANGE) == 0)
        expect_to_replay("a file and a directory are exchanged in one call");
    else
        skip("a file and a directory are exchanged in one call", "the file system cannot");
#endif
}

int main(void)
{
    sandbox();
    mirror = replica_of("tree");
    on_event = reflect;
    h = watch_tree();
    files();
    directories();
    several_at_once();
    is(replica_differences(mirror), 0, "all events together lead to what is on the disk");
    kw_free(h);
    replica_free(mirror);
    return done();
}
