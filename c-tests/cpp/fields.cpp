// What kw.hpp makes of its arguments and of what C answers. The functions of kw.h are this
// file's own: they take down what they are given and answer what they are told to.
#include <kw.hpp>

#include "tap.hpp"

#include <cerrno>
#include <cstring>
#include <vector>

using namespace std::chrono_literals;
using tap::is;
using tap::ok;

namespace {

struct {
    kw_options options;
    kw_watch_options watch;
    std::vector<std::string> exclude, include; // and how it ends: "-" for NULL
    std::string since;
    std::string faults;
    std::string saved;
    std::string path;
    std::size_t capacity;
    int timeout;
    kw_watch removed;
    std::uint64_t limit;
    int syncs, frees, wakes;
    const kw_handle *asked;
} given;

struct {
    int status;
    int polls[4]; // one after the other
    kw_error error;      // of the handle
    int error_status;    // of asking for it
    kw_error without;    // of the thread
} answer;

void reset()
{
    given = {};
    answer = {};
    answer.error = answer.without = KW_ERROR_INIT;
}

kw_handle *const handle = reinterpret_cast<kw_handle *>(&given);

std::vector<std::string> strings(const char *const *array)
{
    std::vector<std::string> all;
    if (array == nullptr)
        return {"-"};
    for (; *array != nullptr; array++)
        all.emplace_back(*array);
    return all;
}

template <class Call>
kw::error thrown(Call call)
{
    try {
        call();
    } catch (const kw::error &e) {
        return e;
    }
    return kw::error({}, "nothing was thrown", {});
}

kw_error error_of(int status, int sys_errno, const char *operation, const char *path)
{
    kw_error e = KW_ERROR_INIT;
    e.status = status;
    e.sys_errno = sys_errno;
    std::strncpy(e.operation, operation, sizeof e.operation - 1);
    std::strncpy(e.path, path, sizeof e.path - 1);
    e.path_len = std::strlen(path);
    return e;
}

} // namespace

extern "C" {

int kw_open(const kw_options *options, kw_handle **out)
{
    given.options = *options;
    given.faults = options->faults == nullptr ? "-" : options->faults;
    *out = answer.status < 0 ? nullptr : handle;
    return answer.status;
}

int kw_add(kw_handle *, const char *path, const kw_watch_options *options, kw_watch *out)
{
    given.path = path;
    given.watch = *options;
    given.exclude = strings(options->exclude);
    given.include = strings(options->include);
    given.since = options->since == nullptr ? "-" : options->since;
    if (answer.status == KW_OK)
        *out = 7;
    return answer.status;
}

int kw_save(kw_handle *, kw_watch watch, const char *file)
{
    given.saved = file + std::string(" of ") + std::to_string(watch);
    return answer.status;
}

int kw_remove(kw_handle *, kw_watch watch)
{
    given.removed = watch;
    return answer.status;
}

int kw_set_watch_limit(kw_handle *, uint64_t limit)
{
    given.limit = limit;
    return answer.status;
}

int kw_poll(kw_handle *, kw_event *events, size_t capacity, int timeout_ms)
{
    given.capacity = capacity;
    given.timeout = timeout_ms;
    const int n = answer.polls[0];
    for (std::size_t i = 0; i + 1 < 4; i++)
        answer.polls[i] = answer.polls[i + 1];
    for (int i = 0; i < n; i++)
        events[i] = kw_event{};
    return n;
}

int kw_wake(kw_handle *)
{
    given.wakes++;
    return answer.status;
}

int kw_fd(const kw_handle *)
{
    return answer.status == KW_OK ? 5 : answer.status;
}

int kw_stats_get(const kw_handle *, kw_stats *out)
{
    out->watches = out->size == sizeof *out ? 3 : 0;
    return answer.status;
}

int kw_last_error(const kw_handle *of, kw_error *out)
{
    given.asked = of;
    if (of == nullptr)
        *out = answer.without;
    else if (answer.error_status == KW_OK)
        *out = answer.error;
    return of == nullptr ? KW_OK : answer.error_status;
}

int kw_sync(kw_handle *, int)
{
    given.syncs++;
    return answer.status;
}

const char *kw_strerror(int code)
{
    return code == KW_E_LIMIT ? "limit" : "other";
}

const char *kw_version(void)
{
    return "1.2.3";
}

void kw_free(kw_handle *freed)
{
    given.frees += freed == handle;
}

} // extern "C"

