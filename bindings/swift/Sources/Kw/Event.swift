import CKw
import Foundation

/// The name of an entry, as bytes: a file name may hold anything but `/` and NUL, and need
/// not be UTF-8.
public struct Path: Hashable, Sendable, CustomStringConvertible {
    public let bytes: [UInt8]

    public init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// With U+FFFD for what is no UTF-8.
    public var string: String { String(decoding: bytes, as: UTF8.self) }

    public var description: String { string }

    /// Exact, also for what is no UTF-8.
    public func url(isDirectory: Bool) -> URL {
        withCString { URL(fileURLWithFileSystemRepresentation: $0, isDirectory: isDirectory, relativeTo: nil) }
    }

    /// For functions of C.
    public func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
        return try terminated.withUnsafeBufferPointer { try body($0.baseAddress!) }
    }
}

/// Names a watch within its `Watcher`; never used twice.
public struct Watch: Hashable, Sendable {
    public let number: Int32
}

/// One change.
public struct Event: Sendable {
    public enum Kind: Hashable, Sendable {
        case created
        case deleted
        /// The content changed; with `Flags.replaced` another file has taken the name.
        case modified
        /// Mode, owner or extended attributes changed.
        case attributes
        /// It is at `destination` now, with all that is below it.
        case moved
        case rescanned
        case rootGone
        case rootBack
        case unmounted
        /// `count` entries are polled; 0: none any more.
        case degraded
        /// It could not be read; `errno` says why.
        case failed
        case ready
        /// Of a later library.
        case unknown(UInt32)
    }

    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        public static let isDirectory = Flags(rawValue: UInt32(KW_IS_DIR))
        public static let isSymbolicLink = Flags(rawValue: UInt32(KW_IS_SYMLINK))
        public static let replaced = Flags(rawValue: UInt32(KW_REPLACED))
        public static let initial = Flags(rawValue: UInt32(KW_INITIAL))
        public static let expanded = Flags(rawValue: UInt32(KW_EXPANDED))
    }

    public let kind: Kind
    public let flags: Flags
    public let watch: Watch
    /// Of `Kind.failed`, else 0.
    public let errno: Int32
    /// Begins with the root as it was given to `add`.
    public let path: Path
    /// Of `Kind.moved`: where to.
    public let destination: Path?
    /// How much of `path` and `destination` is the root, with the slash that follows it.
    public let rootLength: Int
    /// 1, 2, 3, ... within the watcher.
    public let sequence: UInt64
    public let device: UInt64
    public let inode: UInt64
    public let size: UInt64
    /// In nanoseconds since the epoch, as last seen; 0 for what is gone.
    public let modificationTime: Int64
    /// Of `Kind.degraded`, else 0.
    public let count: UInt64

    /// `path` relative to the root; empty for the root itself.
    public var relativePath: Path { Path(bytes: Array(path.bytes.dropFirst(rootLength))) }
    public var relativeDestination: Path? {
        destination.map { Path(bytes: Array($0.bytes.dropFirst(rootLength))) }
    }

    /// Copies all that belongs to the library.
    init(_ event: kw_event) {
        kind = Kind(event.kind)
        flags = Flags(rawValue: event.flags)
        watch = Watch(number: event.watch)
        errno = event.error
        path = Path(event.path, event.path_len)
        destination = event.dest == nil ? nil : Path(event.dest, event.dest_len)
        rootLength = Int(event.root_len)
        sequence = event.sequence
        device = event.device
        inode = event.inode
        size = event.size
        modificationTime = event.mtime_ns
        count = event.count
    }
}

extension Path {
    init(_ start: UnsafePointer<CChar>?, _ length: Int) {
        bytes = UnsafeBufferPointer(start: start, count: length).map { UInt8(bitPattern: $0) }
    }
}

extension Event.Kind {
    init(_ kind: UInt32) {
        switch Int32(truncatingIfNeeded: kind) {
        case KW_CREATED: self = .created
        case KW_DELETED: self = .deleted
        case KW_MODIFIED: self = .modified
        case KW_ATTRIB: self = .attributes
        case KW_MOVED: self = .moved
        case KW_RESCANNED: self = .rescanned
        case KW_ROOT_GONE: self = .rootGone
        case KW_ROOT_BACK: self = .rootBack
        case KW_UNMOUNTED: self = .unmounted
        case KW_DEGRADED: self = .degraded
        case KW_ERROR: self = .failed
        case KW_READY: self = .ready
        default: self = .unknown(kind)
        }
    }
}
