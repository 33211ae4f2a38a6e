#!/usr/bin/env python3
"""Holds a file watcher against a file system: README.md says how.

usage: run.py [option ...] [--] COMMAND [argument ...]

The watcher is started as COMMAND with one more argument, the directory to watch. It prints
what happens there as JSON, and the runner folds that over the tree as it was. The report is
TAP. The exit status is 0 if all holds, 1 if something does not, 2 for misuse.
"""

import argparse
import contextlib
import errno
import fnmatch
import glob
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACES = ("fast", "stopped", "step")
KINDS = ("created", "deleted", "modified", "attrib", "moved", "rescanned", "ignored")
WRITER = "--carry-out"
COMPARE = b"compare"
# A random run has so many moments at which it is quiet, and looked at.
ROUNDS = 4


class Misuse(Exception):
    """Of this program: nothing is said about the watcher."""


class Skip(Exception):
    """A scenario that this system cannot have."""


class Wrong(Exception):
    """What is wrong with the watcher, as one of these and in words."""

    WHAT = {
        "applies": "an event does not apply",
        "tree": "another tree",
        "untold": "a change not told of",
        "expected": "an expectation",
        "protocol": "the protocol",
        "watcher": "the watcher itself",
        "operation": "the operation failed",
    }

    def __init__(self, what, why):
        super().__init__(why)
        self.what = what


def shown(path):
    """A name that fits on a line and can be told from others."""
    text = json.dumps(path.decode("utf-8", "surrogateescape"))
    return text if len(text) <= 160 else text[:80] + "..." + text[-70:]


# --- What is done -------------------------------------------------------------------------------


def unescaped(word):
    r"""A word of a scenario as bytes: \s \n \t \\ \xHH, x{9} and (text){9}."""
    out, groups, last, i = bytearray(), [], None, 0
    while i < len(word):
        c = word[i : i + 1]
        if c == b"\\":
            code = word[i + 1 : i + 2]
            if code == b"x":
                piece = bytes([int(word[i + 2 : i + 4], 16)])
                i += 4
            else:
                piece = {b"s": b" ", b"n": b"\n", b"t": b"\t"}.get(code, code)
                i += 2
            last = len(out)
            out += piece
        elif c == b"(":
            groups.append(len(out))
            i += 1
        elif c == b")" and groups:
            last = groups.pop()
            i += 1
        elif c == b"{" and last is not None:
            end = word.index(b"}", i)
            out += out[last:] * (int(word[i + 1 : end]) - 1)
            last, i = None, end + 1
        else:
            last = len(out)
            out += c
            i += 1
    if groups:
        raise ValueError("a ( without )")
    return bytes(out)


@contextlib.contextmanager
def reached(path):
    """A path that may be longer than a call takes, as a shorter one and a directory's fd."""
    fd = None
    try:
        while len(path) > 1000:
            cut = path.rindex(b"/", 0, 1000)
            flags = os.O_RDONLY | os.O_DIRECTORY
            below = os.open(path[:cut], flags, dir_fd=fd)
            if fd is not None:
                os.close(fd)
            fd, path = below, path[cut + 1 :]
        yield path, fd
    finally:
        if fd is not None:
            os.close(fd)


