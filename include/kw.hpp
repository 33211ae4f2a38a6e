/*
 * kw.hpp - libkw from C++17: what changed in a file tree.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A header over kw.h: it owns what is to be freed, gives types to what are numbers there,
 * makes exceptions or std::error_code of negative codes, and adds nothing else. What an
 * event means, what is promised, what is polled and why: all of that is in kw.h, which is
 * the manual of the library. This is the manual of the C++ side.
 *
 * In short: a kw::watcher, add() the trees to watch, poll() for events.
 *
 *     #include <kw.hpp>
 *     #include <iostream>
 *
 *     int main()
 *     {
 *         kw::watcher w;
 *         w.add("src", kw::watch_flags::recursive);
 *         for (const kw::event &e : w.changes())
 *             std::cout << kw::to_string(e.kind()) << ' ' << e.path_view() << '\n';
 *     }
 *
 * or, with a time limit and without exceptions,
 *
 *     std::error_code ec;
 *     kw::watcher w(kw::options{}, ec);
 *     if (!ec)
 *         w.add("src", kw::watch_flags::recursive, ec);
 *     while (!ec)
 *         for (const kw::event &e : w.poll(std::chrono::seconds(1), ec))
 *             rebuild(e.relative_view());
 *
 * THE BARRIER. When events::caught_up() is true of what poll() returned, everything that
 * had happened before that call, anywhere in the watched trees, has been delivered (what
 * is only polled, or has to settle: after sync()).
 *
 * LIFETIME. An event is a view of memory that belongs to the watcher, and costs no
 * allocation. It and the strings that it has are valid until the next poll(), the next
 * step of a loop over changes(), or the end of the watcher. path(), relative_path(),
 * dest() and relative_dest() make a std::filesystem::path, which is the caller's.
 *
 * ERRORS. As in std::filesystem, each call comes in two forms: one throws kw::error, the
 * other has a last parameter std::error_code & that it sets or clears. (Either may throw
 * std::bad_alloc where it is not noexcept.) A code is one of kw::errc, in kw::category(),
 * and compares equal to the std::errc that means the same:
 *
 *     kw::errc::not_found    std::errc::no_such_file_or_directory
 *     kw::errc::denied       std::errc::permission_denied, operation_not_permitted
 *     kw::errc::too_long     std::errc::filename_too_long
 *     kw::errc::invalid      std::errc::invalid_argument
 *     kw::errc::busy         std::errc::device_or_resource_busy
 *     kw::errc::interrupted  std::errc::interrupted
 *     kw::errc::internal     std::errc::state_not_recoverable
 *
 * But where kw.h has KW_E_SYSTEM, the code is the errno, in std::system_category().
 *
 * WITHOUT EXCEPTIONS (-fno-exceptions) only the second form is there, and what cannot be
 * allocated ends the program, as in all of the standard library. Without RTTI everything
 * is.
 *
 * THREADS. As in kw.h: any call may be made from any thread, poll() and changes() by one at
 * a time. But construction, destruction, assignment, swap() and release() of a watcher
 * want no other thread to be using it. wake() and stop() may be called in a signal
 * handler.
 */
#ifndef KW_HPP
#define KW_HPP

#include <kw.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#if defined(__cpp_lib_ranges)
#include <ranges>
#endif

namespace kw {

// --- Errors ---------------------------------------------------------------------------

/// Why a call failed; the KW_E_ codes of kw.h, which says what each means.
enum class errc : int {
    invalid = KW_E_INVALID,
    system = KW_E_SYSTEM, ///< only if there is no errno; see ERRORS above
    busy = KW_E_BUSY,
    interrupted = KW_E_INTERRUPTED,
    forked = KW_E_FORKED,
    internal = KW_E_INTERNAL,
    not_found = KW_E_NOT_FOUND,
    denied = KW_E_DENIED,
    no_watch = KW_E_NO_WATCH,
    limit = KW_E_LIMIT,
    too_long = KW_E_TOO_LONG,
    snapshot = KW_E_SNAPSHOT,
};

} // namespace kw

template <>
struct std::is_error_code_enum<kw::errc> : std::true_type {};

namespace kw {

namespace detail {

class error_category final : public std::error_category {
public:
    const char *name() const noexcept override { return "kw"; }

    std::string message(int code) const override { return kw_strerror(code); }

    std::error_condition default_error_condition(int code) const noexcept override
    {
        switch (static_cast<errc>(code)) {
        case errc::invalid:
            return std::errc::invalid_argument;
        case errc::busy:
            return std::errc::device_or_resource_busy;
        case errc::interrupted:
            return std::errc::interrupted;
        case errc::internal:
            return std::errc::state_not_recoverable;
        case errc::not_found:
            return std::errc::no_such_file_or_directory;
        case errc::denied:
            return std::errc::permission_denied;
        case errc::too_long:
            return std::errc::filename_too_long;
        case errc::system:
        case errc::forked:
        case errc::no_watch:
        case errc::limit:
        case errc::snapshot:
            break;
        }
        return {code, *this};
    }

