/* What happens to files and directories that stay where they are. */
#define _GNU_SOURCE /* struct stat's nanoseconds, mkfifo */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

static kw_handle *h;

static void regular_files(void)
{
    expect(h, "nothing has happened", "");
    write_file("tree/f", "one");
    expect(h, "a file is made and written to", "CREATED f\n");
    append("tree/f", "two");
    expect(h, "a file grows", "MODIFIED f\n");
    int fd = open("tree/f", O_WRONLY);
    ok(fd >= 0 && pwrite(fd, "TWO", 3, 3) == 3, "a file is overwritten in place");
    expect(h, "  which is reported while it is open", "MODIFIED f\n");
    ok(pwrite(fd, "two", 3, 3) == 3 && close(fd) == 0, "  and again, at once");
    expect(h, "  though its size is the same", "MODIFIED f\n");
    write_file("tree/f", "");
    expect(h, "a file is truncated", "MODIFIED f\n");
    ok(truncate("tree/f", 100) == 0, "a file is extended without being opened");
    expect(h, "  which is reported", "MODIFIED f\n");
    fd = open("tree/f", O_RDONLY);
    char byte;
    ok(fd >= 0 && read(fd, &byte, 1) == 1 && close(fd) == 0, "a file is read");
    expect(h, "  which is not reported", "");
    remove_file("tree/f");
    expect(h, "a file is deleted", "DELETED f\n");
    write_file("tree/f", "again");
    expect(h, "a file is made again", "CREATED f\n");
    remove_file("tree/f");
    write_file("tree/f", "and again");
    expect_in_any_order(h, "a file is deleted and made between two looks",
                        "MODIFIED|REPLACED f\n");
    write_file("tree/brief", "");
    remove_file("tree/brief");
    expect(h, "a file that came and went between two looks was never there", "");
    remove_file("tree/f");
    expect(h, "  ", "DELETED f\n");
}

static void metadata(void)
{
    struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    write_file("tree/f", "x");
    make_dir("tree/d");
    drain(h);
    change_mode("tree/f", 0600);
    expect(h, "a file's mode changes", "ATTRIB f\n");
    change_mode("tree/d", 0700);
    expect(h, "a directory's mode changes", "ATTRIB d/\n");
    ok(utimensat(AT_FDCWD, "tree/f", long_ago, 0) == 0, "a file's time is set");
    expect(h, "  which counts as a change of its content", "MODIFIED f\n");
    if (geteuid() == 0) {
        ok(chown("tree/f", 1, 1) == 0, "a file's owner changes");
        expect(h, "  which is reported", "ATTRIB f\n");
    } else {
        skip("a file's owner changes", "only root can do that");
    }
#ifdef __linux__
    if (setxattr("tree/f", "user.libkw", "x", 1, 0) == 0)
        expect(h, "an extended attribute is set", "ATTRIB f\n");
    else
        skip("an extended attribute is set", strerror(errno));
#endif
    remove_file("tree/f");
    remove_dir("tree/d");
    expect_in_any_order(h, "  ", "DELETED d/\nDELETED f\n");
}

static void atomic_saves(void)
{
    write_file("tree/f", "old");
    drain(h);
    write_file("tree/f.tmp", "new content");
    rename_to("tree/f.tmp", "tree/f");
    expect(h, "an atomic save between two looks", "MODIFIED|REPLACED f\n");
    write_file("tree/f.tmp", "newest");
    expect(h, "an atomic save, its temporary file seen", "CREATED f.tmp\n");
    rename_to("tree/f.tmp", "tree/f");
    expect_in_any_order(h, "  and renamed", "DELETED f.tmp\nMODIFIED|REPLACED f\n");
    append("tree/f", "!");
    expect(h, "the file that was saved is watched as the old one was", "MODIFIED f\n");
    /* As editors that keep a copy do. */
    age("tree/f");
    drain(h);
    rename_to("tree/f", "tree/f~");
    write_file("tree/f", "with a copy");
    expect_in_any_order(h, "a save that keeps a copy", "CREATED f\nMOVED f -> f~\n");
    remove_file("tree/f");
    remove_file("tree/f~");
    expect_in_any_order(h, "  ", "DELETED f\nDELETED f~\n");
}

