// A loop in one thread, what others may do to it, and a signal handler that ends it.
#include "tap.hpp"

#include <atomic>
#include <thread>

#include <csignal>

using namespace std::chrono_literals;
using tap::is;
using tap::ok;

namespace {

kw::watcher *current;

extern "C" void on_signal(int)
{
    current->stop();
}

} // namespace

int main()
{
    const tap::sandbox here;
    kw::watcher w;
    w.add("tree", kw::watch_flags::recursive);

    // Each loop is ended while it is busy or before it begins: whenever that is, it ends.
    int loops = 0;
    for (; loops < 200; loops++) {
        std::thread stopper([&] {
            fs::create_directory("tree/d");
            fs::remove("tree/d");
            w.stop();
        });
        for (const kw::event &e : w.changes())
            if (e.relative_view() != "d")
                tap::die("an event of something else");
        stopper.join();
    }
    is(loops, 200, "stop() is never lost");
    tap::drain(w);

    std::string told;
    std::atomic<int> seen{0};
    const std::uint64_t waits = w.stats().waits;
    std::thread loop([&] {
        std::error_code ec;
        for (const kw::event &e : w.changes(ec)) {
            told += tap::line(e) + '\n';
            seen++;
        }
        if (ec)
            told += ec.message();
    });
    while (w.stats().waits == waits)
        std::this_thread::sleep_for(1ms);
    std::error_code ec;
    ok(w.poll(0s, ec).empty() && ec == std::errc::device_or_resource_busy,
       "one thread at a time polls");
    fs::create_directory("more");
    const kw::watch_id more = w.add("more", kw::watch_flags::recursive);
    w.wake(); // says nothing to a loop
    fs::create_directory("more/d");
    while (seen == 0)
        std::this_thread::sleep_for(1ms);
    w.remove(more);
    w.stop();
    loop.join();
    is(told, "created d/\n", "what was added meanwhile is reported");

    current = &w;
    struct sigaction action = {};
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, nullptr);
    std::thread sender([] { kill(getpid(), SIGUSR1); });
    int events = 0;
    for (const kw::event &e : w.changes())
        events += e.sequence() > 0;
    sender.join();
    is(events, 0, "a signal handler ends a loop");
    return tap::done();
}