    bool equivalent(int code, const std::error_condition &condition) const noexcept override
    {
        return default_error_condition(code) == condition ||
               (static_cast<errc>(code) == errc::denied &&
                condition == std::errc::operation_not_permitted);
    }
};

} // namespace detail

/// The category of kw::errc. Its name is "kw", its messages are those of kw_strerror().
[[gnu::visibility("default")]] inline const std::error_category &category() noexcept
{
    static const detail::error_category the_category;
    return the_category;
}

inline std::error_code make_error_code(errc code) noexcept
{
    return {static_cast<int>(code), category()};
}

/// What is thrown: the code, what was being done, to which path, and what the system said.
/// what() has all of it: "src/x: watch: No such file or directory". Its copies share one
/// text, so that copying does not fail.
class [[gnu::visibility("default")]] error : public std::system_error {
public:
    /// `sys_errno` is the errno of the system call that failed, or 0.
    error(std::error_code code, std::string operation, std::filesystem::path path,
          int sys_errno = 0)
        : std::system_error(code), details_(std::make_shared<const details>(
                                       code, std::move(operation), std::move(path), sys_errno))
    {
    }

    // Not moved: what() of what has been moved from would have nothing to say.
    error(const error &) = default;
    error &operator=(const error &) = default;
    ~error() override = default;

    /// The path that was concerned; empty if there is none. (Of one that has 4096 bytes or
    /// more only the beginning.)
    const std::filesystem::path &path() const noexcept { return details_->path; }

    /// What was being done, in a few English words: "watch", "poll".
    const std::string &operation() const noexcept { return details_->operation; }

    /// The errno of the system call that failed, in std::system_category(); zero if none
    /// did. Tells what kw::errc::limit has run out, for one.
    std::error_code system_code() const noexcept
    {
        return {details_->sys_errno, std::system_category()};
    }

    const char *what() const noexcept override { return details_->text.c_str(); }

private:
    struct details {
        details(std::error_code code, std::string an_operation, std::filesystem::path a_path,
                int an_errno)
            : path(std::move(a_path)), operation(std::move(an_operation)), sys_errno(an_errno)
        {
            if (!path.empty())
                text += path.native() + ": ";
            if (!operation.empty())
                text += operation + ": ";
            text += sys_errno != 0 ? std::system_category().message(sys_errno) : code.message();
        }

        std::filesystem::path path;
        std::string operation;
        int sys_errno;
        std::string text;
    };

    std::shared_ptr<const details> details_;
};

// --- Numbers that have a meaning --------------------------------------------------------

/// What happened; exactly one of these in an event. kw.h says what each means. A later
/// library may have further kinds, so that a `switch` wants a `default`.
///
/// A set of kinds, joined by `|`, has the same type: see watch_options::events.
enum class event_kind : std::uint32_t {
    created = KW_CREATED,
    deleted = KW_DELETED,
    modified = KW_MODIFIED,
    attrib = KW_ATTRIB,
    moved = KW_MOVED,
    rescanned = KW_RESCANNED,
    root_gone = KW_ROOT_GONE,
    root_back = KW_ROOT_BACK,
    unmounted = KW_UNMOUNTED,
    degraded = KW_DEGRADED,
    error = KW_ERROR,
    ready = KW_READY,
};

/// The set of all kinds.
inline constexpr event_kind all_events{KW_ALL_EVENTS};

/// How a handle is to be opened: flags of kw_options.
enum class open_flags : std::uint32_t {
    none = 0,
    raise_limit = KW_RAISE_LIMIT,
    poll_only = KW_POLL_ONLY,
};

/// How a path is to be watched: flags of kw_watch_options.
enum class watch_flags : std::uint32_t {
    none = 0,
    recursive = KW_RECURSIVE,
    dir_modified = KW_DIR_MODIFIED,
    sync_all = KW_SYNC_ALL,
    initial = KW_INITIAL,
    expanded = KW_EXPANDED,
    dirs_only = KW_DIRS_ONLY,
    one_device = KW_ONE_DEVICE,
    skip_hidden = KW_SKIP_HIDDEN,
    gitignore = KW_GITIGNORE,
    allow_missing = KW_ALLOW_MISSING,
};

namespace detail {

template <class Enum>
struct is_bitmask : std::false_type {};
template <>
struct is_bitmask<event_kind> : std::true_type {};
template <>
struct is_bitmask<open_flags> : std::true_type {};
template <>
struct is_bitmask<watch_flags> : std::true_type {};

template <class Enum>
using if_bitmask = std::enable_if_t<is_bitmask<Enum>::value, Enum>;

template <class Enum>
constexpr std::uint32_t bits(Enum set) noexcept
{
    return static_cast<std::uint32_t>(set);
}

} // namespace detail

template <class Enum>
constexpr detail::if_bitmask<Enum> operator|(Enum a, Enum b) noexcept
{
    return Enum{detail::bits(a) | detail::bits(b)};
}

template <class Enum>
constexpr detail::if_bitmask<Enum> operator&(Enum a, Enum b) noexcept
{
    return Enum{detail::bits(a) & detail::bits(b)};
}

template <class Enum>
constexpr detail::if_bitmask<Enum> operator^(Enum a, Enum b) noexcept
{
    return Enum{detail::bits(a) ^ detail::bits(b)};
}

template <class Enum>
constexpr detail::if_bitmask<Enum> operator~(Enum a) noexcept
{
    return Enum{~detail::bits(a)};
}

template <class Enum>
constexpr detail::if_bitmask<Enum> &operator|=(Enum &a, Enum b) noexcept
{
    return a = a | b;
}

template <class Enum>
constexpr detail::if_bitmask<Enum> &operator&=(Enum &a, Enum b) noexcept
{
    return a = a & b;
}

template <class Enum>
constexpr detail::if_bitmask<Enum> &operator^=(Enum &a, Enum b) noexcept
{
    return a = a ^ b;
}

/// "created", "root_gone", ...; "unknown" for a kind of a later library or a set.
constexpr std::string_view to_string(event_kind kind) noexcept
{
    switch (kind) {
    case event_kind::created:
        return "created";
    case event_kind::deleted:
        return "deleted";
    case event_kind::modified:
        return "modified";
    case event_kind::attrib:
        return "attrib";
    case event_kind::moved:
        return "moved";
    case event_kind::rescanned:
        return "rescanned";
    case event_kind::root_gone:
        return "root_gone";
    case event_kind::root_back:
        return "root_back";
    case event_kind::unmounted:
        return "unmounted";
    case event_kind::degraded:
        return "degraded";
    case event_kind::error:
        return "error";
    case event_kind::ready:
        return "ready";
    }
    return "unknown";
}

/// Names a watch within its watcher. Never used twice; watch_id{} names none.
enum class watch_id : kw_watch {};

/// For set_watch_limit() and options::watch_limit: as many as are to be had.
inline constexpr std::uint64_t no_limit = KW_NO_LIMIT;

/// For poll(): no time limit.
inline constexpr std::chrono::milliseconds forever = std::chrono::milliseconds::max();

/// A modification time. What C++20 calls std::chrono::sys_time<std::chrono::nanoseconds>.
using time_point = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

// --- Options ----------------------------------------------------------------------------

/// How a watcher is to be opened. Zeros are the defaults; kw_options of kw.h says what
/// they are, and what each is good for.
struct options {
    open_flags flags = open_flags::none;

