// Events cost no allocation: neither poll() nor the views of them make one.
#include "tap.hpp"

#include <cstdlib>
#include <new>

namespace {
long allocated = 0;
}

void *operator new(std::size_t size)
{
    allocated++;
    if (void *memory = std::malloc(size > 0 ? size : 1))
        return memory;
    throw std::bad_alloc();
}

void operator delete(void *memory) noexcept
{
    std::free(memory);
}

void operator delete(void *memory, std::size_t) noexcept
{
    std::free(memory);
}

int main()
{
    const tap::sandbox here;
    long n = allocated;
    kw::watcher w;
    tap::ok(allocated > n, "they are counted");
    w.add("tree", kw::watch_flags::recursive);

    for (int i = 0; i < 100; i++) {
        tap::write("tree/a name that does not fit into a short string " + std::to_string(i), "x");
        if (i % 2 == 0)
            fs::rename("tree/a name that does not fit into a short string " + std::to_string(i),
                       "tree/another name that does not fit into it " + std::to_string(i));
    }
    std::error_code ec;
    std::size_t bytes = 0;
    int events = 0;
    const auto look = [&](const kw::event &e) {
        events++;
        bytes += e.path_view().size() + e.relative_view().size() + e.dest_view().size() +
                 e.relative_dest_view().size() + to_string(e.kind()).size() + e.size() +
                 (e.mtime() == kw::time_point()) + (e.error() ? 1 : 0);
    };

    n = allocated;
    for (const kw::event &e : w.poll(std::chrono::seconds(0)))
        look(e);
    tap::is(allocated, n, "poll()");
    tap::ok(events == 100 && bytes > 9000, "and there was something to look at");

    fs::create_directory("tree/d");
    n = allocated;
    for (const kw::event &e : w.poll(std::chrono::seconds(0), ec))
        look(e);
    const bool caught_up = w.poll(std::chrono::seconds(0), ec).caught_up();
    tap::is(allocated, n, "poll() with a code");
    tap::ok(events == 101 && caught_up, "and there was something, too");

    fs::remove("tree/d");
    n = allocated;
    for (const kw::event &e : w.changes()) {
        look(e);
        w.stop();
    }
    tap::is(allocated, n, "changes()");
    w.remove(kw::watch_id{99}, ec);
    tap::ok(ec == kw::errc::no_watch && allocated == n, "a code");
    return tap::done();
}