static void links(void)
{
    make_dir("tree/d");
    write_file("outside", "x");
    drain(h);
    make_symlink("../outside", "tree/l");
    expect(h, "a symbolic link is made", "CREATED l@\n");
    append("outside", "y");
    expect(h, "  and never followed", "");
    make_symlink("..", "tree/d/up");
    expect(h, "nor is one that makes a circle", "CREATED d/up@\n");
    write_file("tree/f", "x");
    expect(h, "  whatever is made", "CREATED f\n");
    remove_file("tree/l");
    make_symlink("elsewhere", "tree/l");
    expect(h, "a symbolic link is made to point elsewhere", "MODIFIED|REPLACED l@\n");
    remove_file("tree/l");
    remove_file("tree/d/up");
    expect_in_any_order(h, "symbolic links are deleted", "DELETED d/up@\nDELETED l@\n");

    make_link("tree/f", "tree/d/g");
    expect(h, "a hard link is made", "CREATED d/g\n");
    append("tree/d/g", "more");
    expect_in_any_order(h, "a write through one link is reported for each",
                        "MODIFIED d/g\nMODIFIED f\n");
    change_mode("tree/f", 0600);
    expect_in_any_order(h, "and so is a change of mode", "ATTRIB d/g\nATTRIB f\n");
    remove_file("tree/f");
    expect(h, "a hard link is deleted", "DELETED f\n");
    append("tree/d/g", "more");
    expect(h, "  and the other one goes on", "MODIFIED d/g\n");
    remove_tree("tree/d");
    expect(h, "  ", "DELETED d/g\nDELETED d/\n");
    ok(mkfifo("tree/p", 0600) == 0, "a FIFO is made, and nobody is blocked");
    expect(h, "  which is reported", "CREATED p\n");
    remove_file("tree/p");
    expect(h, "  and so is its end", "DELETED p\n");
}

static void directories(void)
{
    make_dir("tree/d");
    expect(h, "a directory is made", "CREATED d/\n");
    write_file("tree/d/f", "x");
    expect(h, "  and a file in it", "CREATED d/f\n");
    remove_tree("tree/d");
    expect(h, "a directory is removed with what is in it", "DELETED d/f\nDELETED d/\n");

    make_dir("tree/a");
    make_dir("tree/a/b");
    make_dir("tree/a/b/c");
    write_file("tree/a/b/c/f", "x");
    expect(h, "a tree is made at once", "CREATED a/\nCREATED a/b/\nCREATED a/b/c/\n"
                                        "CREATED a/b/c/f\n");
    append("tree/a/b/c/f", "y");
    expect(h, "  and is watched", "MODIFIED a/b/c/f\n");
    remove_tree("tree/a");
    expect(h, "a tree is removed at once", "DELETED a/b/c/f\nDELETED a/b/c/\nDELETED a/b/\n"
                                           "DELETED a/\n");

    write_file("tree/n", "x");
    drain(h);
    remove_file("tree/n");
    make_dir("tree/n");
    write_file("tree/n/f", "x");
    expect(h, "a file makes way for a directory", "DELETED n\nCREATED n/\nCREATED n/f\n");
    remove_tree("tree/n");
    write_file("tree/n", "x");
    expect(h, "a directory makes way for a file", "DELETED n/f\nDELETED n/\nCREATED n\n");
    remove_file("tree/n");
    make_dir("tree/n");
    remove_dir("tree/n");
    make_dir("tree/n");
    expect(h, "and back and forth", "DELETED n\nCREATED n/\n");
    remove_dir("tree/n");
    make_dir("tree/n");
    write_file("tree/n/f", "x");
    drain(h);
    append("tree/n/f", "y");
    expect(h, "a directory that was replaced is watched", "MODIFIED n/f\n");
    remove_tree("tree/n");
    drain(h);
}

static kw_event seen;
static char seen_path[64];

static void remember(const kw_event *e)
{
    seen = *e;
    snprintf(seen_path, sizeof seen_path, "%s", e->path);
}

static void details(void)
{
    struct stat s;
    on_event = remember;
    write_file("tree/f", "eleven byte");
    drain(h);
    on_event = NULL;
    ok(stat("tree/f", &s) == 0, "what an event says of a file");
    is_text(seen_path, "tree/f", "  its path begins as it was given to kw_add()");
    is(seen.root_len, 5, "  with the root and a slash");
    is(seen.size, 11, "  its size");
    is(seen.inode, s.st_ino, "  its inode number");
    is(seen.device, s.st_dev, "  its device number");
#if defined(__linux__) || defined(__FreeBSD__)
    is(seen.mtime_ns, s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec, "  its time");
#endif
}

int main(void)
{
    sandbox();
    h = watch_tree();
    regular_files();
    metadata();
    atomic_saves();
    links();
    directories();
    details();
    kw_free(h);
    return done();
}
