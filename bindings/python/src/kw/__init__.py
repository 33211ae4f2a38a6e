"""What changed in a file tree: libkw for Python.

    import kw

    with kw.Watcher() as watcher:
        watcher.add("src", recursive=True, exclude=["*.o"])
        for event in watcher:
            print(event.kind.name, event.path)

or, with asyncio, ``async for event in watcher``. The header kw.h is the manual for what is
not said here: what events promise, what filters mean, what is polled.
"""

from __future__ import annotations

import asyncio
import ctypes as c
import enum
import os
from dataclasses import dataclass
from typing import (
    Any,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    List,
    Optional,
    Union,
)

from ._native import (
    E_INTERRUPTED,
    Event as _Event,
    Failure as _Failure,
    Options as _Options,
    Stats as _Stats,
    WatchOptions as _WatchOptions,
    library as _kw,
)

__all__ = ["Error", "Event", "Flag", "Kind", "Watcher", "version"]

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Kind(enum.IntFlag):
    """What happened. An event has exactly one."""

    CREATED = 1 << 0
    DELETED = 1 << 1
    MODIFIED = 1 << 2
    ATTRIB = 1 << 3
    MOVED = 1 << 4
    RESCANNED = 1 << 5
    ROOT_GONE = 1 << 6
    ROOT_BACK = 1 << 7
    UNMOUNTED = 1 << 8
    DEGRADED = 1 << 9
    ERROR = 1 << 10
    READY = 1 << 11


class Flag(enum.IntFlag):
    """More about an event."""

    IS_DIR = 1 << 0
    IS_SYMLINK = 1 << 1
    REPLACED = 1 << 2
    INITIAL = 1 << 3
    EXPANDED = 1 << 4


class Error(OSError):
    """A call failed. ``errno``, ``filename``, and what was being done: ``operation``.

    ``status`` is the code of kw.h. What is also one of Python's own errors (FileNotFoundError,
    PermissionError, InterruptedError) can be caught as that.
    """

    status: int = 0
    operation: str = ""


class _NotFound(Error, FileNotFoundError):
    pass


class _Denied(Error, PermissionError):
    pass


class _Interrupted(Error, InterruptedError):
    pass


class _Invalid(Error, ValueError):
    pass


_CLASSES = {-1: _Invalid, -4: _Interrupted, -7: _NotFound, -8: _Denied}


def version() -> str:
    """The version of the library that is running."""
    return str(_kw.kw_version().decode())


def _check(status: int, handle: Optional[c.c_void_p]) -> int:
    if status >= 0:
        return status
    failure = _Failure(size=c.sizeof(_Failure))
    text = _kw.kw_strerror(status).decode()
    errno = 0
    filename: Optional[str] = None
    operation = ""
    if _kw.kw_last_error(handle, failure) == 0 and failure.status == status:
        errno, operation = failure.sys_errno, failure.operation.decode()
        filename = os.fsdecode(failure.path) or None
        if errno:
            text = os.strerror(errno)
    if operation:
        text = f"{operation}: {text}"
    error = _CLASSES.get(status, Error)(errno, text, filename)
    error.status, error.operation = status, operation
    raise error


@dataclass(frozen=True)
class Event:
    """One event. Paths are str, or bytes where the root was given as bytes."""

    kind: Kind
    flags: Flag
    watch: int
    #: Where: begins with the root as it was given to add().
    path: Any
    #: MOVED: where to, else None.
    dest: Any
    #: The same, relative to the root; empty for the root itself.
    relative: Any
    relative_dest: Any
    #: 1, 2, 3, ... within the watcher.
    sequence: int
    device: int
    inode: int
    #: In bytes, as last seen; 0 for what is gone.
    size: int
    mtime_ns: int
    #: ERROR: errno, else 0.
    error: int
    #: DEGRADED: how many entries are polled.
    count: int

    @property
    def is_directory(self) -> bool:
        return bool(self.flags & Flag.IS_DIR)

    @property
    def is_symlink(self) -> bool:
        return bool(self.flags & Flag.IS_SYMLINK)

    @property
    def is_replaced(self) -> bool:
        return bool(self.flags & Flag.REPLACED)


