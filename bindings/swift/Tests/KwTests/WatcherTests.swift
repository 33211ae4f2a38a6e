import Foundation
import XCTest

import Kw

final class WatcherTests: XCTestCase {
    private var root = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("kw-swift-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        root = url.path
    }

    override func tearDownWithError() throws {
        try FileManager.default.removeItem(atPath: root)
    }

    private func at(_ name: String) -> String { "\(root)/\(name)" }

    private func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: at(name), withIntermediateDirectories: false)
    }

    private func makeFile(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: at(name)))
    }

    /// All that has happened, as lines.
    private func told(_ watcher: Watcher) throws -> [String] {
        var lines: [String] = []
        while true {
            let events = try watcher.poll()
            if events.isEmpty {
                return lines
            }
            for event in events {
                let destination = event.relativeDestination.map { " -> \($0)" } ?? ""
                lines.append("\(event.kind) \(event.relativePath)\(destination)")
            }
        }
    }

    func testWhatHappenedIsTold() throws {
        let watcher = try Watcher()
        try watcher.add(root, WatchOptions(.recursive))
        try makeDirectory("a")
        try makeFile("a/f", "text")
        XCTAssertEqual(try told(watcher), ["created a", "created a/f"])
        XCTAssertEqual(rename(at("a"), at("b")), 0)
        XCTAssertEqual(try told(watcher), ["moved a -> b"])
    }

    func testMoreEventsThanOneCallHasRoomFor() throws {
        let watcher = try Watcher()
        try watcher.add(root)
        for i in 0..<200 {
            try makeDirectory("d\(i)")
        }
        XCTAssertEqual(Set(try told(watcher)).count, 200)
    }

    func testAnEventSaysWhatTheFileIs() throws {
        let watcher = try Watcher()
        let watch = try watcher.add(root)
        try makeFile("f", "text")
        let event = try XCTUnwrap(try watcher.poll().first)
        var status = stat()
        XCTAssertEqual(lstat(at("f"), &status), 0)
        XCTAssertEqual(event.kind, .created)
        XCTAssertEqual(event.path.string, at("f"))
        XCTAssertEqual(event.path.url(isDirectory: false).path, at("f"))
        XCTAssertEqual(event.watch, watch)
        XCTAssertEqual(event.size, 4)
        XCTAssertEqual(event.inode, UInt64(status.st_ino))
        XCTAssertEqual(event.sequence, 1)
        XCTAssertNil(event.destination)
        XCTAssertTrue(event.flags.isEmpty)
    }

    #if !os(macOS)
    func testNamesAreBytes() throws {
        let watcher = try Watcher()
        try watcher.add(root)
        let name = Path(bytes: Array("\(root)/".utf8) + [0xff])
        let descriptor = name.withCString { creat($0, 0o644) }
        XCTAssertGreaterThanOrEqual(descriptor, 0)
        close(descriptor)
        XCTAssertEqual(try watcher.poll().first?.path, name)
    }
    #endif

    func testFiltersAndFirstSight() throws {
        let watcher = try Watcher()
        for name in ["f.c", "f.o", "g.h"] {
            try makeFile(name, "")
        }
        try watcher.add(root, WatchOptions([.recursive, .initial], exclude: ["*.o", "*.h"]))
        XCTAssertEqual(try told(watcher), ["rootBack ", "created f.c", "ready "])
        let watch = try watcher.add(root, WatchOptions(.initial, include: ["*.h"]))
        XCTAssertEqual(try told(watcher), ["rootBack ", "created g.h", "ready "])
        try watcher.remove(watch)
        XCTAssertThrowsError(try watcher.remove(watch))
    }

    func testGitignore() throws {
        let watcher = try Watcher()
        try makeFile(".gitignore", "*.o\n")
        try makeFile("f.o", "")
        try watcher.add(root, WatchOptions([.recursive, .initial, .gitignore]))
        XCTAssertEqual(try told(watcher), ["rootBack ", "created .gitignore", "ready "])
    }

    func testFaults() throws {
        var options = Options()
        options.faults = "overflow after 0"
        let watcher = try Watcher(options)
        try watcher.add(root)
        for i in 0..<100 {
            try makeDirectory("d\(i)")
        }
        XCTAssertTrue(try told(watcher).contains("rescanned "))
        options.faults = "a\0b"
        XCTAssertThrowsError(try Watcher(options))
    }

    func testWhatHappenedSinceItWasSaved() throws {
        try makeDirectory("tree")
        do {
            let watcher = try Watcher()
            let watch = try watcher.add(at("tree"), WatchOptions(.recursive))
            try watcher.save(watch, to: at("saved"))
        }
        try makeDirectory("tree/a")
        let watcher = try Watcher()
        try watcher.add(at("tree"), WatchOptions(.recursive, since: at("saved")))
        XCTAssertEqual(try told(watcher), ["created a", "ready "])
    }

    func testAnIterationWaitsAndStops() async throws {
        let watcher = try Watcher()
        try watcher.add(root)
        let name = at("a")
        DispatchQueue.global().asyncAfter(deadline: .now() + 0.01) {
            try? FileManager.default.createDirectory(atPath: name, withIntermediateDirectories: false)
        }
        var seen: [String] = []
        for try await event in watcher.events {
            seen.append(event.relativePath.string)
            DispatchQueue.global().asyncAfter(deadline: .now() + 0.01) { watcher.stop() }
        }
        XCTAssertEqual(seen, ["a"])
    }

    func testAnIterationThatIsLeftLosesNothing() async throws {
        let watcher = try Watcher()
        try watcher.add(root)
        for name in ["a", "b", "c"] {
            try makeDirectory(name)
        }
        for expected in ["a", "b"] {
            for try await event in watcher.events {
                XCTAssertEqual(event.relativePath.string, expected)
                break
            }
        }
        XCTAssertEqual(try told(watcher), ["created c"])
    }

    func testCancellationEndsAnIteration() async throws {
        let watcher = try Watcher()
        try watcher.add(root)
        let task = Task { () -> Int in
            var count = 0
            for try await _ in watcher.events {
                count += 1
            }
            return count
        }
        task.cancel()
        let count = try await task.value
        XCTAssertEqual(count, 0)
        // The watcher goes on.
        try makeDirectory("a")
        XCTAssertEqual(try told(watcher), ["created a"])
    }

    func testErrorsHaveThePath() throws {
        let watcher = try Watcher()
        XCTAssertThrowsError(try watcher.add(at("missing"))) { error in
            let error = error as? KwError
            XCTAssertEqual(error?.isNotFound, true)
            XCTAssertEqual(error?.errno, ENOENT)
            XCTAssertEqual(error?.path.string, at("missing"))
            XCTAssertEqual(error?.operation.isEmpty, false)
        }
        XCTAssertThrowsError(try watcher.add("a\0b"))
        XCTAssertThrowsError(try watcher.add(root, WatchOptions(exclude: ["a\0b"])))
        var options = Options()
        options.flags = .pollOnly
        options.watchLimit = 1
        XCTAssertThrowsError(try Watcher(options))
        options.pollInterval = -1
        XCTAssertThrowsError(try Watcher(options))
    }

    func testStatistics() throws {
        let watcher = try Watcher()
        try watcher.add(root)
        let statistics = try watcher.statistics()
        XCTAssertFalse(statistics.engine.isEmpty)
        XCTAssertEqual(statistics.entries, 1)
        XCTAssertEqual(statistics.polled, 0)
        XCTAssertFalse(statistics.isCrawling)
        try watcher.sync()
    }
}
