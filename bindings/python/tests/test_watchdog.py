"""Programs that were written for watchdog, with nothing but their imports changed."""

import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import unittest

from kw.watchdog.events import (
    DirCreatedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEventHandler,
    PatternMatchingEventHandler,
    RegexMatchingEventHandler,
)
from kw.watchdog.observers import Observer

QUICKSTART = '''
import sys
import time

from {package}.events import FileSystemEvent, FileSystemEventHandler
from {package}.observers import Observer


class MyEventHandler(FileSystemEventHandler):
    def on_any_event(self, event: FileSystemEvent) -> None:
        print(event, flush=True)


event_handler = MyEventHandler()
observer = Observer()
observer.schedule(event_handler, ".", recursive=True)
observer.start()
print("started", flush=True)
try:
    while True:
        time.sleep(1)
finally:
    observer.stop()
    observer.join()
'''

LOGGING = '''
import sys
import logging
from {package}.observers import Observer
from {package}.events import LoggingEventHandler

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
path = sys.argv[1] if len(sys.argv) > 1 else "."
event_handler = LoggingEventHandler()
observer = Observer()
observer.schedule(event_handler, path, recursive=True)
observer.start()
print("started", flush=True)
try:
    while observer.is_alive():
        observer.join(1)
finally:
    observer.stop()
    observer.join()
'''


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.root = os.path.realpath(tempfile.mkdtemp())

    def tearDown(self):
        shutil.rmtree(self.root)

    def write(self, name):
        """An empty file: one that has content may be seen before it has."""
        with open(os.path.join(self.root, name), "w"):
            pass


class Programs(Sandbox):
    def start(self, program):
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", program.format(package="kw.watchdog")],
            cwd=self.root,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "started\n")
        return process

    def lines(self, process, last):
        """What is printed until a line begins so."""
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith(last):
                return lines
        self.fail(f"{last!r} was not printed: {lines}")

    def test_the_quick_start_program(self):
        process = self.start(QUICKSTART)
        self.write("f")
        lines = self.lines(process, "DirModifiedEvent")
        self.assertEqual(
            lines,
            [
                "FileCreatedEvent(src_path='./f', dest_path='', event_type='created', "
                "is_directory=False, is_synthetic=False)",
                "DirModifiedEvent(src_path='.', dest_path='', event_type='modified', "
                "is_directory=True, is_synthetic=False)",
            ],
        )
        os.rename(os.path.join(self.root, "f"), os.path.join(self.root, "g"))
        self.assertEqual(
            self.lines(process, "DirModifiedEvent")[0],
            "FileMovedEvent(src_path='./f', dest_path='./g', event_type='moved', "
            "is_directory=False, is_synthetic=False)",
        )

    def test_the_program_that_logs(self):
        process = self.start(LOGGING)
        os.makedirs(os.path.join(self.root, "d"))
        self.assertEqual(self.lines(process, "Modified"), ["Created directory: ./d", "Modified directory: ."])
        self.write("d/f")
        self.assertEqual(self.lines(process, "Modified"), ["Created file: ./d/f", "Modified directory: ./d"])
        os.rename(os.path.join(self.root, "d"), os.path.join(self.root, "e"))
        self.assertEqual(
            self.lines(process, "Modified"),
            [
                "Moved directory: from ./d to ./e",
                "Moved file: from ./d/f to ./e/f",
                "Modified directory: .",
            ],
        )
        os.remove(os.path.join(self.root, "e", "f"))
        self.assertEqual(self.lines(process, "Modified"), ["Deleted file: ./e/f", "Modified directory: ./e"])


class Observers(Sandbox):
    def told(self, handler_type=None, **options):
        told = queue.Queue()

        class Handler(handler_type or FileSystemEventHandler):
            def on_any_event(self, event):
                told.put(event)

        return Handler(**options), told

    def test_handlers_and_filters(self):
        everything, all_ = self.told()
        created, some = self.told()
        with Observer() as observer:
            watch = observer.schedule(everything, self.root, recursive=True)
            observer.schedule(created, self.root, recursive=True, event_filter=[FileCreatedEvent])
            os.mkdir(os.path.join(self.root, "d"))
            self.write("d/f")
            self.assertEqual(all_.get(timeout=60), _like(DirCreatedEvent, os.path.join(self.root, "d")))
            event = some.get(timeout=60)
            self.assertIsInstance(event, FileCreatedEvent)
            self.assertEqual(event.src_path, os.path.join(self.root, "d/f"))
            observer.unschedule(watch)
            self.write("g")
            self.assertEqual(some.get(timeout=60).src_path, os.path.join(self.root, "g"))
        self.assertFalse(observer.is_alive())

    def test_patterns(self):
        c_files, told = self.told(PatternMatchingEventHandler, patterns=["*.c"], ignore_patterns=["x*"])
        tests, regex = self.told(RegexMatchingEventHandler, regexes=[r".*/test_\w+$"])
        with Observer() as observer:
            observer.schedule(c_files, self.root)
            observer.schedule(tests, self.root)
            for name in ("x.c", "a.o", "test_a", "a.c"):
                self.write(name)
            self.assertEqual(told.get(timeout=60).src_path, os.path.join(self.root, "a.c"))
            self.assertEqual(regex.get(timeout=60).src_path, os.path.join(self.root, "test_a"))

    def test_a_handler_that_fails_does_no_harm(self):
        class Bad(FileSystemEventHandler):
            def on_any_event(self, event):
                raise RuntimeError("on purpose")

        good, told = self.told()
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        with Observer() as observer:
            observer.schedule(Bad(), self.root)
            observer.schedule(good, self.root, recursive=True)
            self.write("f")
            self.assertIsInstance(told.get(timeout=60), FileCreatedEvent)

    def test_a_path_that_is_not_there(self):
        good, _ = self.told()
        with Observer() as observer:
            with self.assertRaises(FileNotFoundError):
                observer.schedule(good, os.path.join(self.root, "none"))


def _like(kind, path):
    from kw.watchdog import events

    return events._make(kind, path)


if __name__ == "__main__":
    unittest.main()
