import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest

import kw
from kw import Flag, Kind


class Sandbox(unittest.TestCase):
    def setUp(self):
        self.home = os.path.realpath(tempfile.mkdtemp())
        self.root = os.path.join(self.home, "tree")
        os.mkdir(self.root)

    def tearDown(self):
        shutil.rmtree(self.home)

    def path(self, *names):
        return os.path.join(self.root, *names)

    def write(self, name, text="x"):
        with open(self.path(name), "w") as f:
            f.write(text)


def drain(watcher):
    """An empty list says that all before the call has been delivered."""
    all_ = []
    while True:
        events = watcher.poll(0)
        if not events:
            return all_
        all_ += events


def brief(events):
    return [
        f"{event.kind.name} {event.relative}" + (f" -> {event.relative_dest}" if event.dest else "")
        for event in events
    ]


class Events(Sandbox):
    def test_what_happens_is_told(self):
        with kw.Watcher() as watcher:
            number = watcher.add(self.root)
            self.write("f")
            (event,) = drain(watcher)
            self.assertEqual((event.kind, event.path, event.watch), (Kind.CREATED, self.path("f"), number))
            status = os.stat(self.path("f"))
            self.assertEqual((event.inode, event.device), (status.st_ino, status.st_dev))
            self.assertEqual((event.size, event.mtime_ns), (1, status.st_mtime_ns))
            os.mkdir(self.path("d"))
            os.rename(self.path("f"), self.path("d", "g"))
            os.symlink("x", self.path("l"))
            events = drain(watcher)
            self.assertEqual(sorted(brief(events)), ["CREATED d", "CREATED l", "MOVED f -> d/g"])
            self.assertTrue(next(e for e in events if e.relative == "d").is_directory)
            self.assertTrue(next(e for e in events if e.relative == "l").is_symlink)

    def test_options(self):
        os.makedirs(self.path("a", "b", "c"))
        saved = os.path.join(self.home, "saved")
        with kw.Watcher() as watcher:
            number = watcher.add(self.root, exclude=["*.o", "skip/"], depth=2, initial=True)
            self.assertEqual(brief(drain(watcher)), ["ROOT_BACK ", "CREATED a", "CREATED a/b", "READY "])
            self.write("f.o")
            self.write("f.c")
            self.write("a/b/f")
            self.assertEqual(brief(drain(watcher)), ["CREATED f.c"])
            watcher.save(number, saved)
            watcher.remove(number)
            os.remove(self.path("f.c"))
            watcher.add(self.root, exclude=["*.o"], depth=2, since=saved)
            self.assertEqual(brief(drain(watcher)), ["DELETED f.c", "READY "])
            self.assertEqual(watcher.stats()["watches"], 1)
        with kw.Watcher() as watcher:
            watcher.add(self.path("later"), allow_missing=True, expanded=True)
            os.makedirs(self.path("later", "x"))
            self.assertEqual(brief(drain(watcher)), ["ROOT_BACK ", "CREATED x"])
        with kw.Watcher() as watcher:
            watcher.add(self.root, settle=3600)
            self.write("n")
            self.assertEqual(drain(watcher), [])
            watcher.sync()
            self.assertEqual(brief(drain(watcher)), ["CREATED n"])

    def test_gitignore(self):
        self.write(".gitignore", "*.o\n")
        self.write("f.o")
        with kw.Watcher() as watcher:
            watcher.add(self.root, gitignore=True, initial=True)
            self.assertEqual(brief(drain(watcher)), ["ROOT_BACK ", "CREATED .gitignore", "READY "])
            self.write(".gitignore", "")
            self.assertIn("CREATED f.o", brief(drain(watcher)))

    def test_names_are_bytes(self):
        name = b"\xff\nname"
        with kw.Watcher() as watcher:
            watcher.add(self.root)
            watcher.add(os.fsencode(self.root))
            with open(os.path.join(os.fsencode(self.root), name), "w"):
                pass
            text, raw = sorted(drain(watcher), key=lambda e: e.watch)
            self.assertEqual(os.fsencode(text.relative), name)
            self.assertEqual(raw.relative, name)

    def test_it_replays(self):
        dice = random.Random(7)
        names = "abcd"

        def some():
            return self.path(*(dice.choice(names) for _ in range(1 + dice.randrange(3))))

        with kw.Watcher() as watcher:
            watcher.add(self.root, initial=True)
            tree = set()
            for round_ in range(60):
                for _ in range(dice.randrange(60)):
                    try:
                        dice.choice(
                            [
                                lambda: os.makedirs(some()),
                                lambda: open(some(), "w").close(),
                                lambda: os.rename(some(), some()),
                                lambda: os.remove(some()),
                                lambda: shutil.rmtree(some()),
                            ]
                        )()
                    except OSError:
                        pass
                for event in drain(watcher):
                    if event.kind in (Kind.CREATED, Kind.ROOT_BACK):
                        self.assertNotIn(event.relative, tree)
                        tree.add(event.relative)
                    elif event.kind == Kind.DELETED:
                        tree.remove(event.relative)
                    elif event.kind == Kind.MOVED:
                        old, new = event.relative, event.relative_dest
                        below = {p for p in tree if p == old or p.startswith(old + "/")}
                        self.assertIn(old, tree)
                        tree = (tree - below) | {new + p[len(old) :] for p in below}
                truth = {""}
                for top, dirs, files in os.walk(self.root):
                    truth |= {os.path.relpath(os.path.join(top, n), self.root) for n in dirs + files}
                self.assertEqual(tree, truth, f"round {round_}")