def _strings(patterns: Iterable[Union[str, bytes]]) -> Any:
    all_ = [os.fsencode(pattern) for pattern in patterns]
    return (c.c_char_p * (len(all_) + 1))(*all_, None)


class Watcher:
    """Watches file trees. Close it, or use it in a ``with`` statement.

    One thread at a time polls (or iterates); the other methods may be called from any thread
    meanwhile. A process that was forked must not use it.
    """

    #: How many events a poll returns at most.
    CAPACITY = 256

    def __init__(
        self,
        *,
        raise_limit: bool = False,
        poll_only: bool = False,
        watch_limit: Optional[int] = None,
        poll_interval: float = 0,
        crawl_threads: int = 0,
        faults: Optional[Union[str, bytes]] = None,
    ) -> None:
        """``faults`` is for tests: a script of what is to go wrong (see kw_options in kw.h)."""
        options = _Options(
            size=c.sizeof(_Options),
            flags=(1 if raise_limit else 0) | (2 if poll_only else 0),
            watch_limit=watch_limit or 0,
            poll_interval_ms=int(poll_interval * 1000),
            crawl_threads=crawl_threads,
            faults=None if faults is None else os.fsencode(faults),
        )
        self._handle: Optional[c.c_void_p] = None
        handle = c.c_void_p()
        _check(_kw.kw_open(options, handle), None)
        self._handle = handle
        self._events = (_Event * self.CAPACITY)()
        self._bytes: "set[int]" = set()

    def _open(self) -> c.c_void_p:
        if self._handle is None:
            raise ValueError("the watcher is closed")
        return self._handle

    def close(self) -> None:
        """Ends all watches. No other thread may be in a call."""
        handle, self._handle = self._handle, None
        if handle is not None:
            _kw.kw_free(handle)

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def add(
        self,
        path: Path,
        *,
        recursive: bool = True,
        kinds: Kind = Kind(0),
        initial: bool = False,
        expanded: bool = False,
        directories_modified: bool = False,
        sync_all: bool = False,
        exclude: Iterable[Union[str, bytes]] = (),
        include: Iterable[Union[str, bytes]] = (),
        directories_only: bool = False,
        one_device: bool = False,
        skip_hidden: bool = False,
        gitignore: bool = False,
        depth: int = 0,
        allow_missing: bool = False,
        settle: float = 0,
        settle_max: float = 0,
        since: Optional[Path] = None,
    ) -> int:
        """Watches a directory or a file, and returns the watch's number.

        ``exclude`` and ``include`` are patterns (see FILTERS in kw.h), ``settle`` and
        ``settle_max`` seconds, ``since`` a file that save() has written. With ``gitignore``
        the ``.gitignore`` files in the tree are honoured.
        """
        flags = 0
        for wanted, flag in (
            (recursive, 1 << 0),
            (directories_modified, 1 << 1),
            (sync_all, 1 << 2),
            (initial, 1 << 3),
            (expanded, 1 << 4),
            (directories_only, 1 << 5),
            (one_device, 1 << 6),
            (skip_hidden, 1 << 7),
            (gitignore, 1 << 8),
            (allow_missing, 1 << 9),
        ):
            flags |= flag if wanted else 0
        out, inside = _strings(exclude), _strings(include)
        options = _WatchOptions(
            size=c.sizeof(_WatchOptions),
            flags=flags,
            events=int(kinds),
            exclude=c.cast(out, c.POINTER(c.c_char_p)),
            include=c.cast(inside, c.POINTER(c.c_char_p)),
            depth=depth,
            settle_ms=int(settle * 1000),
            settle_max_ms=int(settle_max * 1000),
            since=None if since is None else os.fsencode(since),
        )
        number = c.c_int32()
        handle = self._open()
        _check(_kw.kw_add(handle, os.fsencode(path), options, number), handle)
        if isinstance(os.fspath(path), bytes):
            self._bytes.add(number.value)
        return number.value

    def remove(self, watch: int) -> None:
        """Ends a watch; none of its events are delivered afterwards."""
        handle = self._open()
        _check(_kw.kw_remove(handle, watch), handle)
        self._bytes.discard(watch)

    def save(self, watch: int, file: Path) -> None:
        """Writes what is known of a watch to a file, for ``add(since=file)``."""
        handle = self._open()
        _check(_kw.kw_save(handle, watch, os.fsencode(file)), handle)

    def poll(self, timeout: Optional[float] = None) -> List[Event]:
        """Waits for events: so many seconds, or for ever.

        An empty list: time was up, or wake() was called, and all that had happened before
        the call has been delivered.
        """
        handle = self._open()
        milliseconds = -1 if timeout is None else max(0, min(int(timeout * 1000), 0x7FFFFFFF))
        # ctypes gives up the GIL meanwhile. A signal ends the wait; Python's handler runs
        # (and may raise) when we are back.
        while True:
            n = _kw.kw_poll(handle, self._events, self.CAPACITY, milliseconds)
            if n != E_INTERRUPTED:
                break
            if timeout is not None:
                return []
        _check(n, handle)
        return [self._event(raw) for raw in self._events[:n]]

    def _event(self, raw: _Event) -> Event:
        decode: Callable[[bytes], Any] = bytes if raw.watch in self._bytes else os.fsdecode
        path = c.string_at(raw.path, raw.path_len)
        dest = c.string_at(raw.dest, raw.dest_len) if raw.dest else None
        return Event(
            kind=Kind(raw.kind),
            flags=Flag(raw.flags & 0x1F),
            watch=raw.watch,
            path=decode(path),
            dest=None if dest is None else decode(dest),
            relative=decode(path[raw.root_len :]),
            relative_dest=None if dest is None else decode(dest[raw.root_len :]),
            sequence=raw.sequence,
            device=raw.device,
            inode=raw.inode,
            size=raw.size,
            mtime_ns=raw.mtime_ns,
            error=raw.error,
            count=raw.count,
        )

    def __iter__(self) -> Iterator[Event]:
        """Events, for ever; ends when another thread (or a signal handler) calls wake()."""
        while True:
            # Not for ever: a signal that comes just before the wait would not end it.
            events = self.poll(0.5)
            yield from events
            if not events and self._woken:
                self._woken = False
                return

    _woken = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._wait()

    async def _wait(self) -> AsyncIterator[Event]:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self.fileno(), ready.set)
        try:
            while True:
                ready.clear()
                events = self.poll(0)
                for event in events:
                    yield event
                if not events:
                    if self._woken:
                        self._woken = False
                        return
                    await ready.wait()
        finally:
            if self._handle is not None:
                loop.remove_reader(self.fileno())

    def wake(self) -> None:
        """Lets poll() return at once, and ends an iteration. Any thread; signal handlers."""
        self._woken = True
        _kw.kw_wake(self._open())

    def sync(self) -> None:
        """Has everything looked at that is polled, and delivered what has to settle."""
        handle = self._open()
        _check(_kw.kw_sync(handle, 0), handle)

    def set_watch_limit(self, limit: Optional[int]) -> None:
        """How many kernel watches there may be; None: as many as are to be had."""
        handle = self._open()
        wanted = 2**64 - 1 if limit is None else limit
        _check(_kw.kw_set_watch_limit(handle, wanted), handle)

    def fileno(self) -> int:
        """Readable when poll(0) has something to do; for select and event loops."""
        handle = self._open()
        return _check(_kw.kw_fd(handle), handle)

    def stats(self) -> "dict[str, Union[int, str]]":
        """The watcher's health, by the names of kw_stats."""
        stats = _Stats(size=c.sizeof(_Stats))
        handle = self._open()
        _check(_kw.kw_stats_get(handle, stats), handle)
        names = [field[0] for field in _Stats._fields_ if field[0] not in ("size", "reserved")]
        values = ((name, getattr(stats, name)) for name in names)
        return {n: v.decode() if isinstance(v, bytes) else v for n, v in values}
