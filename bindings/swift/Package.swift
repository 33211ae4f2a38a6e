// swift-tools-version:5.8
import PackageDescription

let package = Package(
    name: "kw",
    platforms: [.macOS(.v11)],
    products: [
        .library(name: "Kw", targets: ["Kw"])
    ],
    targets: [
        .systemLibrary(name: "CKw", pkgConfig: "kw"),
        .target(name: "Kw", dependencies: ["CKw"]),
        .executableTarget(name: "kw-watch", dependencies: ["Kw"]),
        .testTarget(name: "KwTests", dependencies: ["Kw"]),
    ]
)
