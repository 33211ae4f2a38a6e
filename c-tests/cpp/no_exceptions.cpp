// kw.hpp where there are no exceptions and no RTTI: every call by its std::error_code.
#include "tap.hpp"

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this is to be compiled with -fno-exceptions -fno-rtti"
#endif

using namespace std::chrono_literals;
using tap::drain;
using tap::is;
using tap::ok;

int main()
{
    const tap::sandbox here;
    const kw::watch_flags recursive = kw::watch_flags::recursive;
    std::error_code ec = kw::errc::busy;

    kw::options odd;
    odd.flags = kw::open_flags{1U << 31};
    kw::watcher w(odd, ec);
    ok(!w && ec == kw::errc::invalid, "a handle that cannot be opened");
    ok(w.last_error().code() == ec && !w.last_error().operation().empty(), "and why");
    w = kw::watcher(kw::options{}, ec);
    ok(w && !ec, "a handle");
    ok(!w.last_error().code(), "has no error yet");

    ok(w.add("none", ec) == kw::watch_id{} && ec == std::errc::no_such_file_or_directory,
       "a path where nothing is");
    is(w.last_error().path(), fs::path("none"), "is in last_error()");
    const kw::watch_id id = w.add("tree", recursive, ec);
    ok(id != kw::watch_id{} && !ec, "a watch");
    kw::watch_options options;
    options.events = kw::event_kind::deleted;
    ok(w.add("tree", options, ec) != id && !ec, "another one");

    fs::create_directory("tree/d");
    const kw::events found = w.poll(0s, ec);
    ok(found.size() == 1 && !ec, "an event");
    is(found[0].path(), fs::path("tree/d"), "is where it should be");
    ok(w.poll(0s, ec).caught_up() && !ec, "and no other");
    fs::remove("tree/d");
    is(drain(w), "deleted d/\ndeleted d/\n", "one for each watch");

    w.save(id, "saved", ec);
    ok(!ec && fs::exists("saved"), "a watch is saved");
    w.remove(id, ec);
    ok(!ec, "a watch is removed");
    w.remove(id, ec);
    ok(ec == kw::errc::no_watch, "and is none any more");
    ok(w.fd(ec) >= 0 && !ec, "the descriptor");
    is(w.stats(ec).watches, 1U, "statistics");
    w.set_watch_limit(0, ec);
    ok(!ec && w.stats(ec).watch_limit == 0 && !ec, "a limit");
    w.sync(ec);
    ok(!ec, "a sync");
    ok(w.wake() && w.poll(kw::forever, ec).caught_up() && !ec, "a wake");

    int n = 0;
    fs::create_directory("tree/d");
    fs::remove("tree/d");
    w.set_watch_limit(kw::no_limit, ec);
    fs::create_directory("tree/e");
    w.sync(ec);
    drain(w);
    fs::remove("tree/e");
    w.sync(ec);
    for (const kw::event &e : w.changes(ec)) {
        n++;
        if (e.kind() == kw::event_kind::deleted)
            w.stop();
    }
    ok(n >= 1 && !ec, "a loop");

    kw::watcher none(nullptr);
    ok(none.poll(0s, ec).empty() && ec == kw::errc::invalid, "without a handle: poll()");
    ok(none.fd(ec) == -1 && ec == kw::errc::invalid, "  fd()");
    for (const kw::event &e : none.changes(ec))
        n += e.sequence() > 0;
    ok(ec == kw::errc::invalid, "  changes()");
    return tap::done();
}
