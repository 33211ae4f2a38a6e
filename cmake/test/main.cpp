// Watches the directory that is its argument, makes a file in it, and prints what it is told
// of that.
#include <kw.hpp>

#include <fstream>
#include <iostream>

int main(int argc, char **argv)
try {
    if (argc != 2)
        return 2;
    kw::watcher watcher;
    watcher.add(argv[1]);
    std::ofstream(std::filesystem::path(argv[1]) / "made").close();
    for (;;) {
        const kw::events events = watcher.poll(std::chrono::seconds(0));
        if (events.caught_up())
            return 0;
        for (const kw::event &e : events)
            std::cout << std::hex << static_cast<unsigned>(e.kind()) << ' ' << e.relative_view()
                      << '\n';
    }
} catch (const kw::error &e) {
    std::cerr << e.what() << '\n';
    return 1;
}
