//! Prints what changes below a directory, one line an event, until it gets SIGINT or SIGTERM.

const std = @import("std");
const kw = @import("kw");

var stop: std.atomic.Value(bool) = .init(false);
/// For the signal handler: set before it is installed, and while it is.
var watcher: kw.Watcher = undefined;

/// The flag says what the wake is for; the wake ends a wait that has just begun, too.
fn onSignal(_: std.posix.SIG) callconv(.c) void {
    stop.store(true, .monotonic);
    watcher.wake();
}

/// A name is bytes, and is printed as it is, but for a line break, which would spoil the line.
fn oneLine(out: *std.Io.Writer, path: []const u8) !void {
    for (path) |byte| switch (byte) {
        '\n' => try out.writeAll("\\n"),
        '\\' => try out.writeAll("\\\\"),
        else => try out.writeByte(byte),
    };
}

fn print(out: *std.Io.Writer, event: kw.Event) !void {
    const mark = if (event.isDir()) "/" else if (event.isSymlink()) "@" else "";
    try out.print("{s} ", .{event.name()});
    try oneLine(out, event.path);
    try out.writeAll(mark);
    if (event.dest) |dest| {
        try out.writeAll(" -> ");
        try oneLine(out, dest);
        try out.writeAll(mark);
    }
    if (event.raw.@"error" != 0)
        try out.print(": errno {d}", .{event.raw.@"error"});
    try out.writeByte('\n');
    try out.flush();
}

fn complain(detail: kw.Detail) noreturn {
    const separator = if (detail.path().len > 0) ": " else "";
    std.debug.print("watch: {s}{s}{s}: {s}\n", .{
        detail.path(), separator, detail.operation(), detail.reason(),
    });
    std.process.exit(1);
}

pub fn main(init: std.process.Init) !void {
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    if (args.len != 2) {
        std.debug.print("usage: watch DIR\n", .{});
        std.process.exit(2);
    }
    var buffer: [4096]u8 = undefined;
    var file: std.Io.File.Writer = .init(.stdout(), init.io, &buffer);
    const out = &file.interface;

    watcher = kw.Watcher.init(.{}) catch complain(.last(null));
    defer watcher.deinit();
    _ = watcher.add(args[1], .{ .flags = kw.recursive }) catch complain(.last(&watcher));

    const action: std.posix.Sigaction = .{
        .handler = .{ .handler = onSignal },
        .mask = std.posix.sigemptyset(),
        .flags = 0,
    };
    std.posix.sigaction(.INT, &action, null);
    std.posix.sigaction(.TERM, &action, null);

    try out.writeAll("watching ");
    try oneLine(out, args[1]);
    try out.writeByte('\n');
    try out.flush();
    while (!stop.load(.monotonic)) {
        const event = watcher.next() catch complain(.last(&watcher)) orelse continue;
        try print(out, event);
    }
    // The handler uses the watcher: it goes first.
    const default: std.posix.Sigaction = .{
        .handler = .{ .handler = std.posix.SIG.DFL },
        .mask = std.posix.sigemptyset(),
        .flags = 0,
    };
    std.posix.sigaction(.INT, &default, null);
    std.posix.sigaction(.TERM, &default, null);
}
