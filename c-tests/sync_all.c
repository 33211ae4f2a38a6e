/* What the kernel tells nobody of: with KW_SYNC_ALL, kw_sync() finds it. */
#define _XOPEN_SOURCE 700
#include "sandbox.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* A store through a shared mapping that stays open, so that no note comes of its end. */
static char *map;

static void store(char byte)
{
    map[0] = byte;
    if (msync(map, 4096, MS_SYNC) != 0)
        die("msync");
}

static kw_handle *watch_all(uint32_t flags)
{
    kw_handle *h = open_handle();
    kw_watch_options o = KW_WATCH_OPTIONS_INIT;
    o.flags = KW_RECURSIVE | flags;
    is(kw_add(h, "tree", &o, NULL), KW_OK, "a tree is watched");
    return h;
}

int main(void)
{
    sandbox();
    make_dir("tree/d");
    write_file("tree/d/f", "text");
    int fd = open("tree/d/f", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        die("tree/d/f");
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        skip_all("this file system cannot map");
    age("tree/d/f");

    kw_handle *plain = watch_all(0), *all = watch_all(KW_SYNC_ALL);
    expect(plain, "nothing has happened", "");
    expect(all, "  nor here", "");
    store('X');
#ifdef __linux__
    is(kw_sync(plain, 0), KW_OK, "a sync of what is polled");
    expect(plain, "  does not find a store", "");
#endif
    is(kw_sync(all, 0), KW_OK, "a sync of everything");
    expect(all, "  finds it", "MODIFIED d/f\n");
    kw_free(plain);
    kw_free(all);
    munmap(map, 4096);
    close(fd);
    return done();
}
