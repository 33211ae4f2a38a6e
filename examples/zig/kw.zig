//! What has changed in a file tree, by libkw. The manual of what it does is kw.h.
//!
//!     var watcher: kw.Watcher = try .init(.{});
//!     defer watcher.deinit();
//!     _ = try watcher.add("src", .{ .flags = kw.recursive });
//!     while (true)
//!         if (try watcher.next()) |event|
//!             std.debug.print("{s} {s}\n", .{ event.name(), event.path });
//!
//! Nothing is copied: what is in an event belongs to the handle until the next one is fetched.

const std = @import("std");
const c = @import("c");

pub const Error = error{
    Invalid,
    System,
    Busy,
    Forked,
    Internal,
    NotFound,
    Denied,
    NoWatch,
    Limit,
    TooLong,
    Snapshot,
    Interrupted,
    Unknown,
};

/// Of a code that a function has returned.
fn check(status: c_int) Error!c_int {
    return switch (status) {
        c.KW_E_INVALID => error.Invalid,
        c.KW_E_SYSTEM => error.System,
        c.KW_E_BUSY => error.Busy,
        c.KW_E_INTERRUPTED => error.Interrupted,
        c.KW_E_FORKED => error.Forked,
        c.KW_E_INTERNAL => error.Internal,
        c.KW_E_NOT_FOUND => error.NotFound,
        c.KW_E_DENIED => error.Denied,
        c.KW_E_NO_WATCH => error.NoWatch,
        c.KW_E_LIMIT => error.Limit,
        c.KW_E_TOO_LONG => error.TooLong,
        c.KW_E_SNAPSHOT => error.Snapshot,
        else => if (status < 0) error.Unknown else status,
    };
}

/// What has failed, for people: an error of Zig has no room for it.
pub const Detail = struct {
    raw: c.kw_error,

    /// Of a watcher's last error, or with null of the calling thread's last `Watcher.init`.
    pub fn last(watcher: ?*const Watcher) Detail {
        var detail: Detail = .{ .raw = std.mem.zeroes(c.kw_error) };
        detail.raw.size = @sizeOf(c.kw_error);
        _ = c.kw_last_error(if (watcher) |w| w.handle else null, &detail.raw);
        return detail;
    }

    pub fn path(detail: *const Detail) []const u8 {
        return std.mem.sliceTo(&detail.raw.path, 0);
    }

    pub fn operation(detail: *const Detail) []const u8 {
        return std.mem.sliceTo(&detail.raw.operation, 0);
    }

    pub fn reason(detail: *const Detail) []const u8 {
        if (detail.raw.sys_errno != 0)
            return std.mem.span(c.strerror(detail.raw.sys_errno));
        return std.mem.span(c.kw_strerror(detail.raw.status));
    }
};

// Options of a watch.
pub const recursive: u32 = c.KW_RECURSIVE;
pub const dir_modified: u32 = c.KW_DIR_MODIFIED;
pub const sync_all: u32 = c.KW_SYNC_ALL;
pub const initial: u32 = c.KW_INITIAL;
pub const expanded: u32 = c.KW_EXPANDED;
pub const dirs_only: u32 = c.KW_DIRS_ONLY;
pub const one_device: u32 = c.KW_ONE_DEVICE;
pub const skip_hidden: u32 = c.KW_SKIP_HIDDEN;
pub const gitignore: u32 = c.KW_GITIGNORE;
pub const allow_missing: u32 = c.KW_ALLOW_MISSING;
// Options of a watcher.
pub const raise_limit: u32 = c.KW_RAISE_LIMIT;
pub const poll_only: u32 = c.KW_POLL_ONLY;

/// How to open a watcher; kw.h says what each option means.
pub const Options = struct {
    flags: u32 = 0,
    poll_interval_ms: u32 = 0,
    watch_limit: u64 = 0,
    descriptor_reserve: u32 = 0,
    poll_looks: u32 = 0,
    crawl_threads: u32 = 0,
    /// For tests: a script of what is to go wrong.
    faults: ?[*:0]const u8 = null,
};

