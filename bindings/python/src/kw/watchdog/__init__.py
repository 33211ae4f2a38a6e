"""In place of the package watchdog: the same names, over libkw.

    from kw.watchdog.observers import Observer
    from kw.watchdog.events import FileSystemEventHandler

What watchdog tells of files that are opened and closed is not told here: libkw watches what
a tree holds, not who reads it.
"""
