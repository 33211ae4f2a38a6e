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

#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

static void mount_at(const char *path)
{
    if (mount("libkw", path, "tmpfs", 0, NULL) != 0)
        die("mount: %s", strerror(errno));
}

/* What is told until the root of that watch is back, and what follows at once. */
static const char *until_back(kw_handle *h)
{
    char *text = calloc(1, 4096);
    long begun = now_ms();
    while (strstr(text, "ROOT_BACK") == NULL && now_ms() - begun < 60 * 1000) {
        readable(h, 1000);
        strncat(text, drain_by_watch(h), 4095 - strlen(text));
    }
    const char *told = fmt("%s", text);
    free(text);
    return told;
}

/* Each root is on a device of its own. */
static void roots_on_several_devices(void)
{
    kw_options options = KW_OPTIONS_INIT;
    kw_handle *h = NULL;

    make_dir("tree/a");
    make_dir("tree/b");
    mount_at("tree/a");
    mount_at("tree/b");
    make_dir("tree/b/root");
    write_file("tree/a/f", "x");
    write_file("tree/b/root/f", "x");
    options.poll_interval_ms = 20;
    is(kw_open(&options, &h), KW_OK, "kw_open");
    int a = add_watch(h, "tree/a", KW_RECURSIVE);
    int b = add_watch(h, "tree/b/root", KW_RECURSIVE);

    ok(umount("tree/a") == 0, "one is unmounted");
    append("tree/b/root/f", "y");
    const char *told = drain_by_watch(h);
    ok(strstr(told, fmt("%d: DELETED f\n", a)) != NULL, "it is gone");
    ok(strstr(told, fmt("%d: MODIFIED f\n", b)) != NULL, "the other is not");
    mount_at("tree/a");
    write_file("tree/a/g", "x");
    is_text(until_back(h), fmt("%d: ROOT_GONE .\n%d: ROOT_BACK .\n%d: CREATED g\n", a, a, a),
            "another is mounted there");
    write_file("tree/a/h", "x");
    is_text(drain_by_watch(h), fmt("%d: CREATED h\n", a), "and watched");

    ok(umount("tree/b") == 0, "the other one is unmounted");
    told = drain_by_watch(h);
    ok(strstr(told, fmt("%d: ROOT_GONE .\n", b)) != NULL, "it is gone");
    ok(strstr(told, fmt("%d: ", a)) == NULL, "the first is not");
    mount_at("tree/b");
    make_dir("tree/b/root");
    write_file("tree/b/root/g", "x");
    is_text(until_back(h), fmt("%d: ROOT_BACK .\n%d: CREATED g\n", b, b), "and is back");
    kw_stats s = KW_STATS_INIT;
    kw_stats_get(h, &s);
    is(s.polled, 0, "nothing is polled any more");
    kw_free(h);
    umount("tree/a");
    umount("tree/b");
}

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

    roots_on_several_devices();
    return done();
}
#endif