def exchange(a, b):
    """Two names in one step, where the system can."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform.startswith("linux") and hasattr(libc, "renameat2"):
        # AT_FDCWD, RENAME_EXCHANGE
        status = libc.renameat2(-100, a, -100, b, 2)
    elif sys.platform == "darwin":
        # RENAME_SWAP
        status = libc.renamex_np(a, b, 2)
    else:
        raise Skip("no exchange of two names")
    if status != 0:
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise Skip("no exchange of two names")
        raise OSError(code, os.strerror(code))


class Hands:
    """Carries out operations in a directory. README.md has the list."""

    # Which of the words are paths, as far as they are given; the rest is text.
    WORDS = {
        "mkdir": "P", "mkdirs": "P", "create": "P", "write": "Pt", "append": "Pt",
        "overwrite": "Pt", "truncate": "PT", "chmod": "PT", "touch": "P", "age": "P",
        "rm": "P", "rmdir": "P", "rmtree": "P", "mv": "PP", "swap": "PP", "ln": "PP",
        "symlink": "TP", "mkfifo": "P", "copy": "PP", "chain": "PTT",
    }

    def __init__(self, root):
        self.root = os.fsencode(root)
        self.writers = []

    @classmethod
    def parsed(cls, line):
        """A line as what carries it out; ValueError says what is wrong with it."""
        maybe = line.startswith(b"? ")
        words = line[2:].split() if maybe else line.split()
        name = words[0].decode("ascii", "replace")
        if name in ("repeat", "spawn"):
            # Parsed once to see whether it can be.
            rest = b" ".join(words[2:])
            cls.parsed(rest.replace(b"%p", b"1").replace(b"%", b"1"))
            return maybe, name, [int(words[1]), rest]
        signs = cls.WORDS.get(name)
        if signs is None:
            raise ValueError("no such operation: " + name)
        if not len(signs.rstrip("t")) <= len(words) - 1 <= len(signs):
            raise ValueError("the wrong number of words")
        return maybe, name, [unescaped(word) for word in words[1:]]

    def do(self, operation):
        maybe, name, words = operation
        try:
            if name == "repeat":
                for i in range(1, words[0] + 1):
                    self.do(self.parsed(words[1].replace(b"%", b"%d" % i)))
            elif name == "spawn":
                self.spawn(*words)
            else:
                signs = self.WORDS[name]
                getattr(self, name)(*[
                    self.path(w) if s == "P" else w for s, w in zip(signs, words)
                ])
        except OSError:
            if not maybe:
                raise

    def path(self, word):
        """`../x` is beside the tree, also when that is gone."""
        if word.startswith(b"../"):
            return os.path.join(os.path.dirname(self.root), word[3:])
        return os.path.join(self.root, word)

    def spawn(self, count, line):
        """The same by so many processes at once; %p is the number of each."""
        self.hire(count)
        writers = self.writers[:count]
        for i, writer in enumerate(writers):
            writer.prepare([line.replace(b"%p", b"%d" % (i + 1))])
        for writer in writers:
            writer.begin()
        codes = [code for writer in writers for _, _, code in writer.outcome()]
        if any(codes) and not line.startswith(b"? "):
            raise OSError(max(codes), os.strerror(max(codes)))

    def hire(self, count):
        """So many processes wait for work: to start one takes longer than what it is to do."""
        while len(self.writers) < count:
            self.writers.append(Writer(self.root))

    def dismiss(self):
        for writer in self.writers:
            writer.end()

    def mkdir(self, path):
        with reached(path) as (path, fd):
            os.mkdir(path, dir_fd=fd)

    def mkdirs(self, path):
        at = os.path.dirname(self.root)
        for name in path[len(at) + 1 :].split(b"/"):
            at = os.path.join(at, name)
            with contextlib.suppress(FileExistsError):
                self.mkdir(at)

    def put(self, path, flags, text):
        with reached(path) as (path, fd):
            out = os.open(path, os.O_WRONLY | flags, 0o644, dir_fd=fd)
        try:
            if text:
                os.write(out, text)
        finally:
            os.close(out)

    def create(self, path):
        self.put(path, os.O_CREAT | os.O_EXCL, b"")

    def write(self, path, text=b""):
        self.put(path, os.O_CREAT | os.O_TRUNC, text)

    def append(self, path, text=b""):
        self.put(path, os.O_APPEND, text)

    def overwrite(self, path, text=b""):
        self.put(path, 0, text)

    def truncate(self, path, size):
        os.truncate(path, int(size))

    def chmod(self, path, mode):
        with reached(path) as (path, fd):
            os.chmod(path, int(mode, 8), dir_fd=fd)

    def touch(self, path):
        with reached(path) as (path, fd):
            os.utime(path, dir_fd=fd)

    def age(self, path):
        with reached(path) as (path, fd):
            os.utime(path, (1000000000, 1000000000), dir_fd=fd)

    def rm(self, path):
        with reached(path) as (path, fd):
            os.unlink(path, dir_fd=fd)

    def rmdir(self, path):
        with reached(path) as (path, fd):
            os.rmdir(path, dir_fd=fd)

    def rmtree(self, path):
        shutil.rmtree(path)

    def mv(self, path, dest):
        with reached(path) as (path, fd), reached(dest) as (dest, to):
            os.rename(path, dest, src_dir_fd=fd, dst_dir_fd=to)

    def swap(self, path, other):
        exchange(path, other)

    def ln(self, path, dest):
        os.link(path, dest)

    def symlink(self, text, path):
        with reached(path) as (path, fd):
            os.symlink(text, path, dir_fd=fd)

    def mkfifo(self, path):
        os.mkfifo(path)

    def copy(self, path, dest):
        if os.path.isdir(path):
            shutil.copytree(path, dest, symlinks=True)
        else:
            shutil.copyfile(path, dest)

    def chain(self, path, count, name):
        """So many directories of that name, one in the other."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for _ in range(int(count)):
                os.mkdir(name, dir_fd=fd)
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = below
        finally:
            os.close(fd)


