#!/usr/bin/env python3
"""faulty.py [FAULT] DIR - a watcher that looks at the whole tree when it is asked to sync, and is
right; or wrong in one way, to show that the suite finds it. `faulty.py --list` lists the faults.

It polls, so it is of no use for anything else. ../README.md has the protocol.
"""

import json
import os
import stat
import sys
import time

FAULTS = {
    "none": "it is right",
    "silent": "it never says that it is ready",
    "ends": "it ends when it is asked for the second time",
    "no-answer": "it does not answer a sync",
    "no-json": "it prints something else in between",
    "absolute": "paths are absolute",
    "early": "it answers a sync before it tells",
    "drop-created": "of several new entries one is not told of",
    "drop-deleted": "of several that went one is not told of",
    "drop-modified": "writes are not told of",
    "drop-attrib": "modes are not told of",
    "twice": "what is created is told of twice",
    "child-first": "what is in a new directory is told of before it",
    "parent-first": "a directory that goes is told of before what was in it",
    "wrong-kind": "a directory is told to be a file",
    "half-move": "of a rename only the new name is told of",
    "onto": "what is renamed over another is told to have moved onto it",
    "stale": "what is in a renamed directory is told of by its old path",
    "deaf": "nothing in directories that were made later is told of",
    "follow": "links to directories are followed",
    "one-link": "a write is told of for one name of a file",
    "mangled": "names that are no UTF-8 are made so",
    "cut": "names end at a line break",
    "ghost": "what nobody touched is told of",
    "lossy": "of more than a thousand changes at once the rest is lost",
    "folded": "a file that another has replaced is taken for the old one",
}


def look(root, fault):
    """Path -> (is a directory, identity, content, mode)."""
    tree = {}

    def walk(fd, above):
        for name in os.listdir(fd):
            s = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if fault == "follow":
                try:
                    t = os.stat(name, dir_fd=fd)
                    # Not for ever.
                    s = t if stat.S_ISDIR(t.st_mode) and above.count("/") < 5 else s
                except OSError:
                    pass
            path = above + name
            is_dir = stat.S_ISDIR(s.st_mode)
            content = None if is_dir else (s.st_size, s.st_mtime_ns)
            tree[path] = (is_dir, (s.st_dev, s.st_ino, stat.S_IFMT(s.st_mode)), content, s.st_mode)
            if is_dir:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
                walk(below, path + "/")
                os.close(below)

    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return tree
    walk(top, "")
    os.close(top)
    return tree


def parent(path):
    return path.rpartition("/")[0]


def moves(old, new):
    """Directories of the top that have another name, for the faults that are about moves; without
    these, a move is told of as what goes and what comes."""
    names = {e[1]: p for p, e in new.items() if p not in old}
    return [(p, names[e[1]]) for p, e in old.items()
            if p not in new and e[1] in names and "/" not in p + names[e[1]]]


def difference(old, new, fault):
    """The events that lead from one tree to the other, in an order that can be applied."""
    events = []

    def tell(event, path, is_dir, dest=None):
        events.append({"event": event, "path": path, "dir": is_dir})
        if dest is not None:
            events[-1]["dest"] = dest

    if fault in ("half-move", "onto", "stale"):
        old = dict(old)
        gone = set(old) - set(new)
        for path, entry in old.copy().items():
            # A file that has taken another's name.
            over = [p for p in gone if p in old and old[p][1] == new.get(path, (0, 0))[1]]
            if fault == "onto" and over and path in old and not entry[0]:
                tell("moved", over[0], False, path)
                old[path] = old.pop(over[0])
        for path, dest in moves(old, new):
            if fault == "half-move":
                del old[path]
            elif fault == "stale":
                tell("moved", path, old[path][0], dest)
                for p in [p for p in old if p == path or p.startswith(path + "/")]:
                    old[dest + p[len(path) :]] = old.pop(p)
                for p in [p for p in new if p.startswith(dest + "/") and p not in old]:
                    tell("created", path + p[len(dest) :], new[p][0])
                    old[p] = new[p]
    # What has another kind, or is another directory, goes first.
    same = {p for p in old if p in new and old[p][0] == new[p][0]}
    for path in sorted(old, key=lambda p: (-p.count("/"), p), reverse=fault == "parent-first"):
        if path not in same:
            tell("deleted", path, old[path][0])
    for path in sorted(new, key=lambda p: (p.count("/"), p), reverse=fault == "child-first"):
        is_dir, identity, content, mode = new[path]
        if path not in same:
            tell("created", path, is_dir)
        elif (identity, content) != old[path][1:3] and not is_dir:
            if fault != "folded" or identity == old[path][1]:
                tell("modified", path, is_dir)
        elif mode != old[path][3]:
            tell("attrib", path, is_dir)
    return events


class Faulty:
    def __init__(self, fault, root):
        self.fault, self.root = fault, root
        self.old = self.first = look(root, fault)
        self.asked = 0

    def events(self):
        self.asked += 1
        fault, new = self.fault, look(self.root, self.fault)
        events = difference(self.old, new, fault)
        if fault.startswith("drop-"):
            kind = fault[5:]
            which = [e for e in events if e["event"] == kind]
            dropped = which if kind in ("modified", "attrib") else which[1:2]
            events = [e for e in events if not any(e is d for d in dropped)]
        elif fault == "twice":
            events = [e for e in events for _ in range(1 + (e["event"] == "created"))]
        elif fault == "wrong-kind":
            for e in events:
                e["dir"] = False
        elif fault == "deaf":
            late = {p for p, e in new.items() if e[0] and p not in self.first}
            events = [e for e in events if parent(e["path"]) not in late]
        elif fault == "one-link":
            seen = set()
            for e in list(events):
                if e["event"] == "modified":
                    identity = new[e["path"]][1]
                    if identity in seen:
                        events.remove(e)
                    seen.add(identity)
        elif fault == "mangled":
            for e in events:
                e["path"] = e["path"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        elif fault == "cut":
            for e in events:
                e["path"] = e["path"].split("\n")[0]
        elif fault == "absolute":
            for e in events:
                e["path"] = os.path.join(self.root, e["path"])
        elif fault == "ghost" and new:
            path = min(new)
            events.append({"event": "modified", "path": path, "dir": new[path][0]})
        elif fault == "lossy":
            del events[1000:]
        self.old = new
        return events


def main():
    if sys.argv[1:] == ["--list"]:
        for fault, what in FAULTS.items():
            print("%s: %s" % (fault, what))
        return 0
    fault, root = (["none"] + sys.argv[1:])[-2:]
    if fault not in FAULTS:
        print("faulty.py: no such fault: " + fault, file=sys.stderr)
        return 2
    if fault == "silent":
        time.sleep(3600)
    watcher = Faulty(fault, root)
    print('{"ready":true}', flush=True)
    late = []
    for _ in sys.stdin:
        events = watcher.events()
        if fault == "early":
            late, events = events, late
        for event in events:
            print(json.dumps(event))
        if fault == "ends" and watcher.asked == 2:
            return 3
        if fault == "no-json":
            print("looked at the tree")
        if fault != "no-answer":
            print('{"synced":true}')
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.setrecursionlimit(10000)
    sys.exit(main())
