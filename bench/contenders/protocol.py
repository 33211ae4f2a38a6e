"""What the contenders in Python do alike; protocol.h says what and why."""

import os
import re
import sys
import threading
import time

NUMBER = re.compile(r"(\d{1,6})$")


def say(*words):
    """A line in one write: what print() writes in pieces, threads mix up."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode(errors="surrogateescape"))


class Tally:
    """What was told of, by the numbers in which the names end."""

    def __init__(self, mode):
        self.printing = mode == "print"
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        self.events = 0
        self.created, self.deleted, self.touched = set(), set(), set()
        self.last_ns = 0

    def event(self):
        self.events += 1

    def path(self, kind, path):
        """`kind` is "created", "deleted" or "touched"."""
        if self.printing:
            say(path)
            return
        number = NUMBER.search(path)
        if number is None:
            return
        number = int(number[1])
        # The time of what was not told before.
        if number not in getattr(self, kind):
            self.last_ns = time.monotonic_ns()
        getattr(self, kind).add(number)
        self.touched.add(number)

    def answer(self):
        """Answers the harness until it is gone."""
        for line in sys.stdin:
            with self.lock:
                if line == "reset\n":
                    self.clear()
                    say("reset")
                else:
                    say("count", self.events, len(self.created), len(self.deleted),
                        len(self.touched), self.last_ns)


def say_ready(begin_ns):
    """`begin_ns`: time.monotonic_ns() before the tree was watched."""
    say("ready", time.monotonic_ns() - begin_ns)