class Writer:
    """Another process that carries out operations, all that it was given in one go."""

    def __init__(self, root):
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(__file__), WRITER, root],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        self.lines = []

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def prepare(self, lines):
        self.lines = lines
        self.say(b"%d\n" % len(lines) + b"".join(line + b"\n" for line in lines))
        self.process.stdout.readline()

    def begin(self):
        self.say(b"go\n")

    def outcome(self):
        """When each line was carried out, the line, and its errno or 0."""
        told = [self.process.stdout.readline().split() for _ in self.lines]
        return [(int(t[0]), line, int(t[1])) for t, line in zip(told, self.lines) if t]

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()


def carry_out(root):
    """The other process."""
    hands = Hands(root)
    source, out = sys.stdin.buffer, sys.stdout.buffer
    for count in iter(source.readline, b""):
        lines = [source.readline() for _ in range(int(count))]
        operations = [hands.parsed(line.strip()[2:] if line.startswith(b"? ") else line.strip())
                      for line in lines]
        out.write(b"prepared\n")
        out.flush()
        if source.readline() == b"":
            return
        outcome = []
        for operation in operations:
            code = 0
            try:
                hands.do(operation)
            except OSError as e:
                code = e.errno or errno.EIO
            outcome.append(b"%d %d\n" % (time.monotonic_ns(), code))
        out.write(b"".join(outcome))
        out.flush()


# --- The tree on disk, and the tree as told -----------------------------------------------------


class Node:
    """An entry. `stamp` is what the disk had when both trees were last compared, or None if it
    was created since; `told` is what was told of it since."""

    __slots__ = ("children", "stamp", "told")

    def __init__(self, children, stamp=None):
        self.children = children
        self.stamp = stamp
        self.told = frozenset()


