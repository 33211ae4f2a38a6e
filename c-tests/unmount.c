/* A file system is mounted below a watched directory, and goes. Linux, in a
 * mount namespace of its own: nobody else sees it. */
#define _GNU_SOURCE
#include "sandbox.h"

#ifndef __linux__
int main(void)
{
    skip_all("mounts a tmpfs as Linux does");
    return 0;
}
#else
#include "namespace.h"

#include <sys/mount.h>

int main(void)
{
    enter_namespace(CLONE_NEWNS);
    sandbox();
    make_dir("tree/mnt");
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("libkw", "tree/mnt", "tmpfs", 0, NULL) != 0)
        skip_all(fmt("cannot mount a tmpfs: %s", strerror(errno)));
    write_file("tree/mnt/f", "x");

    kw_handle *h = watch_tree();
    append("tree/mnt/f", "y");
    expect(h, "a file in a file system that is mounted in the tree", "MODIFIED mnt/f\n");
    ok(umount("tree/mnt") == 0, "the file system is unmounted");
    char *text = strdup(drain(h));
    ok(strstr(text, "UNMOUNTED mnt") != NULL, "which is reported");
    ok(strstr(text, "DELETED mnt/f\n") != NULL, "and what was in it is gone");
    note("%s", text);
    free(text);
    write_file("tree/mnt/below", "x");
    expect(h, "the directory it had covered is watched", "CREATED mnt/below\n");
    kw_free(h);

    h = open_handle();
    make_dir("tree/root");
    if (mount("libkw", "tree/root", "tmpfs", 0, NULL) != 0)
        die("mount: %s", strerror(errno));
    write_file("tree/root/f", "x");
    add_watch(h, "tree/root", KW_RECURSIVE);
    ok(umount("tree/root") == 0, "a root is unmounted");
    text = strdup(drain(h));
    ok(strstr(text, "UNMOUNTED .\n") != NULL, "which is reported");
    ok(strstr(text, "DELETED f\n") != NULL, "and what was in it is gone");
    note("%s", text);
    free(text);
    write_file("tree/root/g", "x");
    ok(strstr(drain(h), "CREATED g\n") != NULL, "what is there instead is watched");
    kw_free(h);
    return done();
}
#endif