    /// How often some of what is polled is looked at.
    std::chrono::milliseconds poll_interval{0};

    /// How many looks are made each time at most.
    std::uint32_t poll_looks = 0;

    /// How many kernel watches there may be. 0 is no limit but the system's, as no_limit is.
    std::uint64_t watch_limit = 0;

    /// How many descriptors watching leaves free for the rest of the process.
    std::uint32_t descriptor_reserve = 0;

    /// How many threads may take part in the crawl of a large tree.
    std::uint32_t crawl_threads = 0;

    /// How many events poll() returns at most: the watcher has room for so many, of some
    /// 120 bytes each. 0 is 256; more than 65536 are taken as that.
    std::uint32_t batch = 0;

    /// For tests of a program: what is to go wrong, a script as kw.h says. Empty: nothing.
    std::string faults = {};
};

/// How a path is to be watched; kw_watch_options of kw.h says what each is good for. With
/// C++20
///
///     w.add("src", {.flags = kw::watch_flags::recursive,
///                   .events = kw::event_kind::created | kw::event_kind::moved,
///                   .exclude = {".git", "*.o", "build/"}});
struct watch_options {
    watch_flags flags = watch_flags::none;

    /// Which kinds of events are wanted. The stream replays only with all of them.
    event_kind events = all_events;

    /// Patterns of what does not exist for this watch; see FILTERS in kw.h.
    std::vector<std::string> exclude = {};

    /// If there are any: what is no directory and matches none of these does not exist either.
    std::vector<std::string> include = {};

    /// How many levels of entries there are below the root; 0 is no limit.
    std::uint32_t depth = 0;

    /// What happens is reported when nothing has happened for so long; 0 is at once.
    std::chrono::milliseconds settle{0};

    /// But so long after something has happened at the latest; 0 is ten times `settle`.
    std::chrono::milliseconds settle_max{0};

    /// A file of watcher::save(): what has changed since then is reported first. Empty: none.
    std::filesystem::path since = {};
};

// --- Events -----------------------------------------------------------------------------

/// One event: a view of a kw_event. A copy of it is another view of the same, and no longer
/// valid than that; see LIFETIME above.
class event {
public:
    /// Of `*raw`, which the event does not own.
    explicit event(const kw_event *raw) noexcept : raw_(raw) {}

    event_kind kind() const noexcept { return event_kind{raw_->kind}; }

    /// The watch it belongs to.
    watch_id watch() const noexcept { return watch_id{raw_->watch}; }