class Calls(Sandbox):
    def test_errors_are_python_s(self):
        with kw.Watcher() as watcher:
            with self.assertRaises(FileNotFoundError) as caught:
                watcher.add(self.path("none"))
            self.assertEqual(caught.exception.filename, self.path("none"))
            self.assertIsInstance(caught.exception, kw.Error)
            with self.assertRaises(ValueError):
                watcher.add(self.root, exclude=["["])
            with self.assertRaises(kw.Error) as caught:
                watcher.remove(77)
            self.assertEqual(caught.exception.status, -9)
        with self.assertRaises(ValueError):
            watcher.poll(0)

    def test_faults(self):
        with kw.Watcher(faults="overflow after 0") as watcher:
            watcher.add(self.root)
            names = [f"f{i}" for i in range(100)]
            for name in names:
                self.write(name)
            events = drain(watcher)
            self.assertIn(Kind.RESCANNED, [event.kind for event in events])
            created = [event.relative for event in events if event.kind == Kind.CREATED]
            self.assertEqual(sorted(created), sorted(names))
        with self.assertRaises(ValueError):
            kw.Watcher(faults="nonsense")

    def test_another_thread_wakes_and_adds(self):
        with kw.Watcher() as watcher:
            def later():
                watcher.add(self.root)
                os.mkdir(self.path("f"))

            thread = threading.Thread(target=later)
            thread.start()
            self.assertEqual(brief(watcher.poll()), ["CREATED f"])
            thread.join()
            watcher.wake()
            self.assertEqual(list(watcher), [])

    def test_a_signal_s_exception_ends_the_wait(self):
        class Stop(Exception):
            pass

        def stop(*_):
            raise Stop

        before = signal.signal(signal.SIGALRM, stop)
        try:
            with kw.Watcher() as watcher:
                watcher.add(self.root)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with self.assertRaises(Stop):
                    for _ in watcher:
                        pass
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_asyncio(self):
        async def main():
            told = []
            with kw.Watcher() as watcher:
                watcher.add(self.root)
                self.write("f")
                async for event in watcher:
                    told.append(event.relative)
                    if len(told) == 3:
                        break
                    self.write(f"f{len(told)}")
            return told

        self.assertEqual(asyncio.run(asyncio.wait_for(main(), 60)), ["f", "f1", "f2"])

    def test_a_fork_is_told(self):
        with kw.Watcher() as watcher:
            watcher.add(self.root)
            child = os.fork()
            if child == 0:
                try:
                    watcher.poll(0)
                except kw.Error as error:
                    os._exit(0 if error.status == -5 else 1)
                os._exit(2)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.write("f")
            self.assertEqual(brief(drain(watcher)), ["CREATED f"])


if __name__ == "__main__":
    unittest.main()
