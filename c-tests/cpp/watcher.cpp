// kw.hpp, all of it that throws, and what both forms have in common.
#include "tap.hpp"

#include <algorithm>
#include <climits>
#include <limits>
#include <vector>

#include <csignal>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

using namespace std::chrono_literals;

const std::error_category &category_of_another_file() noexcept; // second.cpp

using tap::drain;
using tap::is;
using tap::ok;
using tap::sorted;

namespace {

const kw::watch_flags recursive = kw::watch_flags::recursive;

// The error that a call throws.
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

kw::watcher watch_tree(kw::watch_flags flags = recursive)
{
    kw::watcher w;
    w.add("tree", flags);
    return w;
}

void errors()
{
    kw::watcher w;
    const kw::error e = thrown([&] { w.add("tree/none/here"); });
    ok(e.code() == kw::errc::not_found, "an error has its code");
    ok(e.code() == std::errc::no_such_file_or_directory, "  which is equivalent to ENOENT");
    ok(e.code() != std::errc::permission_denied, "  and to nothing else");
    is(e.path(), fs::path("tree/none/here"), "  its path");
    is(e.operation(), "watch", "  what was being done");
    ok(e.system_code() == std::errc::no_such_file_or_directory, "  what the system said");
    is(std::string(e.what()), "tree/none/here: watch: " + std::system_category().message(ENOENT),
       "  and says it all");

    std::string what;
    try {
        w.add("tree/none/here");
    } catch (const std::system_error &as_system_error) {
        const std::system_error sliced = as_system_error;
        ok(sliced.code() == kw::errc::not_found, "a copy of its base has the code");
        what = as_system_error.what();
    }
    is(what, std::string(e.what()), "it is a std::system_error");
    kw::error copy = e;
    copy = thrown([&] { w.remove(kw::watch_id{77}); });
    ok(copy.code() == kw::errc::no_watch, "an error can be assigned");
    is(e.path(), fs::path("tree/none/here"), "  and its copies are copies");
    is(w.last_error().operation(), copy.operation(), "last_error() is the last one");
    ok(w.last_error().code() == copy.code(), "  with its code");

    // What is none of the library's codes is the system's.
    fs::create_symlink("loop", "tree/loop");
    const kw::error loop = thrown([&] { w.add("tree/loop/x"); });
    ok(loop.code() == std::errc::too_many_symbolic_link_levels, "an errno is a code");
    ok(loop.code().category() == std::system_category(), "  of the system's category");
    std::error_code ec;
    ok(w.add("tree/loop/x", ec) == kw::watch_id{}, "no watch is watch_id{}");
    ok(ec == loop.code(), "both forms have the same code");
    fs::remove("tree/loop");

    ok(thrown([&] { w.add(std::string("tree\0x", 6)); }).code() == kw::errc::invalid,
       "a path with a NUL is not cut off");
    ok(w.add(std::string("tree\0x", 6), ec) == kw::watch_id{} && ec == kw::errc::invalid,
       "  in either form");
    ok(thrown([&] { w.add(std::string(9000, 'x')); }).code() == std::errc::filename_too_long,
       "a name that is too long");
    kw::options odd;
    odd.poll_interval = -1ms;
    ok(thrown([&] { kw::watcher of(odd); }).code() == kw::errc::invalid, "a negative interval");
    odd.poll_interval = std::chrono::milliseconds(1LL << 32);
    ok(thrown([&] { kw::watcher of(odd); }).code() == kw::errc::invalid, "one of 50 days");
    odd.poll_interval = 1000ms;
    odd.flags = kw::open_flags{1U << 31};
    const kw::error flags = thrown([&] { kw::watcher of(odd); });
    ok(flags.code() == kw::errc::invalid, "an unknown flag");
    ok(!flags.operation().empty(), "  has its details from the thread");
    w.add("tree", ec);
    ok(!ec, "success clears a code");
}

void categories()
{
    using kw::errc;
    const struct {
        errc code;
        std::errc meaning;
    } same[] = {
        {errc::invalid, std::errc::invalid_argument},
        {errc::busy, std::errc::device_or_resource_busy},
        {errc::interrupted, std::errc::interrupted},
        {errc::internal, std::errc::state_not_recoverable},
        {errc::not_found, std::errc::no_such_file_or_directory},
        {errc::denied, std::errc::permission_denied},
        {errc::denied, std::errc::operation_not_permitted},
        {errc::too_long, std::errc::filename_too_long},
    };
    bool alike = true, different = true, worded = true;
    for (int i = KW_E_INVALID; i >= KW_E_SNAPSHOT; i--) {
        const std::error_code code = static_cast<errc>(i);
        worded = worded && code.message() == kw_strerror(i) && code.value() == i;
        for (const auto &s : same) {
            const bool expected =
                s.code == static_cast<errc>(i) ||
                (i == KW_E_DENIED && s.meaning == std::errc::operation_not_permitted);
            (expected ? alike : different) &= (code == s.meaning) == expected;
        }
    }
    ok(alike, "codes compare with std::errc");
    ok(different, "  and with no other than they mean");
    ok(worded, "their messages are those of kw_strerror()");
    is(std::string(kw::category().name()), "kw", "the category has a name");
    ok(kw::category() == category_of_another_file(), "  and is the only one in a program");
    ok(std::error_code(errc::limit) != std::error_code(errc::busy), "codes differ");
    ok(std::error_code(errc::busy) != std::error_code(KW_E_BUSY, std::system_category()),
       "  and by their category");
    is(std::string(kw::version()), kw_version(), "the version");
}

void changes_as_text()
{
    kw::watcher w = watch_tree();
    is(drain(w), "", "nothing has happened");
    fs::create_directory("tree/d");
    tap::write("tree/d/f", "text");
    tap::age("tree/d/f");
    fs::create_symlink("f", "tree/d/l");
    is(sorted(drain(w)), "created d/\ncreated d/f\ncreated d/l@\n", "a directory, a file, a link");
    fs::rename("tree/d", "tree/e");
    is(drain(w), "moved d/ -> e/\n", "a rename");
    tap::write("tree/new", "other text");
    is(drain(w), "created new\n", "a file");
    fs::rename("tree/new", "tree/e/f");
    is(drain(w), "modified|replaced e/f\ndeleted new\n", "takes another's name");
    tap::write("tree/e/f", "more");
    tap::age("tree/e/f");
    is(drain(w), "modified e/f\n", "is written to");
    fs::permissions("tree/e/f", fs::perms::owner_all);
    is(drain(w), "attrib e/f\n", "gets another mode");
    fs::remove_all("tree/e");
    const std::string gone = drain(w);
    is(sorted(gone), "deleted e/\ndeleted e/f\ndeleted e/l@\n", "and goes with all the rest");
    ok(gone.find("deleted e/\n") > gone.find("deleted e/f\n"), "  leaves first");
    fs::rename("tree", "away");
    is(drain(w), "root_gone ./\n", "the root, too");
    fs::rename("away", "tree");
    is(drain(w), "root_back ./\n", "which comes back");
}

void one_event()
{
    kw::watcher w;
    const kw::watch_id id = w.add("tree/", recursive);
    const std::string name = "od\xff\nname";
    tap::write("tree/" + name, "12345");
    struct stat st;
    if (stat(("tree/" + name).c_str(), &st) != 0)
        tap::die("stat");
    const kw::events found = w.poll(0s);
    is(found.size(), 1U, "one event");
    const kw::event e = found.front();
    ok(e.kind() == kw::event_kind::created && e.watch() == id, "its kind and its watch");
    is(e.path_view(), "tree/" + name, "its path as bytes, and the root as it was given");
    is(e.path_view().data()[e.path_view().size()], '\0', "  with a NUL behind");
    is(e.relative_view(), name, "  relative to the root");
    is(e.path(), fs::path("tree") / name, "  as std::filesystem has it");
    is(e.relative_path(), fs::path(name), "  in both ways");
    ok(e.dest_view().data() == nullptr && e.dest_view().empty(), "it has no destination");
    ok(e.relative_dest_view().empty() && e.dest().empty() && e.relative_dest().empty(),
       "  in none of the ways");
    is(e.size(), 5U, "its size");
    is(e.inode(), static_cast<std::uint64_t>(st.st_ino), "its inode");
    is(e.device(), static_cast<std::uint64_t>(st.st_dev), "its device");
#ifdef __linux__
    const auto mtime = std::chrono::seconds(st.st_mtim.tv_sec) +
                       std::chrono::nanoseconds(st.st_mtim.tv_nsec);
    ok(e.mtime().time_since_epoch() == mtime, "its time of modification, to the nanosecond");
#endif
    ok(std::chrono::abs(std::chrono::system_clock::now() - e.mtime()) < 1h,
       "  which is one of the system's clock");
    ok(!e.error() && e.count() == 0 && e.sequence() == 1, "the rest of it");
    ok(&e.raw() == found.data() && e.raw().watch == static_cast<kw_watch>(id), "and as C has it");

    fs::rename("tree/" + name, "tree/to");
    std::string dest;
    for (const kw::event &moved : w.poll(0s))
        if (moved.kind() == kw::event_kind::moved)
            dest = moved.dest().string() + ' ' + moved.relative_dest().string() + ' ' +
                   std::string(moved.dest_view());
    is(dest, "tree/to to tree/to", "where it went to");
    fs::remove("tree/to");
    const kw::events gone = w.poll(0s);
    ok(gone.size() == 1 && gone[0].size() == 0 && gone[0].mtime() == kw::time_point(),
       "what is gone has no size and no time");

    // What is hard to bring about.
    kw_event raw{};
    raw.kind = KW_ERROR;
    raw.flags = KW_IS_DIR;
    raw.error = EACCES;
    raw.path = "root";
    raw.path_len = raw.root_len = 4;
    ok(kw::event(&raw).error() == std::errc::permission_denied, "an error has its errno");
    ok(kw::event(&raw).relative_view().empty() && kw::event(&raw).is_directory(), "and a path");
    raw.kind = KW_DEGRADED;
    raw.count = 12;
    is(kw::event(&raw).count(), 12U, "how many are polled");
    raw.kind = 1U << 30;
    is(to_string(kw::event(&raw).kind()), "unknown", "a kind of a later version");
}

void ranges()
{
    kw::watcher w = watch_tree();
    for (const char *name : {"a", "b", "c", "d", "e"})
        fs::create_directory(fs::path("tree") / name);
    const kw::events found = w.poll(0s);
    is(found.size(), 5U, "a range has a size");
    ok(!found.empty() && !found.caught_up() && !found.interrupted(), "  and is not empty");
    is(std::distance(found.begin(), found.end()), 5, "  as many as there are");
    const kw::event third = found[2];
    const auto at = std::find_if(found.begin(), found.end(), [&](const kw::event &e) {
        return e.relative_view() == third.relative_view();
    });
    ok(at != found.end() && at->sequence() == third.sequence(), "algorithms work");
    ok(at - found.begin() == 2 && found.begin()[2].sequence() == at->sequence() &&
           found.begin() + 2 == at && 2 + found.begin() == at && found.end() - 3 == at,
       "an iterator has access at random");
    auto i = found.begin();
    ok(i++ == found.begin() && i-- == found.begin() + 1 && ++i > found.begin() && --i == i &&
           i < at && i <= i && at >= i && i != at,
       "and goes to and fro");
    is(found.front().sequence(), found[0].sequence(), "front()");
    is(found.back().sequence(), found[4].sequence(), "back()");
    is(found[3].sequence(), found[2].sequence() + 1, "[3]");
    ok(kw::events().empty() && !kw::events().caught_up() && kw::events().begin() ==
           kw::events().end(), "a range of nothing");
#if defined(__cpp_lib_ranges)
    static_assert(std::ranges::view<kw::events>);
    static_assert(std::ranges::random_access_range<kw::events>);
    static_assert(std::ranges::sized_range<kw::events>);
    static_assert(std::ranges::common_range<kw::events>);
    static_assert(std::ranges::borrowed_range<kw::events>);
    static_assert(std::ranges::input_range<kw::changes_range>);
    is(std::ranges::find(found, third.relative_view(), &kw::event::relative_view) -
           found.begin(),
       2, "ranges of C++20, too");
#endif

    kw::options few;
    few.batch = 2;
    kw::watcher narrow(few);
    narrow.add("tree", recursive);
    for (const char *name : {"a", "b", "c", "d", "e"})
        fs::remove(fs::path("tree") / name);
    std::vector<std::size_t> sizes;
    do
        sizes.push_back(narrow.poll(0s).size());
    while (sizes.back() > 0);
    ok(sizes == std::vector<std::size_t>({2, 2, 1, 0}), "no more than `batch` at once");
}

void waiting()
{
    using std::chrono::duration;
    using std::chrono::hours;
    using std::chrono::milliseconds;
    using kw::detail::timeout_ms;
    is(timeout_ms(0s), 0, "a timeout of 0");
    is(timeout_ms(-5s), 0, "less than 0 is 0");
    is(timeout_ms(hours::min()), 0, "  however much less");
    is(timeout_ms(1ns), 1, "a nanosecond is a millisecond");
    is(timeout_ms(1001us), 2, "  each begun one is");
    is(timeout_ms(2000us), 2, "  and no other");
    is(timeout_ms(duration<float>(0.5F)), 500, "half a second");
    is(timeout_ms(milliseconds(INT_MAX)), INT_MAX, "24 days");
    is(timeout_ms(milliseconds(INT_MAX) + 1ms), -1, "and more");
    is(timeout_ms(hours::max()), -1, "as long as can be said");
    is(timeout_ms(kw::forever), -1, "for ever");
    is(timeout_ms(duration<double>(std::numeric_limits<double>::quiet_NaN())), 0, "no number");

    kw::watcher w = watch_tree();
    const auto begin = std::chrono::steady_clock::now();
    ok(w.poll(20ms).caught_up(), "time is up");
    ok(std::chrono::steady_clock::now() - begin >= 20ms, "  when it should be");
    ok(w.wake(), "a wake");
    ok(w.poll(kw::forever).caught_up(), "ends a wait for ever");
    is(w.fd(), kw_fd(w.handle()), "fd()");

    // A signal, until one comes while it waits.
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
    const pid_t self = getpid();
    const pid_t child = fork();
    if (child == 0) {
        while (kill(self, SIGUSR1) == 0)
            usleep(10000);
        std::_Exit(0);
    }
    kw::events found = w.poll(kw::forever);
    ok(found.interrupted(), "a signal ends it");
    ok(found.empty() && !found.caught_up(), "  which says nothing of events");
    std::error_code ec = kw::errc::limit;
    found = w.poll(kw::forever, ec);
    ok(found.interrupted() && !ec, "and is no error");
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

void moving()
{
    kw::watcher a = watch_tree();
    kw_handle *const handle = a.handle();
    fs::create_directory("tree/m");
    kw::events found = a.poll(0s);
    kw::watcher b = std::move(a);
    ok(!a && b && b.handle() == handle, "a watcher moves");
    is(found.front().relative_view(), "m", "  and its events stay where they are");
    ok(thrown([&] { (void)a.poll(0s); }).code() == kw::errc::invalid, "what is left is invalid");
    ok(thrown([&] { a.add("tree"); }).code() == kw::errc::invalid, "  in every call");
    ok(thrown([&] { a.remove(kw::watch_id{1}); }).code() == kw::errc::invalid, "  remove()");
    ok(thrown([&] { a.sync(); }).code() == kw::errc::invalid, "  sync()");
    ok(thrown([&] { (void)a.fd(); }).code() == kw::errc::invalid, "  fd()");
    ok(thrown([&] { (void)a.stats(); }).code() == kw::errc::invalid, "  stats()");
    ok(thrown([&] { a.set_watch_limit(1); }).code() == kw::errc::invalid, "  set_watch_limit()");
    ok(thrown([&] { a.changes().begin(); }).code() == kw::errc::invalid, "  changes()");
    ok(!a.wake(), "  wake()");
    a = std::move(b);
    ok(a.handle() == handle && !b, "it is moved back");
    kw::watcher empty(nullptr);
    ok(!empty, "one without a handle");
    swap(a, empty);
    ok(!a && empty.handle() == handle, "swap()");
    fs::remove("tree/m");
    is(drain(empty), "deleted m/\n", "and it works");
    kw::watcher &itself = empty;
    empty = std::move(itself);
    ok(empty.handle() == handle, "moved to itself it is what it was");

    kw::watcher taken(empty.release(), 1);
    ok(!empty && taken.handle() == handle, "a handle is given away and taken over");
    fs::create_directory("tree/m");
    is(taken.poll(0s).size(), 1U, "with room for one event");
    fs::remove("tree/m");
    is(drain(taken), "deleted m/\n", "and it works");
    kw_handle *const given = taken.release();
    is(kw_poll(given, nullptr, 0, 0), KW_E_INVALID, "what is given away lives");
    kw_free(given);
    taken = kw::watcher();
    ok(static_cast<bool>(taken), "another one");
    static_assert(!std::is_copy_constructible_v<kw::watcher>);
    static_assert(std::is_nothrow_move_constructible_v<kw::watcher>);
    static_assert(std::is_nothrow_move_assignable_v<kw::watcher>);
    static_assert(std::is_nothrow_swappable_v<kw::watcher>);
    static_assert(std::is_trivially_copyable_v<kw::event> && sizeof(kw::event) == sizeof(void *));
}

void watches()
{
    kw::watcher w;
    fs::create_directories("tree/d/e");
    const kw::watch_id flat = w.add("tree/d");
    const kw::watch_id deep = w.add("tree", recursive);
    ok(flat != deep && flat != kw::watch_id{}, "watches have names");
    is(w.stats().watches, 2U, "stats() knows them");
    tap::write("tree/d/e/f", "");
    int of_flat = 0, of_deep = 0;
    for (const kw::event &e : w.poll(0s))
        (e.watch() == flat ? of_flat : of_deep)++;
    ok(of_flat == 0 && of_deep == 1, "the default is not recursive");
    fs::remove("tree/d/e/f");
    w.remove(deep);
    is(drain(w), "", "after remove() nothing is told");
    ok(thrown([&] { w.remove(deep); }).code() == kw::errc::no_watch, "it is not removed twice");

    kw::watch_options created;
    created.flags = recursive;
    created.events = kw::event_kind::created | kw::event_kind::moved;
    w.remove(flat);
    w.add("tree", created);
    tap::write("tree/d/e/f", "");
    fs::rename("tree/d/e/f", "tree/d/e/g");
    fs::remove("tree/d/e/g");
    tap::write("tree/d/e/h", "");
    is(drain(w), "created d/e/h\n", "only the kinds that are wanted");

    kw::watcher mirror = watch_tree(recursive | kw::watch_flags::initial);
    is(drain(mirror),
       "root_back|initial ./\ncreated|initial d/\ncreated|initial d/e/\n"
       "created|initial d/e/h\nready ./\n",
       "a tree is told from the beginning");

    using kw::event_kind;
    event_kind set = event_kind::created;
    set |= event_kind::deleted;
    ok((set & event_kind::deleted) == event_kind::deleted, "a set of kinds has them");
    set &= ~event_kind::created;
    ok(set == event_kind::deleted, "  and loses them");
    set ^= event_kind::created | event_kind::deleted;
    ok(set == event_kind::created, "  or the others");
    ok((set ^ kw::all_events) == (kw::all_events & ~set), "  of all");
    fs::remove_all("tree/d");
}

void filters()
{
    kw::watch_options some;
    some.flags = recursive | kw::watch_flags::skip_hidden;
    some.exclude = {"*.o", "build/"};
    some.include = {"*.c", "*.o"};
    some.depth = 2;
    kw::watcher w;
    w.add("tree", some);
    fs::create_directories("tree/build/d");
    fs::create_directories("tree/src/deep");
    for (const char *name : {"a.c", "a.h", "a.o", ".a.c", "build/b.c", "src/c.c", "src/deep/d.c"})
        tap::write(fs::path("tree") / name, "");
    is(sorted(drain(w)), "created a.c\ncreated src/\ncreated src/c.c\ncreated src/deep/\n",
       "what is excluded does not exist");

    kw::watcher follows = watch_tree(recursive | kw::watch_flags::expanded);
    fs::rename("tree/build", "tree/built");
    std::string moved;
    for (const kw::event &e : follows.poll(0s))
        if (e.kind() == kw::event_kind::moved)
            moved += tap::line(e) + (e.is_expanded() ? " expanded\n" : "\n");
    is(sorted(moved),
       "moved build/ -> built/\nmoved build/b.c -> built/b.c expanded\n"
       "moved build/d/ -> built/d/ expanded\n",
       "what moves with a directory");
    for (const char *name : {"src", "built"})
        fs::remove_all(fs::path("tree") / name);
    for (const char *name : {"a.c", "a.h", "a.o", ".a.c"})
        fs::remove(fs::path("tree") / name);

    kw::watch_options late;
    late.flags = recursive | kw::watch_flags::allow_missing;
    late.settle = 1h;
    kw::watcher quiet;
    quiet.add("tree/later", late);
    fs::create_directory("tree/later");
    tap::write("tree/later/f", "");
    fs::remove("tree/later/f");
    fs::create_directory("tree/later/d");
    is(drain(quiet), "", "what settles is not told");
    quiet.sync();
    is(drain(quiet), "root_back ./\ncreated d/\n", "until sync(): of a root that came later");
    fs::remove_all("tree/later");
    drain(quiet);

#if defined(__cpp_designated_initializers) && __cplusplus > 201703L
    kw::watcher named({.flags = kw::open_flags::none, .batch = 7});
    named.add("tree", {.flags = recursive,
                       .events = kw::event_kind::created | kw::event_kind::moved,
                       .exclude = {".git", "*.o", "build/"}});
    fs::create_directory("tree/build");
    fs::create_directory("tree/built");
    is(drain(named), "created built/\n", "options by their names");
    fs::remove("tree/build");
    fs::remove("tree/built");
#endif

    const kw::error snapshot = thrown([&] {
        tap::write("no snapshot", "text");
        kw::watch_options how;
        how.since = "no snapshot";
        w.add("tree", how);
    });
    ok(snapshot.code() == kw::errc::snapshot, "what is no snapshot");
}

void saving()
{
    {
        kw::options one;
        one.batch = 1;
        kw::watcher w(one);
        const kw::watch_id id = w.add("tree", recursive);
        fs::create_directories("tree/d/in");
        std::error_code ec;
        is(w.poll(0s).size(), 1U, "an event of two");
        w.save(id, "saved", ec);
        ok(ec == kw::errc::busy, "it cannot be saved while another waits");
        is(drain(w), "created d/in/\n", "that is delivered");
        w.save(id, "saved", ec);
        ok(!ec, "now it is saved");
        w.save(kw::watch_id{99}, "saved", ec);
        ok(ec == kw::errc::no_watch, "no watch, nothing to save");
        const kw::error e = thrown([&] { w.save(id, "none/saved"); });
        ok(e.code() == std::errc::no_such_file_or_directory, "nowhere to save it");
    }
    fs::rename("tree/d", "tree/e");
    kw::watch_options how;
    how.flags = recursive;
    how.since = "saved";
    kw::watcher w;
    w.add("tree", how);
    is(drain(w), "moved d/ -> e/\nready ./\n", "what has changed since");
    fs::remove_all("tree/e");
}

void limits()
{
    kw::options how;
    how.flags = kw::open_flags::poll_only;
    how.poll_interval = 1h;
    kw::watcher w(how);
    w.add("tree", recursive);
    const kw::events first = w.poll(0s);
    ok(first.size() == 1 && first[0].kind() == kw::event_kind::degraded && first[0].count() > 0,
       "what is polled is told of");
    is(std::string(w.stats().limited_by), "watch_limit", "  and why");
    tap::write("tree/polled", "");
    is(drain(w), "", "nobody looks");
    w.sync();
    is(drain(w), "created polled\n", "until sync()");
    fs::remove("tree/polled");
    w.set_watch_limit(kw::no_limit);
    w.sync();
    std::string told = drain(w);
    // The round that finds all watched comes an interval later.
    ok(told.find("deleted polled\n") != std::string::npos, "without a limit");
    w.set_watch_limit(0);
    is(w.stats().watch_limit, 0U, "with one of 0");

    // In a child: the limit is the process's.
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {3, 3};
        std::error_code ec;
        int wrong = setrlimit(RLIMIT_NOFILE, &none) != 0;
        const kw::watcher refused(kw::options{}, ec);
        wrong += refused || ec != kw::errc::limit;
        const kw::error e = thrown([] { kw::watcher again; });
        wrong += e.code() != ec || e.system_code() != std::errc::too_many_files_open;
        std::_Exit(wrong);
    }
    int status = -1;
    waitpid(child, &status, 0);
    is(status, 0, "no descriptors: kw::errc::limit, and which");
}

void forking()
{
    kw::watcher w = watch_tree();
    const pid_t child = fork();
    if (child == 0) {
        std::error_code ec;
        bool right = true;
        w.sync(ec);
        right = right && ec == kw::errc::forked;
        right = right && !w.wake();
        const kw::error e = thrown([&] { (void)w.poll(0s); });
        right = right && e.code() == kw::errc::forked && !e.operation().empty();
        w = kw::watcher(); // ends the other one, which does nothing
        w.add("tree", ec);
        std::_Exit(right && !ec ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    is(status, 0, "a child has a handle of its own");
    fs::create_directory("tree/after");
    is(drain(w), "created after/\n", "and leaves ours alone");
    fs::remove("tree/after");
}

void loops()
{
    kw::watcher w = watch_tree();
    for (const char *name : {"a", "b", "c"})
        fs::create_directory(fs::path("tree") / name);
    std::string told;
    int n = 0;
    for (const kw::event &e : w.changes()) {
        told += tap::line(e) + '\n';
        if (++n == 2)
            break;
    }
    is(n, 2, "a loop");
    told += drain(w);
    is(sorted(told), "created a/\ncreated b/\ncreated c/\n", "and what it has left");

    fs::remove("tree/a");
    told.clear();
    for (const kw::event &e : w.changes()) {
        told += tap::line(e) + '\n';
        w.stop();
    }
    is(told, "deleted a/\n", "is ended from within");
    w.stop();
    fs::remove("tree/b");
    n = 0;
    for (const kw::event &e : w.changes())
        n += e.sequence() > 0;
    is(n, 0, "or before it begins");
    std::error_code ec = kw::errc::limit;
    for (const kw::event &e : w.changes(ec)) {
        is(tap::line(e), "deleted b/", "the next one goes on from there");
        w.stop();
    }
    ok(!ec, "and ends without an error");
    w.stop();
    kw::watcher moved = std::move(w);
    for (const kw::event &e : moved.changes())
        n += e.sequence() > 0;
    is(n, 0, "a stop moves with the watcher");
    for (const kw::event &e : w.changes(ec))
        n += e.sequence() > 0;
    ok(n == 0 && ec == kw::errc::invalid, "a loop over nothing is an error");
    kw::watcher other = watch_tree();
    moved.stop();
    swap(moved, other);
    for (const kw::event &e : other.changes())
        n += e.sequence() > 0;
    is(n, 0, "it is swapped, too");
    swap(moved, other);
    fs::remove("tree/c");
    kw::changes_range range = moved.changes();
    ok(range.begin()->relative_view() == "c", "its iterator has ->");
}

} // namespace

int main()
{
    const tap::sandbox here;
    errors();
    categories();
    changes_as_text();
    one_event();
    ranges();
    waiting();
    moving();
    watches();
    filters();
    saving();
    limits();
    forking();
    loops();
    return tap::done();
}
