#!/usr/bin/env python3
"""watchfiles_.py DIR - the Python package watchfiles, for run.py. ../README.md has the protocol.

By the class that watchfiles.watch() is made of, because only that says when the tree is watched.
It gives changes in sets, without an order and without what is a directory. So the adapter has to
choose an order (what went, leaves first; what came, parents first) and has to look at what came.
"""

import json
import os
import sys
import threading

from watchfiles import Change
from watchfiles._rust_notify import RustNotify

KINDS = {Change.added: "created", Change.deleted: "deleted", Change.modified: "modified"}
ORDER = ("deleted", "created", "modified")


def tell(changes):
    lines = []
    for change, full in changes:
        path = os.path.relpath(full, root)
        line = {"event": KINDS[Change(change)], "path": "" if path == "." else path}
        if line["event"] == "created":
            line["dir"] = os.path.isdir(full) and not os.path.islink(full)
        lines.append(line)
    lines.sort(key=lambda line: line["path"])
    for kind in ORDER:
        for line in lines[::-1] if kind == "deleted" else lines:
            if line["event"] == kind:
                print(json.dumps(line))
    sys.stdout.flush()


def watch():
    while True:
        # The least that it waits for more: 1 ms.
        changes = watcher.watch(1, 1, 0, None)
        if isinstance(changes, str):
            os._exit(0)
        tell(changes)


root = sys.argv[1]
# paths, debug, force_polling, poll_delay_ms, recursive, ignore_permission_denied
watcher = RustNotify([root], False, False, 300, True, False)
print('{"ready":true,"sync":false}', flush=True)
threading.Thread(target=watch, daemon=True).start()
sys.stdin.read()
os._exit(0)
