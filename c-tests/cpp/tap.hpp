// tap.hpp - the Test Anything Protocol, a directory to test in, and events as text.
//
// No test sleeps until "the event must have come": a poll that is caught_up() says that
// everything before it has been delivered.
#ifndef TAP_HPP
#define TAP_HPP

#include <kw.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include <unistd.h>

namespace fs = std::filesystem;

namespace tap {

inline int count = 0, failures = 0;

inline bool ok(bool passed, std::string_view label)
{
    failures += !passed;
    std::cout << (passed ? "ok " : "not ok ") << ++count << " - " << label << std::endl;
    if (!passed)
        std::cerr << "# failed: " << label << std::endl;
    return passed;
}

template <class Got, class Want>
bool is(const Got &got, const Want &want, std::string_view label)
{
    const bool passed = ok(got == want, label);
    if (!passed) {
        std::ostringstream text;
        text << "got:\n" << got << "\nwant:\n" << want;
        std::istringstream lines(text.str());
        for (std::string line; std::getline(lines, line);)
            std::cerr << "# " << line << '\n';
    }
    return passed;
}

inline void skip(std::string_view label, std::string_view why)
{
    std::cout << "ok " << ++count << " - " << label << " # SKIP " << why << std::endl;
}

[[noreturn]] inline void die(std::string_view what)
{
    std::cout << "not ok " << ++count << " - cannot go on: " << what << std::endl;
    std::_Exit(EXIT_FAILURE);
}

inline int done()
{
    std::cout << "1.." << count << std::endl;
    return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

// A fresh directory that is the current one, with `tree` in it, until it goes.
class sandbox {
public:
    sandbox()
    {
        std::string name = fs::canonical(fs::temp_directory_path()) / "libkw-XXXXXX";
        if (mkdtemp(name.data()) == nullptr)
            die("mkdtemp");
        home_ = name;
        fs::current_path(home_);
        fs::create_directory("tree");
        alarm(60); // A test that hangs has failed.
    }
    sandbox(const sandbox &) = delete;
    sandbox &operator=(const sandbox &) = delete;
    ~sandbox()
    {
        std::error_code ec;
        fs::current_path("/", ec);
        fs::remove_all(home_, ec);
    }

private:
    fs::path home_;
};

inline void write(const fs::path &path, std::string_view text)
{
    std::ofstream file(path, std::ios::binary);
    if (!(file << text).flush())
        die("write");
}

// Gives a file a time long past. One that moves right after it was written to may be told as
// moved and as modified, where times cannot rule out another write.
inline void age(const fs::path &path)
{
    fs::last_write_time(path, fs::last_write_time(path) - std::chrono::hours(1000));
}

// An event as a line: "moved d/f -> e/f", "modified|replaced f", "created l@"; "." is the root.
inline std::string line(const kw::event &e)
{
    std::string text(to_string(e.kind()));
    if (e.is_replaced())
        text += "|replaced";
    if (e.is_initial())
        text += "|initial";
    const auto name = [&e](std::string_view path) {
        return (path.empty() ? "." : std::string(path)) +
               (e.is_directory() ? "/" : e.is_symlink() ? "@" : "");
    };
    text += ' ' + name(e.relative_view());
    if (e.dest_view().data() != nullptr)
        text += " -> " + name(e.relative_dest_view());
    return text;
}

// All there is to be had, one event a line; anything else than events is an error.
inline std::string drain(kw::watcher &w)
{
    std::string text;
    for (std::error_code ec;;) {
        const kw::events found = w.poll(std::chrono::seconds(0), ec);
        if (ec)
            return text + "poll: " + ec.message() + '\n';
        if (found.caught_up())
            return text;
        for (const kw::event &e : found)
            text += line(e) + '\n';
    }
}

// The lines in order, where that of the events is open.
inline std::string sorted(const std::string &text)
{
    std::multiset<std::string> all;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        all.insert(line + '\n');
    return std::accumulate(all.begin(), all.end(), std::string());
}

} // namespace tap

#endif
