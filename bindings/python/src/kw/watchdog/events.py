"""Events and their handlers, by the names that watchdog gave them."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
from dataclasses import dataclass, field
from typing import Any, Iterable, List, Optional, Type

EVENT_TYPE_MOVED = "moved"
EVENT_TYPE_DELETED = "deleted"
EVENT_TYPE_CREATED = "created"
EVENT_TYPE_MODIFIED = "modified"


@dataclass(unsafe_hash=True)
class FileSystemEvent:
    """Something happened at src_path; a move went to dest_path."""

    src_path: Any
    dest_path: Any = ""
    event_type: str = field(default="", init=False)
    is_directory: bool = field(default=False, init=False)
    #: It has moved with a directory above it.
    is_synthetic: bool = field(default=False)


class FileSystemMovedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_MOVED


class FileDeletedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_DELETED


class FileModifiedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_MODIFIED


class FileCreatedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_CREATED


class FileMovedEvent(FileSystemMovedEvent):
    pass


class DirDeletedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_DELETED
    is_directory = True


class DirModifiedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_MODIFIED
    is_directory = True


class DirCreatedEvent(FileSystemEvent):
    event_type = EVENT_TYPE_CREATED
    is_directory = True


class DirMovedEvent(FileSystemMovedEvent):
    is_directory = True


def _make(kind: Type[FileSystemEvent], src: Any, dest: Any = "", synthetic: bool = False) -> FileSystemEvent:
    """(A dataclass sets what has a default on each object, over the class's own.)"""
    event = kind(src, dest, is_synthetic=synthetic)
    event.event_type = kind.event_type
    event.is_directory = kind.is_directory
    return event


class FileSystemEventHandler:
    """Override what is to be handled."""

    def dispatch(self, event: FileSystemEvent) -> None:
        self.on_any_event(event)
        getattr(self, f"on_{event.event_type}")(event)

    def on_any_event(self, event: FileSystemEvent) -> None:
        pass

    def on_moved(self, event: FileSystemEvent) -> None:
        pass

    def on_created(self, event: FileSystemEvent) -> None:
        pass

    def on_deleted(self, event: FileSystemEvent) -> None:
        pass

    def on_modified(self, event: FileSystemEvent) -> None:
        pass


def _paths(event: FileSystemEvent) -> List[str]:
    return [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]


class PatternMatchingEventHandler(FileSystemEventHandler):
    """Only what matches one of the patterns, and none of those to be ignored."""

    def __init__(
        self,
        *,
        patterns: Optional[Iterable[str]] = None,
        ignore_patterns: Optional[Iterable[str]] = None,
        ignore_directories: bool = False,
        case_sensitive: bool = False,
    ) -> None:
        self.patterns = None if patterns is None else list(patterns)
        self.ignore_patterns = list(ignore_patterns or ())
        self.ignore_directories = ignore_directories
        self.case_sensitive = case_sensitive

    def _matches(self, path: str, patterns: Iterable[str]) -> bool:
        if not self.case_sensitive:
            path, patterns = path.lower(), [pattern.lower() for pattern in patterns]
        # As pathlib matches: a pattern is one for the end of a path.
        return any(
            fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"*/{pattern}")
            for pattern in patterns
        )

    def dispatch(self, event: FileSystemEvent) -> None:
        if self.ignore_directories and event.is_directory:
            return
        for path in _paths(event):
            wanted = self.patterns is None or self._matches(path, self.patterns)
            if wanted and not self._matches(path, self.ignore_patterns):
                return super().dispatch(event)


class RegexMatchingEventHandler(FileSystemEventHandler):
    """The same with regular expressions, which must match from the beginning."""

    def __init__(
        self,
        *,
        regexes: Optional[Iterable[str]] = None,
        ignore_regexes: Optional[Iterable[str]] = None,
        ignore_directories: bool = False,
        case_sensitive: bool = False,
    ) -> None:
        flags = 0 if case_sensitive else re.IGNORECASE
        self.regexes = [re.compile(r, flags) for r in ([".*"] if regexes is None else regexes)]
        self.ignore_regexes = [re.compile(r, flags) for r in ignore_regexes or ()]
        self.ignore_directories = ignore_directories
        self.case_sensitive = case_sensitive

    def dispatch(self, event: FileSystemEvent) -> None:
        if self.ignore_directories and event.is_directory:
            return
        paths = _paths(event)
        if any(r.match(path) for r in self.ignore_regexes for path in paths):
            return
        if any(r.match(path) for r in self.regexes for path in paths):
            super().dispatch(event)


class LoggingEventHandler(FileSystemEventHandler):
    """Logs every event."""

    def __init__(self, *, logger: Optional[logging.Logger] = None) -> None:
        self.logger = logger or logging.root

    def _log(self, what: str, event: FileSystemEvent) -> None:
        kind = "directory" if event.is_directory else "file"
        self.logger.info("%s %s: %s", what, kind, event.src_path)

    def on_moved(self, event: FileSystemEvent) -> None:
        kind = "directory" if event.is_directory else "file"
        self.logger.info("Moved %s: from %s to %s", kind, event.src_path, event.dest_path)

    def on_created(self, event: FileSystemEvent) -> None:
        self._log("Created", event)

    def on_deleted(self, event: FileSystemEvent) -> None:
        self._log("Deleted", event)

    def on_modified(self, event: FileSystemEvent) -> None:
        self._log("Modified", event)