namespace {

void options()
{
    reset();
    {
        const kw::watcher w;
        const kw_options init = KW_OPTIONS_INIT;
        ok(std::memcmp(&given.options, &init, sizeof init) == 0, "defaults are KW_OPTIONS_INIT");
    }
    is(given.frees, 1, "a handle is freed");

    kw::options o;
    o.flags = kw::open_flags::raise_limit | kw::open_flags::poll_only;
    o.poll_interval = 11ms;
    o.poll_looks = 12;
    o.watch_limit = kw::no_limit;
    o.descriptor_reserve = 13;
    o.crawl_threads = 14;
    o.batch = 3;
    o.faults = "late 1";
    kw::watcher w(o);
    is(given.options.size, sizeof(kw_options), "size");
    is(given.options.flags, 3U, "flags");
    is(given.options.poll_interval_ms, 11U, "poll_interval");
    is(given.options.poll_looks, 12U, "poll_looks");
    is(given.options.watch_limit, KW_NO_LIMIT, "watch_limit");
    is(given.options.descriptor_reserve, 13U, "descriptor_reserve");
    is(given.options.crawl_threads, 14U, "crawl_threads");
    is(given.options.reserved, 0U, "reserved");
    is(given.faults, "late 1", "faults");
    o.faults.clear();
    answer.polls[0] = 3;
    is(w.poll(2s).size(), 3U, "events");
    is(given.capacity, 3U, "batch");
    is(given.timeout, 2000, "timeout");
    (void)w.poll(kw::forever);
    is(given.timeout, -1, "no timeout");

    (void)kw::watcher(handle).poll(0s);
    is(given.capacity, 256U, "batch of 0");
    (void)kw::watcher(handle, UINT32_MAX).poll(0s);
    is(given.capacity, 65536U, "a large one");
    o.poll_interval = std::chrono::milliseconds(UINT32_MAX);
    kw::watcher longest(o);
    is(given.faults, "-", "no faults");
    o.faults = std::string("a\0b", 3);
    try {
        kw::watcher bad(o);
        ok(false, "a NUL in faults");
    } catch (const kw::error &e) {
        ok(e.code() == std::error_code(KW_E_INVALID, kw::category()), "a NUL in faults");
    }
    o.faults.clear();
    is(given.options.poll_interval_ms, UINT32_MAX, "the longest interval");
}

void watch_options()
{
    reset();
    kw::watcher w;
    ok(w.add("a") == kw::watch_id{7}, "a watch");
    const kw_watch_options init = KW_WATCH_OPTIONS_INIT;
    is(given.path, "a", "path");
    is(given.watch.events, static_cast<std::uint32_t>(KW_ALL_EVENTS), "all events");
    given.watch.events = 0;
    ok(std::memcmp(&given.watch, &init, sizeof init) == 0, "else KW_WATCH_OPTIONS_INIT");

    kw::watch_options o;
    o.flags = kw::watch_flags::recursive | kw::watch_flags::dir_modified |
              kw::watch_flags::sync_all | kw::watch_flags::initial | kw::watch_flags::expanded |
              kw::watch_flags::dirs_only | kw::watch_flags::one_device |
              kw::watch_flags::skip_hidden | kw::watch_flags::gitignore |
              kw::watch_flags::allow_missing;
    o.events = kw::event_kind::ready | kw::event_kind::error;
    o.exclude = {"*.o", "build/", ""};
    o.include = {"*.c"};
    o.depth = 21;
    o.settle = 22ms;
    o.settle_max = std::chrono::milliseconds(UINT32_MAX);
    o.since = "before";
    w.add("b", o);
    is(given.watch.flags, 0x3ffU, "flags");
    ok(given.exclude == o.exclude, "exclude");
    ok(given.include == o.include, "include");
    is(given.watch.depth, 21U, "depth");
    is(given.watch.settle_ms, 22U, "settle");
    is(given.watch.settle_max_ms, UINT32_MAX, "settle_max");
    is(given.since, "before", "since");
    is(given.watch.reserved, 0U, "reserved");
    is(given.watch.events, static_cast<std::uint32_t>(KW_READY | KW_ERROR), "events");
    std::error_code ec;
    w.add("c", kw::watch_flags::sync_all, ec);
    is(given.path, "c", "path, the other form");
    is(given.watch.flags, static_cast<std::uint32_t>(KW_SYNC_ALL), "flags alone");
    ok(given.exclude == strings(nullptr) && given.include == given.exclude && given.since == "-",
       "no patterns");

    const auto refused = [&w](kw::watch_options how, std::string_view what) {
        std::error_code code;
        given.path = "";
        const kw::watch_id id = w.add("d", how, code);
        ok(id == kw::watch_id{} && code == kw::errc::invalid && given.path.empty() &&
               thrown([&] { w.add("d", how); }).operation().find(what) != std::string::npos,
           what);
    };
    kw::watch_options odd;
    odd.settle = -1ms;
    refused(odd, "settle is out of range");
    odd = {};
    odd.settle_max = std::chrono::milliseconds(1LL << 32);
    refused(odd, "settle is out of range");
    odd = {};
    odd.exclude = {"a", std::string("b\0c", 3)};
    refused(odd, "a NUL in a pattern");
    std::swap(odd.exclude, odd.include);
    refused(odd, "a NUL in a pattern");
    odd = {};
    odd.since = std::string("b\0c", 3);
    refused(odd, "a NUL in since");

    w.save(kw::watch_id{6}, "file");
    is(given.saved, "file of 6", "save()");
    w.save(kw::watch_id{5}, "other", ec);
    is(given.saved, "other of 5", "save(), the other form");
    w.save(kw::watch_id{4}, std::string("b\0c", 3), ec);
    ok(ec == kw::errc::invalid && given.saved == "other of 5", "with a NUL");

    w.remove(kw::watch_id{9});
    is(given.removed, 9, "remove()");
    w.set_watch_limit(10);
    is(given.limit, 10U, "set_watch_limit()");
    w.sync();
    is(given.syncs, 1, "sync()");
    is(w.fd(), 5, "fd()");
    is(w.stats().watches, 3U, "stats()");
    ok(w.wake() && given.wakes == 1, "wake()");
    w.stop();
    is(given.wakes, 2, "stop()");
    is(std::string(kw::version()), "1.2.3", "version()");
}

void errors()
{
    reset();
    kw::watcher w;
    std::error_code ec;

    answer.status = KW_E_SYSTEM;
    answer.error = error_of(KW_E_SYSTEM, EIO, "watch", "a/b");
    w.add("a", ec);
    ok(ec == std::errc::io_error, "KW_E_SYSTEM is its errno");
    kw::error e = thrown([&] { w.add("a"); });
    ok(e.code() == ec && e.path() == "a/b" && e.operation() == "watch", "and has its details");
    answer.error.status = KW_E_BUSY;
    w.add("a", ec);
    ok(ec == kw::errc::system, "another thread's errno is not taken for it");
    e = thrown([&] { w.add("a"); });
    ok(e.code() == ec && e.path() == "a" && e.operation() == "watch", "nor its details");
    answer.error = error_of(KW_E_SYSTEM, 0, "odd", "");
    ok(thrown([&] { w.sync(); }).code() == kw::errc::system, "one without errno");

    answer.status = KW_E_FORKED;
    answer.error_status = KW_E_FORKED;
    answer.without = error_of(KW_E_FORKED, 0, "after fork", "");
    e = thrown([&] { (void)w.stats(); });
    ok(e.code() == kw::errc::forked && e.operation() == "after fork",
       "what the handle does not keep, the thread does");
    is(std::string(e.what()), "after fork: other", "what()");
    answer.error_status = KW_OK;

    answer.status = KW_E_LIMIT;
    answer.without = error_of(KW_E_LIMIT, EMFILE, "open", "");
    const kw::watcher none(kw::options{}, ec);
    ok(!none && ec == kw::errc::limit && none.last_error().system_code().value() == EMFILE,
       "so it does for what could not be opened");
    is(thrown([] { kw::watcher again; }).operation(), "open", "in both forms");
    is(ec.message(), "limit", "a message");
    is(w.fd(ec), -1, "no descriptor");
    ok(!w.wake(), "no wake");

    answer.polls[0] = KW_E_INTERRUPTED;
    ok(w.poll(0s, ec).interrupted() && !ec, "a signal is no error");
    answer.polls[0] = KW_E_BUSY;
    ok(w.poll(0s, ec).empty() && ec == kw::errc::busy, "to be busy is");
    answer.polls[0] = KW_E_BUSY;
    answer.error = error_of(KW_E_BUSY, 0, "poll", "");
    ok(thrown([&] { (void)w.poll(0s); }).code() == kw::errc::busy, "in both forms");

    int n = 0;
    const int some[] = {KW_E_INTERRUPTED, 0, 1, KW_E_BUSY};
    std::memcpy(answer.polls, some, sizeof some);
    for (const kw::event &event : w.changes(ec))
        n += event.kind() == kw::event_kind{};
    ok(n == 1 && ec == kw::errc::busy, "a loop goes on until there is an error");
    is(given.capacity, 1U, "one event at a time");
    is(given.timeout, -1, "for ever");
    std::memcpy(answer.polls, some, sizeof some);
    e = thrown([&] {
        for (const kw::event &event : w.changes())
            n += event.kind() == kw::event_kind{};
    });
    ok(n == 2 && e.code() == kw::errc::busy, "which it throws");
}

} // namespace

int main()
{
    options();
    watch_options();
    errors();
    return tap::done();
}
