import CKw
import Foundation

/// How to open a `Watcher`. kw.h says what each option means.
public struct Options: Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        public static let raiseLimit = Flags(rawValue: UInt32(KW_RAISE_LIMIT))
        public static let pollOnly = Flags(rawValue: UInt32(KW_POLL_ONLY))
    }

    public var flags: Flags = []
    public var pollInterval: TimeInterval = 0
    public var pollLooks: UInt32 = 0
    public var watchLimit: UInt64 = 0
    public var descriptorReserve: UInt32 = 0
    public var crawlThreads: UInt32 = 0
    /// For tests: a script of what is to go wrong.
    public var faults: String?

    public init() {}
}

/// How to watch a path. kw.h says what each option means.
public struct WatchOptions: Sendable {
    public struct Flags: OptionSet, Sendable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) {
            self.rawValue = rawValue
        }

        public static let recursive = Flags(rawValue: UInt32(KW_RECURSIVE))
        public static let directoryModified = Flags(rawValue: UInt32(KW_DIR_MODIFIED))
        public static let syncAll = Flags(rawValue: UInt32(KW_SYNC_ALL))
        public static let initial = Flags(rawValue: UInt32(KW_INITIAL))
        public static let expanded = Flags(rawValue: UInt32(KW_EXPANDED))
        public static let directoriesOnly = Flags(rawValue: UInt32(KW_DIRS_ONLY))
        public static let oneDevice = Flags(rawValue: UInt32(KW_ONE_DEVICE))
        public static let skipHidden = Flags(rawValue: UInt32(KW_SKIP_HIDDEN))
        public static let gitignore = Flags(rawValue: UInt32(KW_GITIGNORE))
        public static let allowMissing = Flags(rawValue: UInt32(KW_ALLOW_MISSING))
    }

    public var flags: Flags
    public var exclude: [String]
    public var include: [String]
    public var depth: UInt32 = 0
    public var settle: TimeInterval = 0
    public var settleMaximum: TimeInterval = 0
    /// A file that `save` has written.
    public var since: String?

    public init(_ flags: Flags = [], exclude: [String] = [], include: [String] = [], since: String? = nil) {
        self.flags = flags
        self.exclude = exclude
        self.include = include
        self.since = since
    }
}

/// Some of the figures of kw_stats.
public struct Statistics: Sendable {
    public let engine: String
    public let entries: UInt64
    public let kernelWatches: UInt64
    public let polled: UInt64
    public let overflows: UInt64
    public let limitedBy: String
    /// Seconds that a round of looks at what is polled takes.
    public let round: TimeInterval
    /// Whether a call of `add` crawls.
    public let isCrawling: Bool
}

/// A duration as the library wants it; rounded up, so that a short one is not none.
func milliseconds(_ seconds: TimeInterval) throws -> UInt32 {
    let rounded = (seconds * 1000).rounded(.up)
    guard rounded >= 0, rounded <= Double(Int32.max) else {
        throw KwError(invalid: "duration of \(seconds) s", "")
    }
    return UInt32(rounded)
}
