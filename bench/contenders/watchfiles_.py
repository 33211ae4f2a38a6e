"""The watchfiles package: watchfiles_.py version | print TREE | count TREE

By the class that watchfiles.watch() is made of, because only that says when the tree is
watched. It gathers changes until there was none for `step` milliseconds, `debounce` at
most: here the least that it takes, in place of the defaults of 50 and 1600."""

import sys
import threading
import time

from importlib.metadata import version
from protocol import Tally, say_ready
from watchfiles import Change
from watchfiles._rust_notify import RustNotify

DEBOUNCE_MS, STEP_MS = 1, 1
KINDS = {Change.added: "created", Change.deleted: "deleted", Change.modified: "touched"}

if sys.argv[1] == "version":
    print(version("watchfiles"))
    sys.exit()

tally = Tally(sys.argv[1])
begin = time.monotonic_ns()
# paths, debug, force_polling, poll_delay_ms, recursive, ignore_permission_denied
watcher = RustNotify([sys.argv[2]], False, False, 300, True, False)
say_ready(begin)
threading.Thread(target=tally.answer, daemon=True).start()
while True:
    changes = watcher.watch(DEBOUNCE_MS, STEP_MS, 0, None)
    if isinstance(changes, str):
        sys.exit(f"watchfiles: {changes}")
    with tally.lock:
        for change, path in changes:
            tally.event()
            tally.path(KINDS[change], path)
