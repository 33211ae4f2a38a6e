// Prints what changes below a directory, one line an event, until it gets SIGINT or SIGTERM.
import Dispatch
import Foundation
import Kw

// A name is bytes, and is printed as it is, but for a line break, which would spoil the line.
func oneLine(_ path: Path) -> [UInt8] {
    path.bytes.flatMap { (byte: UInt8) -> [UInt8] in
        switch byte {
        case UInt8(ascii: "\n"): return Array("\\n".utf8)
        case UInt8(ascii: "\\"): return Array("\\\\".utf8)
        default: return [byte]
        }
    }
}

func name(of event: Event) -> String {
    switch event.kind {
    case .created: return "created"
    case .deleted: return "deleted"
    case .modified: return event.flags.contains(.replaced) ? "replaced" : "modified"
    case .attributes: return "attrib"
    case .moved: return "moved"
    case .rescanned: return "rescanned"
    case .rootGone: return "root gone"
    case .rootBack: return "root back"
    case .unmounted: return "unmounted"
    case .degraded: return "degraded"
    case .failed: return "error"
    case .ready: return "ready"
    case .unknown(let kind): return "kind \(kind)"
    }
}

func line(of event: Event) -> [UInt8] {
    var mark: [UInt8] = []
    if event.flags.contains(.isDirectory) {
        mark = Array("/".utf8)
    } else if event.flags.contains(.isSymbolicLink) {
        mark = Array("@".utf8)
    }
    var line = Array("\(name(of: event)) ".utf8) + oneLine(event.path) + mark
    if let destination = event.destination {
        line += Array(" -> ".utf8) + oneLine(destination) + mark
    }
    if event.errno != 0 {
        line += Array(": \(String(cString: strerror(event.errno)))".utf8)
    }
    return line + [UInt8(ascii: "\n")]
}

func complain(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
}

guard CommandLine.arguments.count == 2 else {
    complain("usage: kw-watch DIR")
    exit(2)
}
let directory = CommandLine.arguments[1]
do {
    let watcher = try Watcher()
    let signals = [SIGINT, SIGTERM].map { (number: Int32) -> DispatchSourceSignal in
        signal(number, SIG_IGN) // the source gets it all the same
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { watcher.stop() }
        source.resume()
        return source
    }
    try watcher.add(directory, WatchOptions(.recursive))
    FileHandle.standardOutput.write(Data("watching \(directory)\n".utf8))
    for try await event in watcher.events {
        FileHandle.standardOutput.write(Data(line(of: event)))
    }
    signals.forEach { $0.cancel() }
} catch {
    complain("\(error)")
    exit(1)
}