/// An array of patterns that ends with null.
pub const Patterns = [*:null]const ?[*:0]const u8;

/// How to watch; kw.h says what each option means.
pub const WatchOptions = struct {
    flags: u32 = 0,
    kinds: u32 = 0,
    exclude: ?Patterns = null,
    include: ?Patterns = null,
    depth: u32 = 0,
    settle_ms: u32 = 0,
    settle_max_ms: u32 = 0,
    since: ?[*:0]const u8 = null,
};

pub const Watch = enum(i32) { _ };

pub const Kind = enum(u32) {
    created = c.KW_CREATED,
    deleted = c.KW_DELETED,
    modified = c.KW_MODIFIED,
    attrib = c.KW_ATTRIB,
    moved = c.KW_MOVED,
    rescanned = c.KW_RESCANNED,
    root_gone = c.KW_ROOT_GONE,
    root_back = c.KW_ROOT_BACK,
    unmounted = c.KW_UNMOUNTED,
    degraded = c.KW_DEGRADED,
    failed = c.KW_ERROR,
    ready = c.KW_READY,
    _, // of a later library
};

/// One change. Paths are bytes, and begin with the root as it was given to `add`.
pub const Event = struct {
    kind: Kind,
    path: []const u8,
    dest: ?[]const u8,
    raw: *const c.kw_event,

    fn of(raw: *const c.kw_event) Event {
        return .{
            .kind = @fromBackingInt(@intCast(raw.kind)),
            .path = raw.path[0..raw.path_len],
            .dest = if (raw.dest == null) null else raw.dest[0..raw.dest_len],
            .raw = raw,
        };
    }

    pub fn isDir(event: Event) bool {
        return event.raw.flags & c.KW_IS_DIR != 0;
    }

    pub fn isSymlink(event: Event) bool {
        return event.raw.flags & c.KW_IS_SYMLINK != 0;
    }

    pub fn replaced(event: Event) bool {
        return event.raw.flags & c.KW_REPLACED != 0;
    }

    /// Relative to the root; empty for the root itself.
    pub fn relative(event: Event) []const u8 {
        return event.path[event.raw.root_len..];
    }

    pub fn relativeDest(event: Event) ?[]const u8 {
        return if (event.dest) |dest| dest[event.raw.root_len..] else null;
    }

    /// The kind, and its variant, for people.
    pub fn name(event: Event) []const u8 {
        return switch (event.kind) {
            .modified => if (event.replaced()) "replaced" else "modified",
            .root_gone => "root gone",
            .root_back => "root back",
            .failed => "error",
            .created, .deleted, .attrib, .moved, .rescanned, .unmounted, .degraded, .ready => |kind| @tagName(kind),
            _ => "?",
        };
    }
};

