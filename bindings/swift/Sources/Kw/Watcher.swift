import CKw
import Dispatch
import Foundation

/// Tells what changes in file trees.
///
///     let watcher = try Watcher()
///     try watcher.add("src", WatchOptions(.recursive, exclude: ["*.o", ".git/"]))
///     for try await event in watcher.events {
///         print(event.kind, event.path)
///     }
///
/// Every method may be called from any thread. What a watcher holds is given back when the last
/// reference to it is gone; while a method runs, or an iteration waits, that is not so.
public final class Watcher: @unchecked Sendable {
    private let handle: OpaquePointer
    private let queue = DispatchQueue(label: "kw.readable")

    /// Guards what follows, and kw_poll with the strings of its events.
    private let lock = NSLock()
    private var fetched: ArraySlice<Event> = []
    private var stopped = false
    private var buffer = [kw_event](repeating: kw_event(), count: 64)

    public init(_ options: Options = Options()) throws {
        var raw = ckw_options()
        raw.flags = options.flags.rawValue
        raw.poll_interval_ms = try milliseconds(options.pollInterval)
        raw.poll_looks = options.pollLooks
        raw.watch_limit = options.watchLimit
        raw.descriptor_reserve = options.descriptorReserve
        raw.crawl_threads = options.crawlThreads
        var opened: OpaquePointer?
        try refuseNul(options.faults ?? "")
        let status: Int32 = withCString(options.faults) { faults in
            raw.faults = faults
            return kw_open(&raw, &opened)
        }
        guard let opened = opened else {
            throw KwError(status, nil)
        }
        handle = opened
    }

    deinit {
        kw_free(handle)
    }

    /// Watches a path; returns when what is there has been crawled. Of a large tree that takes
    /// a while, so do not call it where waiting is not wanted; `stop()` ends it.
    @discardableResult
    public func add(_ path: String, _ options: WatchOptions = WatchOptions()) throws -> Watch {
        var raw = ckw_watch_options()
        raw.flags = options.flags.rawValue
        raw.depth = options.depth
        raw.settle_ms = try milliseconds(options.settle)
        raw.settle_max_ms = try milliseconds(options.settleMaximum)
        for string in [path] + options.exclude + options.include + (options.since.map { [$0] } ?? []) {
            try refuseNul(string)
        }
        var watch: kw_watch = 0
        let status: Int32 = withCStrings(options.exclude) { exclude in
            withCStrings(options.include) { include in
                withCString(options.since) { since in
                    raw.exclude = exclude
                    raw.include = include
                    raw.since = since
                    return kw_add(handle, path, &raw, &watch)
                }
            }
        }
        try check(status)
        return Watch(number: watch)
    }

    /// Ends a watch. None of its events are delivered after this, but for those that an
    /// iteration has fetched already.
    public func remove(_ watch: Watch) throws {
        try check(kw_remove(handle, watch.number))
    }

    /// Writes the snapshot of a watch to a file, for `WatchOptions.since`.
    public func save(_ watch: Watch, to file: String) throws {
        try refuseNul(file)
        try check(kw_save(handle, watch.number, file))
    }

    /// Has the next look include all that is polled, and ends what has to settle.
    public func sync() throws {
        try check(kw_sync(handle, 0))
    }

    public func statistics() throws -> Statistics {
        var raw = ckw_stats()
        try check(kw_stats_get(handle, &raw))
        return Statistics(
            engine: withUnsafePointer(to: &raw) { String(cString: ckw_stats_engine($0)) },
            entries: raw.entries,
            kernelWatches: raw.kernel_watches,
            polled: raw.polled,
            overflows: raw.overflows,
            limitedBy: withUnsafePointer(to: &raw) { String(cString: ckw_stats_limited_by($0)) },
            round: TimeInterval(raw.round_ms) / 1000,
            isCrawling: raw.crawling != 0)
    }

    /// Ends all iterations, those to come included, and a crawl that is under way.
    public func stop() {
        locked { stopped = true }
        _ = kw_wake(handle)
    }

    /// What there is to tell, without waiting. Nothing: all that had happened before the
    /// call has been told.
    public func poll() throws -> [Event] {
        try locked {
            if fetched.isEmpty {
                return try fetch()
            }
            defer { fetched = [] }
            return Array(fetched)
        }
    }

    /// What changes, until `stop()`, or until the task is cancelled. One iteration at a time; what it
    /// does not take is for the next one.
    public var events: Events { Events(watcher: self) }

    /// A sequence of events that waits for the next one.
    public struct Events: AsyncSequence {
        public typealias Element = Event

        let watcher: Watcher

        public struct AsyncIterator: AsyncIteratorProtocol {
            let watcher: Watcher

            public mutating func next() async throws -> Event? {
                while !Task.isCancelled && !watcher.isStopped {
                    if let event = try watcher.take() {
                        return event
                    }
                    await watcher.readable()
                }
                return nil
            }
        }

        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(watcher: watcher)
        }
    }

    private var isStopped: Bool { locked { stopped } }

    private func take() throws -> Event? {
        try locked {
            if fetched.isEmpty {
                fetched = try fetch()[...]
            }
            return fetched.popFirst()
        }
    }

    /// Called with the lock. It does not wait, so nobody waits for the lock for long.
    private func fetch() throws -> [Event] {
        var count = KW_E_INTERRUPTED
        while count == KW_E_INTERRUPTED {
            count = kw_poll(handle, &buffer, buffer.count, 0)
        }
        try check(count)
        return buffer[..<Int(count)].map { Event($0) }
    }

    /// Waits until the descriptor is readable, or the task is cancelled. The source has ended before
    /// the waiting has, so the descriptor outlives it.
    private func readable() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let source = DispatchSource.makeReadSource(fileDescriptor: kw_fd(handle), queue: queue)
                source.setEventHandler { source.cancel() }
                source.setCancelHandler { continuation.resume() }
                source.resume()
            }
        } onCancel: {
            _ = kw_wake(handle)
        }
    }

    @discardableResult
    private func check(_ status: Int32) throws -> Int32 {
        guard status >= 0 else {
            throw KwError(status, handle)
        }
        return status
    }

    private func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }
}

/// C would see the end of the string there.
private func refuseNul(_ string: String) throws {
    if string.utf8.contains(0) {
        throw KwError(invalid: "a NUL in a string", string)
    }
}

/// A NULL-terminated array, or nil of none.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) throws -> Result
) rethrows -> Result {
    if strings.isEmpty {
        return try body(nil)
    }
    let copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    defer {
        for copy in copies {
            free(copy)
        }
    }
    var pointers: [UnsafePointer<CChar>?] = []
    for copy in copies {
        pointers.append(UnsafePointer(copy))
    }
    pointers.append(nil)
    return try pointers.withUnsafeBufferPointer { try body($0.baseAddress) }
}

private func withCString<Result>(
    _ string: String?, _ body: (UnsafePointer<CChar>?) throws -> Result
) rethrows -> Result {
    guard let string = string else {
        return try body(nil)
    }
    return try string.withCString { try body($0) }
}