    bool is_directory() const noexcept { return has(KW_IS_DIR); }
    bool is_symlink() const noexcept { return has(KW_IS_SYMLINK); }

    /// With event_kind::modified: the name belongs to another file now (an atomic save).
    bool is_replaced() const noexcept { return has(KW_REPLACED); }

    /// It was there when the watch was added; see watch_flags::initial.
    bool is_initial() const noexcept { return has(KW_INITIAL); }

    /// With event_kind::moved: it has moved with a directory above it, whose event came before;
    /// see watch_flags::expanded.
    bool is_expanded() const noexcept { return has(KW_EXPANDED); }

    /// Where it happened: begins with the root as it was given to add(). A name is bytes, as
    /// the system has them. A NUL follows, so that data() is a C string.
    std::string_view path_view() const noexcept { return {raw_->path, raw_->path_len}; }

    /// The same relative to the root; empty for the root itself.
    std::string_view relative_view() const noexcept { return relative(path_view()); }

    /// event_kind::moved: where to. Else empty, with a data() of nullptr.
    std::string_view dest_view() const noexcept { return {raw_->dest, raw_->dest_len}; }

    /// The same relative to the root.
    std::string_view relative_dest_view() const noexcept { return relative(dest_view()); }

    std::filesystem::path path() const { return path_view(); }
    std::filesystem::path relative_path() const { return relative_view(); }
    std::filesystem::path dest() const { return dest_view(); }
    std::filesystem::path relative_dest() const { return relative_dest_view(); }

    /// In bytes, as last seen; 0 for what is gone.
    std::uint64_t size() const noexcept { return raw_->size; }

    /// Modification time as last seen; the epoch for what is gone.
    time_point mtime() const noexcept
    {
        return time_point(std::chrono::nanoseconds(raw_->mtime_ns));
    }

    /// Entries with equal device and inode are hard links.
    std::uint64_t inode() const noexcept { return raw_->inode; }
    std::uint64_t device() const noexcept { return raw_->device; }

    /// event_kind::error: why the entry could not be read, in std::system_category(). Else
    /// zero.
    std::error_code error() const noexcept { return {raw_->error, std::system_category()}; }

    /// event_kind::degraded: how many entries are polled, 0 if none is any more. Else 0.
    std::uint64_t count() const noexcept { return raw_->count; }

    /// 1, 2, 3, ... within the watcher.
    std::uint64_t sequence() const noexcept { return raw_->sequence; }

    /// All of it, as C has it.
    const kw_event &raw() const noexcept { return *raw_; }

private:
    bool has(std::uint32_t flag) const noexcept { return (raw_->flags & flag) != 0; }

    std::string_view relative(std::string_view whole) const noexcept
    {
        return whole.size() < raw_->root_len ? std::string_view() : whole.substr(raw_->root_len);
    }

    const kw_event *raw_;
};

class watcher;

/// What one poll() returned: a random-access range of event. Itself a view, valid as long
/// as its events are.
class events {
public:
    class iterator {
    public:
        using value_type = event;
        using difference_type = std::ptrdiff_t;
        using reference = event;
        // Of C++17's categories this is all that something without real references may be.
        using iterator_category = std::input_iterator_tag;
#if defined(__cpp_lib_ranges)
        using iterator_concept = std::random_access_iterator_tag;
#endif
        /// Keeps the event that `->` is about.
        class pointer {
        public:
            explicit pointer(event e) noexcept : event_(e) {}
            const event *operator->() const noexcept { return &event_; }

        private:
            event event_;
        };

        iterator() noexcept = default;
        explicit iterator(const kw_event *at) noexcept : at_(at) {}

        event operator*() const noexcept { return event(at_); }
        pointer operator->() const noexcept { return pointer(event(at_)); }
        event operator[](difference_type n) const noexcept { return event(at_ + n); }

        iterator &operator++() noexcept { return *this += 1; }
        iterator operator++(int) noexcept { return iterator(at_++); }
        iterator &operator--() noexcept { return *this -= 1; }
        iterator operator--(int) noexcept { return iterator(at_--); }

        iterator &operator+=(difference_type n) noexcept
        {
            at_ += n;
            return *this;
        }
        iterator &operator-=(difference_type n) noexcept
        {
            at_ -= n;
            return *this;
        }

        friend iterator operator+(iterator i, difference_type n) noexcept { return i += n; }
        friend iterator operator+(difference_type n, iterator i) noexcept { return i += n; }
        friend iterator operator-(iterator i, difference_type n) noexcept { return i -= n; }
        friend difference_type operator-(iterator a, iterator b) noexcept
        {
            return a.at_ - b.at_;
        }

        friend bool operator==(iterator a, iterator b) noexcept { return a.at_ == b.at_; }
        friend bool operator!=(iterator a, iterator b) noexcept { return a.at_ != b.at_; }
        friend bool operator<(iterator a, iterator b) noexcept { return a.at_ < b.at_; }
        friend bool operator>(iterator a, iterator b) noexcept { return b < a; }
        friend bool operator<=(iterator a, iterator b) noexcept { return !(b < a); }
        friend bool operator>=(iterator a, iterator b) noexcept { return !(a < b); }

