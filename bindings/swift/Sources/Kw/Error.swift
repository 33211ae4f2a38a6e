import CKw
import Foundation

/// What a call failed with.
public struct KwError: Error, CustomStringConvertible, Sendable {
    /// A `KW_E_` code of kw.h.
    public let status: Int32
    /// The `errno` of the system call that failed, or 0.
    public let errno: Int32
    /// What was being done, in a few English words.
    public let operation: String
    /// The path that was concerned; empty if there is none.
    public let path: Path

    /// Nothing is at that path.
    public var isNotFound: Bool { status == KW_E_NOT_FOUND }
    /// Permission was denied.
    public var isDenied: Bool { status == KW_E_DENIED }
    /// The file of `since` was not written by `save`, or is damaged.
    public var isSnapshot: Bool { status == KW_E_SNAPSHOT }

    public var description: String {
        let why = errno != 0 ? String(cString: strerror(errno)) : String(cString: kw_strerror(status))
        return [path.string, operation, why].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    /// Of a code that a function has returned; `handle` is nil for kw_open.
    init(_ status: Int32, _ handle: OpaquePointer?) {
        var detail = ckw_error()
        self.status = status
        guard kw_last_error(handle, &detail) == KW_OK, detail.status == status else {
            // Another thread's call has failed since.
            self.errno = 0
            self.operation = ""
            self.path = Path(bytes: [])
            return
        }
        self.errno = detail.sys_errno
        self.operation = withUnsafePointer(to: &detail) { String(cString: ckw_error_operation($0)) }
        self.path = withUnsafePointer(to: &detail) { error in
            Path(ckw_error_path(error), strlen(ckw_error_path(error)))
        }
    }

    init(invalid operation: String, _ path: String) {
        self.status = KW_E_INVALID
        self.errno = 0
        self.operation = operation
        self.path = Path(bytes: Array(path.utf8))
    }
}
