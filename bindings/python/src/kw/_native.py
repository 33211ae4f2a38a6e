"""The C API, as ctypes sees it. What the functions do is said in kw.h."""

from __future__ import annotations

import ctypes as c
import ctypes.util
import os
import sys
from typing import Any

OK = 0
E_INTERRUPTED = -4


class Options(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("flags", c.c_uint32),
        ("poll_interval_ms", c.c_uint32),
        ("watch_limit", c.c_uint64),
        ("descriptor_reserve", c.c_uint32),
        ("poll_looks", c.c_uint32),
        ("crawl_threads", c.c_uint32),
        ("reserved", c.c_uint32),
        ("faults", c.c_char_p),
    ]


class WatchOptions(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("flags", c.c_uint32),
        ("events", c.c_uint32),
        ("exclude", c.POINTER(c.c_char_p)),
        ("include", c.POINTER(c.c_char_p)),
        ("depth", c.c_uint32),
        ("settle_ms", c.c_uint32),
        ("settle_max_ms", c.c_uint32),
        ("reserved", c.c_uint32),
        ("since", c.c_char_p),
    ]


class Event(c.Structure):
    _fields_ = [
        ("kind", c.c_uint32),
        ("flags", c.c_uint32),
        ("watch", c.c_int32),
        ("error", c.c_int32),
        ("path", c.c_void_p),
        ("path_len", c.c_size_t),
        ("dest", c.c_void_p),
        ("dest_len", c.c_size_t),
        ("root_len", c.c_size_t),
        ("sequence", c.c_uint64),
        ("device", c.c_uint64),
        ("inode", c.c_uint64),
        ("size", c.c_uint64),
        ("mtime_ns", c.c_int64),
        ("count", c.c_uint64),
        ("reserved", c.c_uint64),
    ]


class Stats(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("engine", c.c_char * 16),
        ("watches", c.c_uint64),
        ("entries", c.c_uint64),
        ("kernel_watches", c.c_uint64),
        ("polled", c.c_uint64),
        ("descriptors", c.c_uint64),
        ("descriptor_limit", c.c_uint64),
        ("overflows", c.c_uint64),
        ("rescans", c.c_uint64),
        ("events", c.c_uint64),
        ("notes", c.c_uint64),
        ("waits", c.c_uint64),
        ("fetches", c.c_uint64),
        ("listings", c.c_uint64),
        ("stats", c.c_uint64),
        ("opens", c.c_uint64),
        ("registrations", c.c_uint64),
        ("last_errno", c.c_int32),
        ("reserved", c.c_int32),
        ("watch_limit", c.c_uint64),
        ("rounds", c.c_uint64),
        ("round_ms", c.c_uint64),
        ("limited_by", c.c_char * 48),
        ("crawling", c.c_uint64),
    ]


class Failure(c.Structure):
    _fields_ = [
        ("size", c.c_size_t),
        ("status", c.c_int32),
        ("sys_errno", c.c_int32),
        ("operation", c.c_char * 64),
        ("path_len", c.c_size_t),
        ("path", c.c_char * 4096),
    ]


def _load() -> Any:
    """The shared library: the one that KW_LIBRARY names, or the system's."""
    name = "libkw.0.dylib" if sys.platform == "darwin" else "libkw.so.0"
    wanted = os.environ.get("KW_LIBRARY")
    try:
        library = c.CDLL(wanted or name)
    except OSError:
        found = None if wanted else ctypes.util.find_library("kw")
        if found is None:
            raise
        library = c.CDLL(found)
    handle, out = c.c_void_p, c.POINTER
    for function, result, arguments in (
        ("kw_open", c.c_int, [out(Options), out(handle)]),
        ("kw_add", c.c_int, [handle, c.c_char_p, out(WatchOptions), out(c.c_int32)]),
        ("kw_remove", c.c_int, [handle, c.c_int32]),
        ("kw_save", c.c_int, [handle, c.c_int32, c.c_char_p]),
        ("kw_set_watch_limit", c.c_int, [handle, c.c_uint64]),
        ("kw_poll", c.c_int, [handle, out(Event), c.c_size_t, c.c_int]),
        ("kw_wake", c.c_int, [handle]),
        ("kw_fd", c.c_int, [handle]),
        ("kw_stats_get", c.c_int, [handle, out(Stats)]),
        ("kw_last_error", c.c_int, [handle, out(Failure)]),
        ("kw_sync", c.c_int, [handle, c.c_int]),
        ("kw_strerror", c.c_char_p, [c.c_int]),
        ("kw_version", c.c_char_p, []),
        ("kw_free", None, [handle]),
    ):
        pointer = getattr(library, function)
        pointer.restype = result
        pointer.argtypes = arguments
    version: bytes = library.kw_version()
    if not version.startswith(b"0.1."):
        # kw_event has no size by which a difference could be seen.
        raise ImportError(f"libkw 0.1 is needed, this is {version.decode()}")
    return library


library = _load()