    private:
        const kw_event *at_ = nullptr;
    };

    using const_iterator = iterator;
    using value_type = event;
    using reference = event;
    using const_reference = event;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;

    /// None, and not caught_up().
    events() noexcept = default;

    /// `result` is what kw_poll() returned, `first` the array that it filled in.
    events(const kw_event *first, int result) noexcept : first_(first), result_(result) {}

    iterator begin() const noexcept { return iterator(first_); }
    iterator end() const noexcept { return begin() + static_cast<std::ptrdiff_t>(size()); }

    size_type size() const noexcept { return result_ > 0 ? static_cast<size_type>(result_) : 0; }
    [[nodiscard]] bool empty() const noexcept { return result_ <= 0; }

    event operator[](size_type n) const noexcept { return event(first_ + n); }
    event front() const noexcept { return event(first_); }
    event back() const noexcept { return event(first_ + (size() - 1)); }

    /// The size() events as C has them.
    const kw_event *data() const noexcept { return first_; }

    /// There was none, and everything that had happened before the call has been delivered.
    bool caught_up() const noexcept { return result_ == 0; }

    /// There was none because a signal was caught. Nothing is lost, and nothing is said of
    /// what has been delivered.
    bool interrupted() const noexcept { return result_ == KW_E_INTERRUPTED; }

private:
    friend watcher;

    bool failed() const noexcept { return result_ < 0 && !interrupted(); }

    const kw_event *first_ = nullptr;
    int result_ = KW_E_INVALID;
};

/// What watcher::changes() returns: an input range of event that waits for each of them. It
/// is good for one loop.
class changes_range {
public:
    class iterator {
    public:
        using value_type = event;
        using difference_type = std::ptrdiff_t;
        using reference = event;
        using pointer = events::iterator::pointer;
        using iterator_category = std::input_iterator_tag;

        /// The end.
        iterator() noexcept = default;

        event operator*() const noexcept { return event(&range_->event_); }
        pointer operator->() const noexcept { return pointer(**this); }

        iterator &operator++()
        {
            if (!range_->next())
                range_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }

        friend bool operator==(const iterator &a, const iterator &b) noexcept
        {
            return a.range_ == b.range_;
        }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return !(a == b); }

    private:
        friend changes_range;
        explicit iterator(changes_range *range) noexcept : range_(range) {}

        changes_range *range_ = nullptr;
    };

    changes_range(const changes_range &) = delete;
    changes_range &operator=(const changes_range &) = delete;

    /// Waits for the first event.
    iterator begin()
    {
        iterator first(this);
        return ++first;
    }
    iterator end() noexcept { return {}; }

private:
    friend watcher;
    changes_range(watcher &w, std::error_code *ec) noexcept : watcher_(w), ec_(ec)
    {
        if (ec_ != nullptr)
            ec_->clear();
    }

    /// Waits for the next event; false at the end.
    bool next();

    watcher &watcher_;
    std::error_code *ec_; // nullptr: throw
    kw_event event_{};
};

// --- The watcher --------------------------------------------------------------------------

namespace detail {

struct closer {
    void operator()(kw_handle *handle) const noexcept { kw_free(handle); }
};

/// What a call came to: a status as in kw.h and, if it is not the library that refused but
/// this header, why.
struct outcome {
    int status;
    const char *refused = nullptr;
};

/// What kw_poll() takes.
template <class Rep, class Period>
int timeout_ms(const std::chrono::duration<Rep, Period> &timeout) noexcept
{
    using real_ms = std::chrono::duration<double, std::milli>;
    const double ms = std::chrono::duration_cast<real_ms>(timeout).count();
    if (!(ms > 0))
        return 0;
    if (ms > INT_MAX)
        return -1;
    const int whole = static_cast<int>(ms);
    return whole < ms ? whole + 1 : whole;
}

/// Milliseconds as the options have them; false if they are too many, or less than none.
inline bool option_ms(std::chrono::milliseconds from, std::uint32_t &to) noexcept
{
    to = static_cast<std::uint32_t>(from.count());
    return std::chrono::milliseconds(to) == from;
}

/// What C would take for the end.
inline bool has_nul(std::string_view text) noexcept
{
    return text.find('\0') != std::string_view::npos;
}

/// Patterns as the options have them.
class patterns {
public:
    /// False if one of them has a NUL. The strings are to live as long as this.
    bool take(const std::vector<std::string> &from)
    {
        if (from.empty())
            return true;
        strings_.reserve(from.size() + 1);
        for (const std::string &pattern : from) {
            if (has_nul(pattern))
                return false;
            strings_.push_back(pattern.c_str());
        }
        strings_.push_back(nullptr);
        return true;
    }