def snapshot(path, fd=None):
    """A directory as a Node, by descriptors: no depth is too deep. Without one: nothing in it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        here = os.open(path, flags, dir_fd=fd)
    except FileNotFoundError:
        return Node({})
    try:
        own = os.fstat(here)
        node = Node({}, (stat.S_IFMT(own.st_mode), None, None, None, own.st_mode))
        for entry in os.scandir(here):
            name = os.fsencode(entry.name)
            if entry.is_dir(follow_symlinks=False):
                node.children[name] = snapshot(entry.name, here)
            else:
                s = os.stat(entry.name, dir_fd=here, follow_symlinks=False)
                kind = stat.S_IFMT(s.st_mode)
                node.children[name] = Node(
                    None, (kind, s.st_ino, s.st_size, s.st_mtime_ns, s.st_mode)
                )
        return node
    finally:
        os.close(here)


def untold(node, real):
    """What of an entry has changed without having been told."""
    was, now = node.stamp, real.stamp
    if was is None or was == now or "modified" in node.told:
        return None
    for at, what in ((0, "kind"), (1, "inode"), (2, "size")):
        if was[at] != now[at]:
            return "%s %s -> %s" % (what, was[at], now[at])
    if "attrib" in node.told:
        return None
    if was[3] != now[3]:
        return "time of modification %s -> %s" % (was[3], now[3])
    return "mode %o -> %o" % (was[4], now[4])


class Fold:
    """The tree as the events have it."""

    def __init__(self, root, lenient):
        self.root = root
        self.lenient = lenient
        self.number = 0

    def find(self, names):
        node = self.root
        for name in names:
            if node.children is None or name not in node.children:
                return None
            node = node.children[name]
        return node

    def apply(self, event):
        self.number += 1
        kind = event["event"]
        if kind in ("rescanned", "ignored"):
            return
        wrong = self.leniently(event) if self.lenient else self.strictly(event)
        if wrong is not None:
            dest = " -> " + shown(event["dest"]) if kind == "moved" else ""
            raise Wrong(
                "applies",
                "event %d: %s %s%s: %s" % (self.number, kind, shown(event["path"]), dest, wrong),
            )

    def place(self, path):
        """The directory that a path is in, and the name in it."""
        *above, name = path.split(b"/")
        return self.find(above), name

    def strictly(self, event):
        kind, path, is_dir = event["event"], event["path"], event.get("dir")
        if not path:
            if kind not in ("modified", "attrib"):
                return "of the watched directory itself"
            self.root.told |= {kind}
            return None
        parent, name = self.place(path)
        free = parent is None or parent.children is None or name not in parent.children
        if kind == "created":
            if parent is None:
                return "the directory that it is in is not there"
            if parent.children is None:
                return "what it is in is no directory"
            if not free:
                return "it is there already"
            parent.children[name] = Node({} if is_dir else None)
            return None
        if free:
            return "it is not there"
        node = parent.children[name]
        if is_dir is not None and is_dir != (node.children is not None):
            return "it is %s directory" % ("no" if node.children is None else "a")
        if kind == "deleted":
            if node.children:
                return "%s is still in it" % shown(next(iter(node.children)))
            del parent.children[name]
            return None
        if kind != "moved":
            node.told |= {kind}
            return None
        if event["dest"] == path or event["dest"].startswith(path + b"/"):
            return "into itself"
        to, new = self.place(event["dest"])
        if to is None or to.children is None:
            return "the directory that it is moved to is not there"
        if new in to.children:
            return "the name that it is moved to is taken"
        del parent.children[name]
        to.children[new] = node
        return None

    def leniently(self, event):
        """What one can make of an event, whatever there is."""
        kind, path = event["event"], event["path"]
        if not path:
            self.root.told |= {kind}
            return None
        parent, name = self.place(path)
        node = self.find(path.split(b"/"))
        if kind == "deleted" and node is not None:
            del parent.children[name]
        elif kind == "moved":
            if node is not None:
                del parent.children[name]
            to, new = self.place(event["dest"])
            if to is not None and to.children is not None:
                to.children[new] = node or Node({} if event.get("dir") else None)
        elif kind == "created" and parent is not None and parent.children is not None:
            if node is None or (node.children is not None) != event["dir"]:
                parent.children[name] = Node({} if event["dir"] else None)
            else:
                node.told |= {"modified"}
        elif node is not None:
            node.told |= {kind}
        return None

    def compare(self, real):
        """Whether that is the tree on disk. If so what was told is forgotten."""
        trees, changes = [], []
        self.differences(self.root, real, b"", trees, changes)
        if trees:
            raise Wrong("tree", "\n".join(trees[:5] + more(trees)))
        if changes:
            raise Wrong("untold", "\n".join(changes[:5] + more(changes)))
        self.root = real

    def differences(self, node, real, path, trees, changes):
        below = path + b"/" if path else b""
        for name, there in real.children.items():
            told = node.children.get(name)
            at = below + name
            if told is None:
                trees.append("there and not told of: " + shown(at))
            elif (told.children is None) != (there.children is None):
                is_a = "a directory" if there.children is not None else "no directory"
                trees.append("%s, and told to be another thing: %s" % (is_a, shown(at)))
            else:
                change = untold(told, there)
                if change is not None:
                    changes.append("changed and not told of: %s: %s" % (shown(at), change))
                if there.children is not None:
                    self.differences(told, there, at, trees, changes)
        for name in node.children:
            if name not in real.children:
                trees.append("told of and not there: " + shown(below + name))


def more(lines):
    return ["and %d more" % (len(lines) - 5)] if len(lines) > 5 else []


# --- The watcher --------------------------------------------------------------------------------


class Watcher:
    def __init__(self, settings, root):
        self.settings = settings
        self.raw = []
        self.taken = 0
        self.ended = False
        self.syncs = True
        self.news = threading.Condition()
        self.stderr = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                settings.command + [root], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=self.stderr, start_new_session=True,
            )
        except OSError as e:
            raise Misuse("%s: %s" % (settings.command[0], e.strerror)) from e
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.news:
                self.raw.append(line)
                self.news.notify()
        with self.news:
            self.ended = True
            self.news.notify()

    def next(self, deadline):
        """The next line as what it says; None when the time is up."""
        with self.news:
            while self.taken == len(self.raw):
                if self.ended:
                    raise Wrong("watcher", "it has ended%s" % self.how_it_ended())
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.news.wait(left)
            line = self.raw[self.taken]
            self.taken += 1
        return parsed_line(line)

    def how_it_ended(self):
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return ": it has closed its output"
        return " by signal %d" % -status if status < 0 else " with status %d" % status

    def ready(self):
        said = self.next(time.monotonic() + self.settings.timeout)
        if said is None:
            raise Wrong("watcher", "it was not ready after %g s" % self.settings.timeout)
        if said.get("ready") is not True:
            raise Wrong("protocol", "its first line does not say that it is ready")
        self.syncs = said.get("sync", True)
        if not isinstance(self.syncs, bool):
            raise Wrong("protocol", '"sync" is neither true nor false')

    def collect(self):
        """The events of all that has happened before."""
        events = []
        deadline = time.monotonic() + self.settings.timeout
        if self.syncs:
            try:
                self.process.stdin.write(b"sync\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                # Why is known when its output has been read.
                pass
        while True:
            until = deadline
            if not self.syncs:
                until = min(deadline, time.monotonic() + self.settings.quiet_ms / 1000)
            said = self.next(until)
            if said is None:
                if self.syncs:
                    raise Wrong("watcher", "no answer to sync after %g s" % self.settings.timeout)
                if until >= deadline:
                    raise Wrong("watcher", "not quiet after %g s" % self.settings.timeout)
                return events
            if "event" in said:
                events.append(said)
            elif "synced" not in said:
                raise Wrong("protocol", "it says twice that it is ready")
            elif not self.syncs:
                raise Wrong("protocol", "it answers what it was not asked")
            else:
                return events

    def stop(self):
        """Returns when it has stopped, or after a second: it may wait for a child that has."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            pid, status = os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)
            if pid and os.WIFSTOPPED(status):
                return
            if pid:
                self.process.returncode = status
                raise Wrong("watcher", "it has ended")
            time.sleep(0.0005)

    def go_on(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)

    def end(self):
        """It may end by itself when its input has; it must by SIGTERM."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        # The second is for what it has started as well.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            self.reader.join(2)
        self.process.wait()
        self.process.stdout.close()
        self.stderr.seek(0)
        said = self.stderr.read().decode("utf-8", "replace").splitlines()
        self.stderr.close()
        return said


def parsed_line(line):
    """A line of the watcher's, with paths as bytes."""

    def refuse(why):
        text = line[:200].decode("utf-8", "replace").strip()
        raise Wrong("protocol", "%s: %s" % (why, text))

    try:
        said = json.loads(line.decode("utf-8"))
    except ValueError:
        refuse("no JSON")
    if not isinstance(said, dict):
        refuse("no object")
    if "event" not in said:
        if said.get("ready") is True or said.get("synced") is True:
            return said
        refuse("neither an event nor an answer")
    if said["event"] not in KINDS:
        refuse("no such event")
    if said["event"] in ("rescanned", "ignored"):
        return said
    for member in ("path", "dest") if said["event"] == "moved" else ("path",):
        text = said.get(member)
        if not isinstance(text, str):
            refuse("no %s" % member)
        try:
            path = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            refuse("a surrogate that is no byte in %s" % member)
        names = path.split(b"/")
        if path and (b"" in names or b"." in names or b".." in names or b"\0" in path):
            refuse("%s is not relative to the directory" % member)
        said[member] = path
    if "dir" in said and not isinstance(said["dir"], bool):
        refuse('"dir" is neither true nor false')
    if said["event"] == "created" and "dir" not in said:
        refuse('"created" without "dir"')
    return said


