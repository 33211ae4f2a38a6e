// Prints what changes below a directory: the smallest complete program in C++.
// c++ -std=c++17 minimal.cpp $(pkg-config --cflags --libs kw) -o minimal && ./minimal DIR
#include <kw.hpp>
#include <iostream>

int main(int argc, char **argv)
try {
    kw::watcher watcher;
    watcher.add(argc > 1 ? argv[1] : ".", kw::watch_flags::recursive);
    for (const kw::event &e : watcher.changes()) {
        std::cout << kw::to_string(e.kind()) << ' ' << e.path_view();
        if (e.kind() == kw::event_kind::moved)
            std::cout << " -> " << e.dest_view();
        std::cout << std::endl;
    }
} catch (const kw::error &e) {
    std::cerr << "minimal: " << e.what() << '\n';
    return 1;
}