    const char *const *get() const noexcept
    {
        return strings_.empty() ? nullptr : strings_.data();
    }

private:
    std::vector<const char *> strings_;
};

inline std::error_code code_of(int status, int sys_errno) noexcept
{
    if (status >= KW_OK)
        return {};
    if (status == KW_E_SYSTEM && sys_errno != 0)
        return {sys_errno, std::system_category()};
    return static_cast<errc>(status);
}

/// What the library keeps of a handle's last error.
inline kw_error details_of(const kw_handle *handle) noexcept
{
    kw_error details = KW_ERROR_INIT;
    // Of a call without a handle it is kept for the thread; so it is of a call on a handle
    // of the parent process, and then the handle cannot be asked.
    if (handle == nullptr || kw_last_error(handle, &details) < 0)
        kw_last_error(nullptr, &details);
    return details;
}

/// The code for what a function of kw.h has returned.
inline std::error_code code_of(const kw_handle *handle, int status) noexcept
{
    int sys_errno = 0;
    if (status == KW_E_SYSTEM) { // No other is in want of it.
        const kw_error details = details_of(handle);
        // If it is of another status, another thread's call has failed since.
        sys_errno = details.status == status ? details.sys_errno : 0;
    }
    return code_of(status, sys_errno);
}

inline error error_of(const kw_error &details)
{
    return error(code_of(details.status, details.sys_errno), details.operation, details.path,
                 details.sys_errno);
}

#if defined(__cpp_exceptions)
[[noreturn]] inline void fail(const kw_handle *handle, outcome failed, const char *operation,
                              const std::filesystem::path &path = {})
{
    if (failed.refused != nullptr)
        throw error(code_of(failed.status, 0), failed.refused, path);
    const kw_error details = details_of(handle);
    if (details.status == failed.status)
        throw error_of(details);
    // Another thread's call on this handle has failed since.
    throw error(code_of(failed.status, 0), operation, path);
}
#endif

} // namespace detail

/// An open handle. It moves and is not copied. What has been moved from has no handle: every
/// call on it fails with kw::errc::invalid, and it can be destroyed and assigned to.
///
/// In a process forked from the one that opened it every call fails with kw::errc::forked,
/// and the destructor does nothing.
class watcher {
public:
#if defined(__cpp_exceptions)
    /// Opens a handle; see kw_open().
    watcher() : watcher(options{}) {}
    explicit watcher(const options &how)
    {
        const detail::outcome opened = try_open(how);
        if (opened.status < 0)
            detail::fail(nullptr, opened, "open");
    }
#endif

    /// Opens a handle; see kw_open(). On failure there is none.
    watcher(const options &how, std::error_code &ec) noexcept
    {
        ec = detail::code_of(nullptr, try_open(how).status);
    }

    /// Has no handle, and is there to be assigned to.
    explicit watcher(std::nullptr_t) noexcept {}

    /// Takes over a handle of kw_open(). `batch` is as in options.
    explicit watcher(kw_handle *handle, std::uint32_t batch = 0)
        : room_(room(batch)), events_(new kw_event[room_]), handle_(handle)
    {
    }

    watcher(watcher &&other) noexcept
        : room_(std::exchange(other.room_, 0)), events_(std::move(other.events_)),
          handle_(std::move(other.handle_)), stopped_(other.stopped_.exchange(false))
    {
    }

    watcher &operator=(watcher &&other) noexcept
    {
        watcher taken(std::move(other));
        swap(taken);
        return *this;
    }

    ~watcher() = default;

    void swap(watcher &other) noexcept
    {
        std::swap(room_, other.room_);
        std::swap(events_, other.events_);
        std::swap(handle_, other.handle_);
        stopped_.store(other.stopped_.exchange(stopped_.load()));
    }
    friend void swap(watcher &a, watcher &b) noexcept { a.swap(b); }

    /// Whether it has a handle.
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    /// For what is in kw.h. It remains the watcher's.
    kw_handle *handle() const noexcept { return handle_.get(); }

    /// Gives the handle away, to someone who will call kw_free().
    [[nodiscard]] kw_handle *release() noexcept { return handle_.release(); }

    /// Watches a directory or a file, and returns when the tree has been crawled: what
    /// changes from then on is reported. See kw_add().
    ///
    /// wake() and stop() end a crawl, too, if no thread is in poll(): then nothing has been
    /// added, which is kw::errc::interrupted.
    watch_id add(const std::filesystem::path &path, const watch_options &how,
                 std::error_code &ec)
    {
        watch_id id{};
        ec = detail::code_of(handle(), try_add(path, how, id).status);
        return id; // watch_id{} on failure
    }
    watch_id add(const std::filesystem::path &path, watch_flags flags, std::error_code &ec)
    {
        return add(path, only(flags), ec);
    }
    watch_id add(const std::filesystem::path &path, std::error_code &ec)
    {
        return add(path, watch_options{}, ec);
    }

    /// Ends a watch. None of its events are delivered after this returns. See kw_remove().
    void remove(watch_id id, std::error_code &ec) noexcept
    {
        ec = detail::code_of(handle(), kw_remove(handle(), static_cast<kw_watch>(id)));
    }

