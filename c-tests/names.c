/* File names are bytes. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static kw_handle *h;
static char path[PATH_MAX], dest[PATH_MAX];
static size_t path_len;

static void remember(const kw_event *e)
{
    memcpy(path, e->path, e->path_len + 1);
    path_len = e->path_len;
    dest[0] = '\0';
    if (e->dest != NULL)
        memcpy(dest, e->dest, e->dest_len + 1);
}

/* The whole life of a file of that name, and of a directory. */
static void name(const char *name, const char *label)
{
    const char *full = fmt("tree/%s", name);
    int fd = open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) {
        skip(label, strerror(errno));
        return;
    }
    close(fd);
    drain(h);
    ok(strcmp(path, full) == 0 && path_len == strlen(full), "%s: a file is made", label);
    path[0] = '\0';
    append(full, "x");
    drain(h);
    is_text(path, full, "  modified");
    age(full);
    drain(h);
    rename_to(full, "tree/plain");
    drain(h);
    ok(strcmp(path, full) == 0 && strcmp(dest, "tree/plain") == 0, "  renamed");
    rename_to("tree/plain", full);
    drain(h);
    ok(strcmp(dest, full) == 0, "  and renamed back");
    remove_file(full);
    drain(h);
    ok(strcmp(path, full) == 0 && dest[0] == '\0', "  deleted");
    make_dir(full);
    const char *inside = fmt("%s/%s", full, name);
    write_file(inside, "x");
    drain(h);
    is_text(path, inside, "  as a directory, with a file in it");
    remove_tree(full);
    drain(h);
    is_text(path, full, "  removed");
}

int main(void)
{
    char longest[256];
    sandbox();
    on_event = remember;
    h = watch_tree();
    name("new\nline", "a line break");
    name("\n", "nothing but a line break");
    name("\ttab and space ", "blanks");
    name("\x1b[31m\x07", "an escape sequence");
    name("-rf", "an option");
    name("...", "dots");
    name("back\\slash\"'`$*?", "what shells mind");
    name("\xff\xfe\xc3", "no UTF-8");
    name("\xc3\xa9\xe2\x82\xac\xf0\x9f\x8e\x89", "UTF-8");
    memset(longest, 'n', 255);
    longest[255] = '\0';
    name(longest, "255 bytes");
    memset(longest, 0xe9, 255);
    name(longest, "255 bytes that are no UTF-8");

    /* A root's name is bytes as well. */
    make_dir("tree/ro\not");
    kw_handle *other = open_handle();
    add_watch(other, "tree/ro\not", 0);
    write_file("tree/ro\not/f", "x");
    expect(other, "a root with a line break in its name", "CREATED f\n");
    is_text(path, "tree/ro\not/f", "  spelled as it was given");
    kw_free(other);
    kw_free(h);
    return done();
}
