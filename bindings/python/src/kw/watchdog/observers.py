"""The observer: a thread that calls handlers, as watchdog's does."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Set, Type

from .. import Event, Flag, Kind, Watcher
from . import events as e

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ObservedWatch:
    """What schedule() was asked for."""

    path: str
    is_recursive: bool
    event_filter: Optional["frozenset[Type[e.FileSystemEvent]]"] = None

    @property
    def recursive(self) -> bool:
        return self.is_recursive


def _translate(event: Event) -> List[e.FileSystemEvent]:
    directory = event.is_directory
    kind, path = event.kind, event.path
    if kind in (Kind.CREATED, Kind.ROOT_BACK):
        return [e._make(e.DirCreatedEvent if directory else e.FileCreatedEvent, path)]
    if kind in (Kind.DELETED, Kind.ROOT_GONE):
        return [e._make(e.DirDeletedEvent if directory else e.FileDeletedEvent, path)]
    if kind in (Kind.MODIFIED, Kind.ATTRIB):
        return [e._make(e.DirModifiedEvent if directory else e.FileModifiedEvent, path)]
    if kind == Kind.MOVED:
        moved = e.DirMovedEvent if directory else e.FileMovedEvent
        return [e._make(moved, path, event.dest, bool(event.flags & Flag.EXPANDED))]
    return []


class Observer:
    """Watches what is scheduled, and calls the handlers in a thread of its own."""

    def __init__(self, timeout: float = 1) -> None:
        self.timeout = timeout
        self._watcher: Optional[Watcher] = None
        self._lock = threading.RLock()
        self._handlers: Dict[ObservedWatch, Set[e.FileSystemEventHandler]] = {}
        self._numbers: Dict[int, ObservedWatch] = {}
        self._stopped = threading.Event()
        self._thread: Optional[threading.Thread] = None

    # What a threading.Thread has, and programs use.

    daemon = True
    name = "kw observer"

    def start(self) -> None:
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("threads can only be started once")
            self._watcher = Watcher()
            for watch in self._handlers:
                self._add(watch)
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=self.daemon)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        with self._lock:
            if self._watcher is not None:
                self._watcher.wake()

    def join(self, timeout: Optional[float] = None) -> None:
        if self._thread is None:
            raise RuntimeError("cannot join thread before it is started")
        self._thread.join(timeout)

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> "Observer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.join()

    # Scheduling.

    def schedule(
        self,
        event_handler: e.FileSystemEventHandler,
        path: Any,
        *,
        recursive: bool = False,
        event_filter: Optional[Sequence[Type[e.FileSystemEvent]]] = None,
    ) -> ObservedWatch:
        wanted = None if event_filter is None else frozenset(event_filter)
        watch = ObservedWatch(os.fsdecode(path), recursive, wanted)
        with self._lock:
            known = watch in self._handlers
            self._handlers.setdefault(watch, set()).add(event_handler)
            if self._watcher is not None and not known:
                try:
                    self._add(watch)
                except OSError:
                    del self._handlers[watch]
                    raise
        return watch

    def _add(self, watch: ObservedWatch) -> None:
        assert self._watcher is not None
        number = self._watcher.add(
            watch.path, recursive=watch.is_recursive, directories_modified=True, expanded=True
        )
        self._numbers[number] = watch

    def add_handler_for_watch(self, event_handler: e.FileSystemEventHandler, watch: ObservedWatch) -> None:
        with self._lock:
            self._handlers[watch].add(event_handler)

    def remove_handler_for_watch(self, event_handler: e.FileSystemEventHandler, watch: ObservedWatch) -> None:
        with self._lock:
            self._handlers[watch].remove(event_handler)

    def unschedule(self, watch: ObservedWatch) -> None:
        with self._lock:
            del self._handlers[watch]
            for number in [n for n, w in self._numbers.items() if w == watch]:
                del self._numbers[number]
                if self._watcher is not None:
                    self._watcher.remove(number)

    def unschedule_all(self) -> None:
        for watch in list(self._handlers):
            self.unschedule(watch)

    # The thread.

    def _run(self) -> None:
        watcher = self._watcher
        assert watcher is not None
        try:
            while not self._stopped.is_set():
                for event in watcher.poll():
                    self._dispatch(event)
        finally:
            with self._lock:
                self._watcher = None
                watcher.close()

    def _dispatch(self, event: Event) -> None:
        with self._lock:
            watch = self._numbers.get(event.watch)
            handlers = list(self._handlers.get(watch, ())) if watch is not None else []
        for told in _translate(event):
            wanted = watch is not None and (
                watch.event_filter is None or any(isinstance(told, t) for t in watch.event_filter)
            )
            for handler in handlers if wanted else ():
                try:
                    handler.dispatch(told)
                except Exception:
                    # watchdog's thread dies of it, and with it all watches.
                    _LOG.exception("a handler failed")