    /// Writes what is known of a watch to a file, so that an add() with that as
    /// watch_options::since reports what has changed in between. Fails with kw::errc::busy if
    /// events wait to be delivered: call it when poll() was caught_up(). See kw_save().
    void save(watch_id id, const std::filesystem::path &file, std::error_code &ec) noexcept
    {
        ec = detail::code_of(handle(), try_save(id, file).status);
    }

    /// Fetches events, at most options::batch of them, and waits for the first of them no
    /// longer than `timeout`: 0 or less looks and does not wait. It is rounded up to
    /// milliseconds; more than INT_MAX of these (24 days), as `forever` is, are no limit. See
    /// kw_poll().
    ///
    /// Returns none when time was up or wake() was called (then events::caught_up() is true),
    /// when a signal was caught, which is no error (events::interrupted()), and on failure.
    ///
    /// In an event loop: when fd() is readable, poll with a timeout of 0 until it is
    /// caught_up().
    template <class Rep, class Period>
    [[nodiscard]] events poll(const std::chrono::duration<Rep, Period> &timeout,
                              std::error_code &ec) noexcept
    {
        const events found = fetch(detail::timeout_ms(timeout));
        ec = found.failed() ? detail::code_of(handle(), found.result_) : std::error_code();
        return found;
    }

    /// A range for a loop over all that happens. It waits for each event, does not mind
    /// signals, and ends when stop() is called, or with `ec` set.
    ///
    /// It fetches one event at a time, so that `break` leaves the others for the next loop, or
    /// for poll(). Many at once, as poll() fetches them, take about a microsecond less each.
    changes_range changes(std::error_code &ec) noexcept { return {*this, &ec}; }

    /// Ends the loop over changes() that is under way, before its next event; or else the next
    /// such loop. May be called from any thread and in a signal handler.
    void stop() noexcept
    {
        stopped_.store(true);
        wake();
    }

    /// Lets poll() return at once: the call that another thread is in, or else the next one,
    /// with events if there are some. (So who waits for the end looks at a flag of its own.)
    /// If no thread is in poll(), it ends an add() that crawls.
    /// May be called from any thread and in a signal handler. False if there is nothing to
    /// wake: there is no handle, or it is the parent process's, or has failed. See kw_wake().
    bool wake() noexcept { return kw_wake(handle()) == KW_OK; }

    /// Has everything that is polled looked at, so that poll(), called until it is caught_up(),
    /// delivers what happened to that, too. See kw_sync().
    void sync(std::error_code &ec) noexcept
    {
        ec = detail::code_of(handle(), kw_sync(handle(), 0));
    }

    /// A descriptor that is readable when poll() has something to do, for an event loop; the
    /// same for the life of the handle; not to be read from or closed. See kw_fd().
    int fd(std::error_code &ec) const noexcept
    {
        const int number = kw_fd(handle());
        ec = detail::code_of(handle(), number);
        return number < 0 ? -1 : number;
    }

    /// The handle's health. See kw_stats.
    kw_stats stats(std::error_code &ec) const noexcept
    {
        kw_stats now = KW_STATS_INIT;
        ec = detail::code_of(handle(), kw_stats_get(handle(), &now));
        return now;
    }

    /// Sets how many kernel watches there may be: no_limit, or 0 to have everything polled, or
    /// a number. See kw_set_watch_limit().
    void set_watch_limit(std::uint64_t limit, std::error_code &ec) noexcept
    {
        ec = detail::code_of(handle(), kw_set_watch_limit(handle(), limit));
    }

    /// The details of the last call on this handle that failed, in whatever thread; if there is
    /// no handle, of this thread's last one that had none, opening above all. Its code() is
    /// zero if none has failed. Not of what std::error_code says without the library having
    /// been asked: a NUL in a path, times that are out of range. See kw_last_error().
    error last_error() const { return detail::error_of(detail::details_of(handle())); }

#if defined(__cpp_exceptions)
    // The same, throwing kw::error.

    watch_id add(const std::filesystem::path &path, const watch_options &how = {})
    {
        watch_id id{};
        const detail::outcome added = try_add(path, how, id);
        if (added.status < 0)
            detail::fail(handle(), added, "watch", path);
        return id;
    }
    watch_id add(const std::filesystem::path &path, watch_flags flags)
    {
        return add(path, only(flags));
    }

    void remove(watch_id id)
    {
        check(kw_remove(handle(), static_cast<kw_watch>(id)), "remove a watch");
    }

    void save(watch_id id, const std::filesystem::path &file)
    {
        const detail::outcome saved = try_save(id, file);
        if (saved.status < 0)
            detail::fail(handle(), saved, "save", file);
    }

    template <class Rep, class Period>
    [[nodiscard]] events poll(const std::chrono::duration<Rep, Period> &timeout)
    {
        const events found = fetch(detail::timeout_ms(timeout));
        if (found.failed())
            detail::fail(handle(), {found.result_}, "poll");
        return found;
    }

    changes_range changes() noexcept { return {*this, nullptr}; }