/// An open handle, with the events that were fetched last.
pub const Watcher = struct {
    handle: *c.kw_handle,
    events: [64]c.kw_event = undefined,
    fetched: usize = 0,
    taken: usize = 0,

    pub fn init(options: Options) Error!Watcher {
        const raw: c.kw_options = .{
            .size = @sizeOf(c.kw_options),
            .flags = options.flags,
            .poll_interval_ms = options.poll_interval_ms,
            .watch_limit = options.watch_limit,
            .descriptor_reserve = options.descriptor_reserve,
            .poll_looks = options.poll_looks,
            .crawl_threads = options.crawl_threads,
            .reserved = 0,
            .faults = options.faults,
        };
        var handle: ?*c.kw_handle = null;
        _ = try check(c.kw_open(&raw, &handle));
        return .{ .handle = handle.? };
    }

    pub fn deinit(watcher: *Watcher) void {
        c.kw_free(watcher.handle);
        watcher.* = undefined;
    }

    /// Watches a path; returns when what is there has been crawled.
    pub fn add(watcher: *Watcher, path: [*:0]const u8, options: WatchOptions) Error!Watch {
        const raw: c.kw_watch_options = .{
            .size = @sizeOf(c.kw_watch_options),
            .flags = options.flags,
            .events = options.kinds,
            .exclude = @ptrCast(options.exclude),
            .include = @ptrCast(options.include),
            .depth = options.depth,
            .settle_ms = options.settle_ms,
            .settle_max_ms = options.settle_max_ms,
            .reserved = 0,
            .since = options.since,
        };
        var watch: c.kw_watch = 0;
        _ = try check(c.kw_add(watcher.handle, path, &raw, &watch));
        return @fromBackingInt(@intCast(watch));
    }

    pub fn remove(watcher: *Watcher, watch: Watch) Error!void {
        _ = try check(c.kw_remove(watcher.handle, @backingInt(watch)));
    }

    /// Writes the snapshot of a watch to a file, for `WatchOptions.since`.
    pub fn save(watcher: *Watcher, watch: Watch, file: [*:0]const u8) Error!void {
        _ = try check(c.kw_save(watcher.handle, @backingInt(watch), file));
    }

    /// Has the next look include all that is polled, and ends what has to settle.
    pub fn sync(watcher: *Watcher) Error!void {
        _ = try check(c.kw_sync(watcher.handle, 0));
    }

    /// Lets `next` return at once; allowed in a signal handler.
    pub fn wake(watcher: *const Watcher) void {
        _ = c.kw_wake(watcher.handle);
    }

    /// A descriptor that is readable when `poll` has something to do.
    pub fn fd(watcher: *const Watcher) c_int {
        return c.kw_fd(watcher.handle);
    }

    /// Waits for the next event. Null: it was woken or a signal came, and there is none.
    pub fn next(watcher: *Watcher) Error!?Event {
        return watcher.fetch(-1) catch |err| if (err == error.Interrupted) null else err;
    }

    /// The next event, if there is one, without waiting. Null: all that had happened before
    /// the call has been told.
    pub fn poll(watcher: *Watcher) Error!?Event {
        while (true)
            return watcher.fetch(0) catch |err| if (err == error.Interrupted) continue else err;
    }

    fn fetch(watcher: *Watcher, timeout_ms: c_int) Error!?Event {
        if (watcher.taken == watcher.fetched) {
            watcher.taken = 0;
            watcher.fetched = 0;
            const n = c.kw_poll(watcher.handle, &watcher.events, watcher.events.len, timeout_ms);
            watcher.fetched = @intCast(try check(n));
            if (watcher.fetched == 0)
                return null;
        }
        watcher.taken += 1;
        return .of(&watcher.events[watcher.taken - 1]);
    }
};

const testing = std.testing;

/// A directory that is gone after the test.
const Sandbox = struct {
    root: [24:0]u8 = "/tmp/kw-zig-test-XXXXXX\x00".*,

    fn init() !Sandbox {
        var sandbox: Sandbox = .{};
        if (c.mkdtemp(&sandbox.root) == null)
            return error.NoSandbox;
        return sandbox;
    }

    fn deinit(sandbox: *Sandbox) void {
        for ([_][*:0]const u8{ "f.c", "f.o", "saved", "a", "b", "tree/a", "tree" }) |name| {
            var buffer: [64]u8 = undefined;
            _ = c.remove(sandbox.at(&buffer, name));
        }
        _ = c.rmdir(&sandbox.root);
    }

    fn at(sandbox: *const Sandbox, buffer: *[64]u8, name: [*:0]const u8) [*:0]const u8 {
        _ = c.snprintf(buffer, buffer.len, "%s/%s", &sandbox.root, name);
        return @ptrCast(buffer);
    }

    fn mkdir(sandbox: *const Sandbox, name: [*:0]const u8) !void {
        var buffer: [64]u8 = undefined;
        if (c.mkdir(sandbox.at(&buffer, name), 0o755) != 0)
            return error.Mkdir;
    }

    fn touch(sandbox: *const Sandbox, name: [*:0]const u8) !void {
        var buffer: [64]u8 = undefined;
        const file = c.fopen(sandbox.at(&buffer, name), "w") orelse return error.Open;
        if (c.fclose(file) != 0)
            return error.Close;
    }

    fn move(sandbox: *const Sandbox, from: [*:0]const u8, to: [*:0]const u8) !void {
        var buffers: [2][64]u8 = undefined;
        if (c.rename(sandbox.at(&buffers[0], from), sandbox.at(&buffers[1], to)) != 0)
            return error.Rename;
    }
};

