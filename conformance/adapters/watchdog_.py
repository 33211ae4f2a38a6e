#!/usr/bin/env python3
"""watchdog_.py DIR - the Python package watchdog, for run.py. ../README.md has the protocol.

It cannot say that it has told all, so the runner waits until it is silent. What it makes up of
a directory's move (a move of each entry) is left out: the move says it. What it makes up of a
directory that is new is passed on, since nothing else tells of that.
"""

import json
import os
import sys

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

KINDS = {"created", "deleted", "modified", "attrib", "moved"}


class Handler(FileSystemEventHandler):
    def on_any_event(self, event):
        if event.event_type not in KINDS or (event.event_type == "moved" and event.is_synthetic):
            return
        line = {"event": event.event_type, "path": relative(event.src_path)}
        line["dir"] = event.is_directory
        if event.event_type == "moved":
            line["dest"] = relative(event.dest_path)
        print(json.dumps(line), flush=True)


def relative(path):
    path = os.path.relpath(os.fsdecode(path), root)
    return "" if path == "." else path


root = sys.argv[1]
observer = Observer()
observer.schedule(Handler(), root, recursive=True)
observer.start()
print('{"ready":true,"sync":false}', flush=True)
sys.stdin.read()
observer.stop()