# --- Scenarios ----------------------------------------------------------------------------------


class Scenario:
    def __init__(self, name):
        self.name = name
        self.about = []
        self.setup = []
        self.operations = []
        self.expected = []
        self.paces = PACES
        self.needs = []

    def rounds(self, pace):
        """What is done between two comparisons, each with how it is to be called."""
        rounds = [[]]
        for line in self.operations:
            if line == COMPARE or (pace == "step" and rounds[-1]):
                rounds.append([])
            if line != COMPARE:
                rounds[-1].append(line)
        return rounds


def read_scenarios(path):
    """A file of them. The format is in README.md."""
    scenarios, now, watching = [], None, False
    try:
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
    except OSError as e:
        raise Misuse("%s: %s" % (path, e.strerror)) from e
    for number, line in enumerate(lines, 1):
        line = line.strip()
        words = line.split()

        def refuse(why, number=number):
            raise Misuse("%s:%d: %s" % (path, number, why))

        if not words:
            continue
        first = words[0].decode("ascii", "replace")
        if first == "scenario" and len(words) == 2:
            now, watching = Scenario(words[1].decode("utf-8", "replace")), False
            scenarios.append(now)
        elif line.startswith(b"#"):
            if now is not None and not now.setup and not watching:
                now.about.append(line[1:].strip().decode("utf-8", "replace"))
        elif now is None:
            refuse("before the first scenario")
        elif first == "watch" and len(words) == 1:
            watching = True
        elif first == "pace":
            now.paces = tuple(word.decode() for word in words[1:])
            if not now.paces or set(now.paces) - set(PACES):
                refuse("no such pace")
        elif first == "needs":
            now.needs += [word.decode() for word in words[1:]]
            if set(now.needs) - set(NEEDS):
                refuse("needs what is not known")
        elif first in ("must", "never"):
            if not 3 <= len(words) <= 4:
                refuse("%s KIND[,KIND] PATH [DEST]" % first)
            kinds = words[1].decode("ascii", "replace").split(",")
            if set(kinds) - set(KINDS) - {"any"}:
                refuse("no such event")
            try:
                now.expected.append((first, kinds, [unescaped(word) for word in words[2:]]))
            except ValueError as e:
                refuse(e)
        else:
            try:
                if line != COMPARE or not watching:
                    Hands.parsed(line)
            except (ValueError, IndexError) as e:
                refuse(e)
            (now.operations if watching else now.setup).append(line)
    for scenario in scenarios:
        if not scenario.operations and not scenario.expected:
            raise Misuse("%s: nothing is done in %s" % (path, scenario.name))
    return scenarios