/// All that has happened must be these lines.
fn expect(watcher: *Watcher, lines: []const []const u8) !void {
    for (lines) |line| {
        const event = (try watcher.poll()) orelse return error.MoreWasExpected;
        var buffer: [256]u8 = undefined;
        const got = if (event.relativeDest()) |dest|
            try std.fmt.bufPrint(&buffer, "{s} {s} -> {s}", .{ event.name(), event.relative(), dest })
        else
            try std.fmt.bufPrint(&buffer, "{s} {s}", .{ event.name(), event.relative() });
        try testing.expectEqualStrings(line, got);
    }
    try testing.expect(try watcher.poll() == null);
}

test "what happened is told" {
    var sandbox: Sandbox = try .init();
    defer sandbox.deinit();
    var watcher: Watcher = try .init(.{});
    defer watcher.deinit();
    _ = try watcher.add(&sandbox.root, .{ .flags = recursive });
    try sandbox.mkdir("a");
    try expect(&watcher, &.{"created a"});
    try sandbox.move("a", "b");
    try expect(&watcher, &.{"moved a -> b"});
}

test "filters and first sight" {
    var sandbox: Sandbox = try .init();
    defer sandbox.deinit();
    var watcher: Watcher = try .init(.{});
    defer watcher.deinit();
    try sandbox.touch("f.c");
    try sandbox.touch("f.o");
    const exclude = [_:null]?[*:0]const u8{"*.o"};
    const watch = try watcher.add(&sandbox.root, .{ .flags = recursive | initial, .exclude = &exclude });
    try expect(&watcher, &.{ "root back ", "created f.c", "ready " });
    try watcher.remove(watch);
    try testing.expectError(error.NoWatch, watcher.remove(watch));
}

test "what happened since it was saved" {
    var sandbox: Sandbox = try .init();
    defer sandbox.deinit();
    var buffers: [2][64]u8 = undefined;
    try sandbox.mkdir("tree");
    const tree = sandbox.at(&buffers[0], "tree");
    const saved = sandbox.at(&buffers[1], "saved");
    {
        var watcher: Watcher = try .init(.{});
        defer watcher.deinit();
        try watcher.save(try watcher.add(tree, .{ .flags = recursive }), saved);
    }
    try sandbox.mkdir("tree/a");
    var watcher: Watcher = try .init(.{});
    defer watcher.deinit();
    _ = try watcher.add(tree, .{ .flags = recursive, .since = saved });
    try expect(&watcher, &.{ "created a", "ready " });
}

test "an error has details" {
    var watcher: Watcher = try .init(.{});
    defer watcher.deinit();
    try testing.expectError(error.NotFound, watcher.add("/nothing/there", .{}));
    const detail: Detail = .last(&watcher);
    try testing.expectEqualStrings("/nothing/there", detail.path());
    try testing.expectEqualStrings("No such file or directory", detail.reason());
    try testing.expect(detail.operation().len > 0);
    try testing.expectError(error.Invalid, Watcher.init(.{ .flags = 1 << 20 }));
}

test "a wake ends the waiting" {
    var watcher: Watcher = try .init(.{});
    defer watcher.deinit();
    watcher.wake();
    try testing.expect(try watcher.next() == null);
}
