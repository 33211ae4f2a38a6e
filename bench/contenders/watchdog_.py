"""The watchdog package: watchdog_.py version | print TREE | count TREE"""

import sys
import time

from importlib.metadata import version
from protocol import Tally, say_ready
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

# These say of no change, and come before the write that they would be taken for.
ACCESS = {"opened", "closed", "closed_no_write"}
KINDS = {"created": "created", "deleted": "deleted"}


class Handler(FileSystemEventHandler):
    def __init__(self, tally):
        self.tally = tally

    def on_any_event(self, event):
        if event.event_type in ACCESS:
            return
        with self.tally.lock:
            self.tally.event()
            if event.event_type == "moved":
                self.tally.path("deleted", event.src_path)
                self.tally.path("created", event.dest_path)
            else:
                self.tally.path(KINDS.get(event.event_type, "touched"), event.src_path)


if sys.argv[1] == "version":
    print(version("watchdog"))
    sys.exit()

tally = Tally(sys.argv[1])
begin = time.monotonic_ns()
observer = Observer()
observer.schedule(Handler(tally), sys.argv[2], recursive=True)
observer.start()
say_ready(begin)
tally.answer()