def needs_bytes(base):
    try:
        os.mkdir(os.path.join(os.fsencode(base), b"\xff\xfe"))
    except OSError as e:
        raise Skip("names must be UTF-8 here") from e


NEEDS = {"bytes": needs_bytes}


class Random:
    """Random operations by so many writers. The same seed, the same operations; how those of
    several writers interleave is the machine's affair."""

    def __init__(self, seed, operations, writers):
        self.name = "random-%d" % seed
        self.about = ["%d random operations by each of %d" % (operations, writers)]
        self.expected = []
        self.paces = PACES
        self.needs = []
        self.operations = []
        self.setup = [b"mkdir links0", b"mkdir links1"]
        self.setup += [b"create links%d/lasting%d" % (d, f) for d in (0, 1) for f in (0, 1)]
        self.setup += Dice("%d setup" % seed).operations(max(10, operations // 4), 0)
        self.by_writer = [
            Dice("%d %d" % (seed, w)).operations(operations, w + 1) for w in range(writers)
        ]

    def rounds(self, pace):
        if pace == "step":
            return [[line] for turn in zip(*self.by_writer) for line in turn]
        return [
            [lines[len(lines) * i // ROUNDS : len(lines) * (i + 1) // ROUNDS]
             for lines in self.by_writer]
            for i in range(ROUNDS)
        ]


class Dice:
    def __init__(self, seed):
        # That these two give the same in each version of Python is promised.
        self.random = random.Random(seed).random

    def roll(self, sides):
        return int(self.random() * sides)

    def path(self, last="fffx"):
        """A path that may or may not exist. All writers draw from few names, so that they get in
        each other's way. Files begin with f, directories with d, what may be anything with x."""
        names = [b"d%d" % self.roll(3) for _ in range(self.roll(4))]
        return b"/".join(names + [b"%s%d" % (last[self.roll(len(last))].encode(), self.roll(3))])

    def operations(self, count, me):
        lines = []
        while len(lines) < count:
            lines += self.operation(me)
        return [b"? " + line for line in lines[:count]]

    def operation(self, me):
        file, any_, directory = self.path(), self.path("fdx"), self.path("d")
        n, text = self.roll(24), b"y" * (1 + self.roll(50))
        if n < 4:
            return [b"write %s %s" % (file, text)]
        if n < 6:
            return [b"append %s more" % file]
        if n < 8:
            return [b"mkdirs " + self.path("dddx")]
        if n < 9:
            return [b"rm " + self.path("fxk")]
        if n < 10:
            return [b"rmtree " + self.path("dx")]
        if n < 11:
            return [b"mv %s %s" % (file, self.path())]
        if n < 13:
            return [b"mv %s %s" % (directory, self.path("d"))]
        if n < 14:
            return [b"write %s.tmp%d %s" % (file, me, text), b"mv %s.tmp%d %s" % (file, me, file)]
        if n < 15:
            return [b"symlink target " + self.path("x")]
        if n < 16:
            other, aside = self.path("fdx"), any_ + b".swap%d" % me
            return [b"mv %s %s" % p for p in ((any_, aside), (other, any_), (aside, other))]
        if n < 17:
            return [b"chmod %s 7%d%d" % (any_, self.roll(8), self.roll(8))]
        if n < 18:
            # Out of the tree, changed there, and back, perhaps elsewhere.
            away = b"../away%d" % me
            return [
                b"mv %s %s" % (directory, away), b"write %s/new n" % away,
                b"mkdirs %s/d0/d1" % away, b"rmtree %s/d2" % away,
                b"mv %s %s" % (away, self.path("d")), b"rmtree " + away,
            ]
        if n < 19:
            # A tree at once.
            return [b"mkdirs %s/d0/d1/d2" % directory] + [
                b"write %s/%s %s" % (directory, p, text) for p in (b"f0", b"d0/f1", b"d0/d1/f2")
            ]
        if n < 20:
            return [b"rmtree " + directory, b"mkdir " + directory, b"create %s/f0" % directory]
        if n < 21:
            return [b"rm " + self.path("x"), b"mkdir " + self.path("x")]
        # What has several names is written to through those that stay: where others see a write
        # by its name, nobody can say which file had a name that is gone.
        lasting = b"links%d/lasting%d" % (self.roll(2), self.roll(2))
        if n < 22:
            return [b"ln %s %s" % (lasting, self.path("k"))]
        if n < 23:
            return [b"mv %s %s" % (self.path("k"), self.path("k"))]
        return [b"append %s more" % lasting]


# --- A run --------------------------------------------------------------------------------------


class Run:
    """One scenario at one pace."""

    def __init__(self, settings, scenario, pace):
        self.settings = settings
        self.scenario = scenario
        self.pace = pace
        self.done = []
        self.events = []
        self.watcher = None
        self.stderr = []

    def run(self):
        base = tempfile.mkdtemp(prefix="conformance-", dir=self.settings.dir)
        self.root = os.path.join(os.path.realpath(base), "tree")
        self.hands = Hands(self.root)
        try:
            for need in self.scenario.needs:
                NEEDS[need](base)
            os.mkdir(self.root)
            for line in self.scenario.setup:
                self.do(line)
            self.done.append(b"watch")
            for line in self.scenario.operations:
                if line.startswith(b"spawn "):
                    self.hands.hire(int(line.split()[1]))
            if self.at_once():
                self.hands.hire(len(self.scenario.by_writer))
            self.fold = Fold(snapshot(self.root), self.settings.lenient)
            self.watcher = Watcher(self.settings, self.root)
            self.watcher.ready()
            for number, lines in enumerate(self.scenario.rounds(self.pace)):
                if number and self.pace != "step":
                    self.done.append(COMPARE)
                self.round(lines)
            self.expectations()
        finally:
            if self.watcher is not None:
                self.watcher.go_on()
                self.stderr = self.watcher.end()
            self.hands.dismiss()
            shutil.rmtree(base, ignore_errors=True)

    def at_once(self):
        """Whether each round is a list of lines for each of several writers."""
        return isinstance(self.scenario, Random) and self.pace != "step"

    def do(self, line):
        self.done.append(line)
        try:
            self.hands.do(Hands.parsed(line))
        except OSError as e:
            raise Wrong("operation", "%s: %s" % (line.decode("utf-8", "replace"), e)) from e

    def round(self, lines):
        if self.pace == "stopped":
            self.watcher.stop()
        if self.at_once():
            writers = self.hands.writers
            for writer, own in zip(writers, lines):
                writer.prepare(own)
            for writer in writers:
                writer.begin()
            outcomes = sorted(o for writer in writers for o in writer.outcome())
            # What failed is left to fail again.
            self.done += [line if code else line[2:] for _, line, code in outcomes]
        else:
            for line in lines:
                self.do(line)
        if self.pace == "stopped":
            self.watcher.go_on()
        try:
            for event in self.watcher.collect():
                self.events.append(event)
                self.fold.apply(event)
            self.fold.compare(snapshot(self.root))
        except Wrong as e:
            if self.pace == "step" and lines:
                after = "after " + lines[0].decode("utf-8", "replace")
                raise Wrong(e.what, "%s\n%s" % (after[:160], e)) from e
            raise

    def expectations(self):
        for verb, kinds, paths in self.scenario.expected:
            told = [
                event for event in self.events
                if event["event"] in KINDS[:5]
                and ("any" in kinds or event["event"] in kinds)
                and (paths == [event["path"], event.get("dest")]
                     or paths in ([event["path"]], [event.get("dest")]))
            ]
            words = "%s %s" % (" or ".join(kinds), " -> ".join(map(shown, paths)))
            if verb == "must" and not told:
                raise Wrong("expected", "never told: " + words)
            if verb == "never" and told:
                raise Wrong("expected", "told: %s %s" % (told[0]["event"], words.split(" ", 1)[1]))

    def log(self, failure):
        """A scenario that does the same again, and what was told."""
        lines = [b"scenario " + self.scenario.name.encode()]
        lines += [b"# " + text.encode() for text in self.scenario.about]
        if self.pace != "fast":
            lines.append(b"pace " + self.pace.encode())
        lines += self.done
        lines.append(b"# " + str(failure).replace("\n", "\n# ").encode("utf-8", "replace"))
        if self.watcher is not None:
            lines += [b"# told: " + line.rstrip(b"\n") for line in list(self.watcher.raw)]
        lines += [b"# stderr: " + line.encode() for line in self.stderr]
        path = os.path.join(self.settings.log, "%s.%s.txt" % (self.scenario.name, self.pace))
        with open(path, "wb") as f:
            f.write(b"\n".join(lines) + b"\n")
        return path


def report(settings, runs):
    """TAP on standard output; whether all holds."""
    print("TAP version 13\n1..%d" % len(runs), flush=True)
    failures, skipped = {}, 0
    for number, (scenario, pace) in enumerate(runs, 1):
        run = Run(settings, scenario, pace)
        label = "%d - %s %s" % (number, scenario.name, pace)
        try:
            run.run()
            print("ok " + label, flush=True)
        except Skip as e:
            skipped += 1
            print("ok %s # SKIP %s" % (label, e), flush=True)
        except Wrong as e:
            failures[e.what] = failures.get(e.what, 0) + 1
            if settings.log is None:
                settings.log = tempfile.mkdtemp(prefix="conformance-log-")
            text = ["not ok " + label, "# %s:" % Wrong.WHAT[e.what]]
            text += ["#   " + line for line in str(e).splitlines()]
            text += ["#   stderr: " + line for line in run.stderr[-3:]]
            text.append("#   log: " + run.log(e))
            print("\n".join(text).encode("utf-8", "replace").decode("utf-8"), flush=True)
    failed = sum(failures.values())
    holds = len(runs) - failed - skipped
    words = ["%d: %s" % (n, Wrong.WHAT[what]) for what, n in sorted(failures.items())]
    print("# %d of %d hold" % (holds, len(runs) - skipped) + "".join("; " + w for w in words))
    return not failed


def arguments(words):
    parser = argparse.ArgumentParser(
        usage="run.py [option ...] [--] COMMAND [argument ...]",
        description="Holds a file watcher against a file system. README.md has the protocol.",
    )
    add = parser.add_argument
    add("--list", action="store_true", help="print the scenarios and what they prove")
    add("--only", metavar="NAME", action="append", default=[],
        help="these only; a pattern like 'links-*', may be repeated")
    add("--skip", metavar="NAME", action="append", default=[], help="not these")
    add("--pace", metavar="PACE[,PACE]", default=None,
        help="fast, stopped, step; all of them, of --random fast")
    add("--random", metavar="N", type=int, default=0,
        help="so many runs of random operations in place of the scenarios")
    add("--seed", metavar="S", type=int, default=1, help="the first one's seed (1)")
    add("--operations", metavar="K", type=int, default=400, help="by each writer (400)")
    add("--writers", metavar="W", type=int, default=1, help="processes that write (1)")
    add("--lenient", action="store_true",
        help="only the tree at the end counts, not whether each event applies")
    add("--quiet-ms", metavar="MS", type=int, default=1000,
        help="how long a watcher without sync is silent when it has told all (1000)")
    add("--timeout", metavar="SECONDS", type=float, default=30,
        help="to become ready, and to answer (30)")
    add("--scenarios", metavar="FILE", action="append", default=[],
        help="these in place of those in scenarios/")
    add("--dir", metavar="DIR", help="where the trees are made; $TMPDIR or /tmp")
    add("--log", metavar="DIR", help="where what failed is logged; a new directory")
    add("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="the watcher")
    settings = parser.parse_args(words)
    if settings.command[:1] == ["--"]:
        del settings.command[0]
    for name in ("operations", "writers", "quiet_ms", "timeout"):
        if getattr(settings, name) <= 0:
            raise Misuse("--%s must be more than 0" % name.replace("_", "-"))
    if settings.random < 0:
        raise Misuse("--random must be 0 or more")
    for name in ("dir", "log"):
        path = getattr(settings, name)
        if path is not None and not os.path.isdir(path):
            raise Misuse("--%s: no directory: %s" % (name, path))
    return settings


def chosen(settings):
    """The scenarios that are to be run, each with a pace."""
    if settings.random:
        seeds = range(settings.seed, settings.seed + settings.random)
        scenarios = [Random(seed, settings.operations, settings.writers) for seed in seeds]
    else:
        files = settings.scenarios or sorted(glob.glob(os.path.join(HERE, "scenarios", "*.txt")))
        scenarios = [scenario for file in files for scenario in read_scenarios(file)]
    names = [scenario.name for scenario in scenarios]
    for name in set(names):
        if names.count(name) > 1:
            raise Misuse("two scenarios are called " + name)
    for pattern in settings.only:
        if not fnmatch.filter(names, pattern):
            raise Misuse("no scenario is called " + pattern)
    paces = (settings.pace or ("fast" if settings.random else ",".join(PACES))).split(",")
    if set(paces) - set(PACES):
        raise Misuse("no such pace: " + settings.pace)

    def matches(name, patterns):
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return [
        (scenario, pace)
        for scenario in scenarios
        if (not settings.only or matches(scenario.name, settings.only))
        and not matches(scenario.name, settings.skip)
        for pace in PACES
        if pace in paces and pace in scenario.paces
    ]


def main():
    sys.setrecursionlimit(10000)
    if sys.argv[1:2] == [WRITER]:
        carry_out(sys.argv[2])
        return 0
    # So that nothing is left behind then.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        settings = arguments(sys.argv[1:])
        runs = chosen(settings)
        if settings.list:
            for name, about in {s.name: s.about for s, _ in runs}.items():
                print("%s: %s" % (name, " ".join(about)))
            return 0
        if not settings.command:
            raise Misuse("no watcher is named")
        if not runs:
            raise Misuse("nothing is left to run")
        return 0 if report(settings, runs) else 1
    except Misuse as e:
        print("run.py: %s" % e, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
