/* A watch is one on a path: what if that is deleted, replaced, a file, a link? */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <limits.h>
#include <unistd.h>

static void gone_and_back(void)
{
    kw_handle *h = watch_tree();
    write_file("tree/f", "x");
    drain(h);
    remove_tree("tree");
    expect(h, "the root is removed", "DELETED f\nROOT_GONE .\n");
    expect(h, "  which is said once", "");
    make_dir("tree");
    write_file("tree/g", "x");
    expect(h, "the root is made again", "ROOT_BACK .\nCREATED g\n");
    append("tree/g", "y");
    expect(h, "  and is watched", "MODIFIED g\n");
    rename_to("tree", "moved");
    expect(h, "the root is moved away", "DELETED g\nROOT_GONE .\n");
    append("moved/g", "z");
    write_file("moved/unseen", "");
    expect(h, "  and what it is now is not watched", "");
    rename_to("moved", "tree");
    expect_in_any_order(h, "the root is moved back", "CREATED g\nCREATED unseen\nROOT_BACK .\n");
    append("tree/g", "!");
    expect(h, "  and is watched", "MODIFIED g\n");
    remove_file("tree/unseen");
    drain(h);

    rename_to("tree", "moved");
    make_dir("tree");
    write_file("tree/new", "x");
    expect(h, "the root is replaced between two looks",
           "DELETED g\nROOT_GONE .\nROOT_BACK .\nCREATED new\n");
    append("tree/new", "y");
    append("moved/g", "unseen");
    expect(h, "  and the new one is watched", "MODIFIED new\n");
    remove_tree("moved");
    expect(h, "  and not the old one", "");

    remove_tree("tree");
    write_file("tree", "now a file");
    expect_in_any_order(h, "the root becomes a file", "DELETED new\nROOT_BACK .\nROOT_GONE .\n");
    remove_file("tree");
    make_dir("tree");
    expect(h, "and a directory again", "ROOT_GONE .\nROOT_BACK .\n");
    kw_free(h);
}

static void above(void)
{
    make_dir("up");
    make_dir("up/mid");
    make_dir("up/mid/root");
    write_file("up/mid/root/f", "x");
    kw_handle *h = open_handle();
    add_watch(h, "up/mid/root", KW_RECURSIVE);
    rename_to("up", "other");
    expect(h, "a directory two above the root is renamed", "DELETED f\nROOT_GONE .\n");
    rename_to("other", "up");
    expect(h, "  and renamed back", "ROOT_BACK .\nCREATED f\n");
    remove_tree("up");
    expect(h, "  and removed with all", "DELETED f\nROOT_GONE .\n");
    make_dir("up");
    expect(h, "  and made again", "");
    make_dir("up/mid");
    make_dir("up/mid/root");
    expect(h, "  with the root in it", "ROOT_BACK .\n");
    write_file("up/mid/root/g", "x");
    expect(h, "  which is watched", "CREATED g\n");
    kw_free(h);
    remove_tree("up");
}

static void a_file(void)
{
    write_file("file", "x");
    kw_handle *h = open_handle();
    add_watch(h, "file", 0);
    append("file", "y");
    expect(h, "a file as root is written to", "MODIFIED .\n");
    change_mode("file", 0600);
    expect(h, "  its mode changes", "ATTRIB .\n");
    write_file("file.tmp", "new");
    rename_to("file.tmp", "file");
    expect(h, "  it is saved atomically", "MODIFIED|REPLACED .\n");
    append("file", "y");
    expect(h, "  and is watched", "MODIFIED .\n");
    write_file("sibling", "x");
    remove_file("sibling");
    expect(h, "  its siblings are not", "");
    remove_file("file");
    expect(h, "  it is deleted", "ROOT_GONE .\n");
    write_file("file", "back");
    expect(h, "  and made again", "ROOT_BACK .\n");
    append("file", "!");
    expect(h, "  and is watched", "MODIFIED .\n");
    kw_free(h);
    remove_file("file");
}

static char first_path[PATH_MAX];
static size_t first_root_len;

static void remember(const kw_event *e)
{
    snprintf(first_path, sizeof first_path, "%s", e->path);
    first_root_len = e->root_len;
}

/* The root is spelled as it was given, whatever that is. */
static void spelled(const char *root, const char *slash)
{
    kw_handle *h = open_handle();
    add_watch(h, root, KW_RECURSIVE);
    on_event = remember;
    write_file("tree/s", "x");
    expect(h, fmt("a root spelled %s", root), "CREATED s\n");
    on_event = NULL;
    is_text(first_path, fmt("%s%ss", root, slash), "  is spelled like that in events");
    is(first_root_len, strlen(root) + strlen(slash), "  and root_len is its length");
    kw_free(h);
    remove_file("tree/s");
}

static void a_symbolic_link(void)
{
    make_dir("other");
    make_symlink("tree", "link");
    kw_handle *h = open_handle();
    add_watch(h, "link", KW_RECURSIVE);
    write_file("tree/f", "x");
    expect(h, "a symbolic link as root is followed", "CREATED f\n");
    make_symlink("other", "new");
    rename_to("new", "link");
    expect(h, "and again when it leads elsewhere", "DELETED f\nROOT_GONE .\nROOT_BACK .\n");
    append("tree/f", "y");
    write_file("other/g", "x");
    on_event = remember;
    expect(h, "where the root is then", "CREATED g\n");
    on_event = NULL;
    is_text(first_path, "link/g", "  spelled as before");
    remove_file("link");
    expect(h, "a link that is gone leads nowhere", "DELETED g\nROOT_GONE .\n");
    make_symlink("tree", "link");
    expect(h, "until it is back", "ROOT_BACK .\nCREATED f\n");
    kw_free(h);
    remove_file("other/g");
    remove_file("link");
    remove_file("tree/f");
    remove_dir("other");
}

int main(void)
{
    char here[PATH_MAX];
    sandbox();
    gone_and_back();
    above();
    a_file();
    spelled("tree", "/");
    spelled("tree/", "");
    spelled("./tree", "/");
    spelled("tree/../tree", "/");
    if (getcwd(here, sizeof here) != NULL)
        spelled(fmt("%s/tree", here), "/");
    a_symbolic_link();
    spelled("tree", "/");
    return done();
}