    void sync() { check(kw_sync(handle(), 0), "sync"); }

    int fd() const { return check(kw_fd(handle()), "fd"); }

    kw_stats stats() const
    {
        kw_stats now = KW_STATS_INIT;
        check(kw_stats_get(handle(), &now), "stats");
        return now;
    }

    void set_watch_limit(std::uint64_t limit)
    {
        check(kw_set_watch_limit(handle(), limit), "set the watch limit");
    }
#endif

private:
    friend changes_range;

    static std::uint32_t room(std::uint32_t batch) noexcept
    {
        const std::uint32_t most = 65536;
        return batch == 0 ? 256 : batch < most ? batch : most;
    }

    static watch_options only(watch_flags flags)
    {
        watch_options how;
        how.flags = flags;
        return how;
    }

    detail::outcome try_open(const options &how) noexcept
    {
        kw_options c{};
        c.size = sizeof c;
        c.flags = detail::bits(how.flags);
        if (!detail::option_ms(how.poll_interval, c.poll_interval_ms))
            return {KW_E_INVALID, "open: poll_interval is out of range"};
        c.watch_limit = how.watch_limit;
        c.descriptor_reserve = how.descriptor_reserve;
        c.poll_looks = how.poll_looks;
        c.crawl_threads = how.crawl_threads;
        if (detail::has_nul(how.faults))
            return {KW_E_INVALID, "open: a NUL in faults"};
        if (!how.faults.empty())
            c.faults = how.faults.c_str();

        room_ = room(how.batch);
        events_.reset(new (std::nothrow) kw_event[room_]);
        if (events_ == nullptr)
            return {KW_E_LIMIT, "open: no memory for events"};
        kw_handle *handle = nullptr;
        const int status = kw_open(&c, &handle);
        handle_.reset(handle);
        return {status};
    }

    detail::outcome try_add(const std::filesystem::path &path, const watch_options &how,
                            watch_id &id)
    {
        if (detail::has_nul(path.native()))
            return {KW_E_INVALID, "watch: a NUL in the path"};
        if (detail::has_nul(how.since.native()))
            return {KW_E_INVALID, "watch: a NUL in since"};
        detail::patterns exclude, include;
        if (!exclude.take(how.exclude) || !include.take(how.include))
            return {KW_E_INVALID, "watch: a NUL in a pattern"};

        kw_watch_options c{};
        c.size = sizeof c;
        c.flags = detail::bits(how.flags);
        c.events = detail::bits(how.events);
        c.exclude = exclude.get();
        c.include = include.get();
        c.depth = how.depth;
        if (!detail::option_ms(how.settle, c.settle_ms) ||
            !detail::option_ms(how.settle_max, c.settle_max_ms))
            return {KW_E_INVALID, "watch: settle is out of range"};
        if (!how.since.empty())
            c.since = how.since.c_str();

        kw_watch number = 0;
        const int status = kw_add(handle(), path.c_str(), &c, &number);
        id = watch_id{number};
        return {status};
    }

    detail::outcome try_save(watch_id id, const std::filesystem::path &file) noexcept
    {
        if (detail::has_nul(file.native()))
            return {KW_E_INVALID, "save: a NUL in the path"};
        return {kw_save(handle(), static_cast<kw_watch>(id), file.c_str())};
    }

    events fetch(int timeout_ms) noexcept
    {
        return events(events_.get(), kw_poll(handle(), events_.get(), room_, timeout_ms));
    }

#if defined(__cpp_exceptions)
    int check(int status, const char *operation) const
    {
        if (status < 0)
            detail::fail(handle(), {status}, operation);
        return status;
    }
#endif

    static_assert(std::atomic<bool>::is_always_lock_free, "stop() is called in signal handlers");

    std::uint32_t room_ = 0;
    std::unique_ptr<kw_event[]> events_;
    // After what can fail: a handle that was not taken over is still the caller's.
    std::unique_ptr<kw_handle, detail::closer> handle_;
    std::atomic<bool> stopped_{false};
};

inline bool changes_range::next()
{
    for (;;) {
        if (watcher_.stopped_.exchange(false))
            return false;
        const int n = kw_poll(watcher_.handle(), &event_, 1, -1);
        if (n > 0)
            return true;
        // Woken or interrupted. Who wants the loop to end calls stop().
        if (n == 0 || n == KW_E_INTERRUPTED)
            continue;
#if defined(__cpp_exceptions)
        if (ec_ == nullptr)
            detail::fail(watcher_.handle(), {n}, "poll");
#endif
        *ec_ = detail::code_of(watcher_.handle(), n);
        return false;
    }
}

/// The version of the library that is running, like "0.1.0".
inline const char *version() noexcept { return kw_version(); }

} // namespace kw

#if defined(__cpp_lib_ranges)
template <>
inline constexpr bool std::ranges::enable_view<kw::events> = true;
template <>
inline constexpr bool std::ranges::enable_borrowed_range<kw::events> = true;
#endif

#endif
