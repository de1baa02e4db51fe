// swift-tools-version: 6.1
// The house: rooms (libraries), doors (executables) and their tests. docs/ARCHITECTURE.md says
// which room may use which; Tests/HouseTests enforces it.
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .unsafeFlags(["-warnings-as-errors"]),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioTest = Target.Dependency.product(name: "NIOTestUtils", package: "swift-nio")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(
  name: "UnixSignals", package: "swift-service-lifecycle")

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func door(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
  name: "dfs",
  products: [
    .executable(name: "dfs", targets: ["dfs"]),
    .executable(name: "dfc", targets: ["dfc"]),
    .executable(name: "dfs-mount", targets: ["dfs-mount"]),
    // For tests: LD_PRELOAD makes chosen files of a program fail.
    .library(name: "FailingFiles", type: .dynamic, targets: ["FailingFiles"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CFuse", path: "CFuse", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
    .systemLibrary(
      name: "CXXHash", path: "Sources/CXXHash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CLinux", path: "Sources/CLinux"),
    .systemLibrary(name: "CEdit", path: "Sources/CEdit", providers: [.apt(["libedit-dev"])]),

    room("DFSCore", ["CXXHash", crypto]),
    room("DFSReplication", ["DFSCore"]),
    .target(
      name: "DFSWire", dependencies: ["DFSCore", nioCore, protobuf, crypto, cryptoExtras],
      exclude: ["dfs.proto"], swiftSettings: settings),
    room("DFSStore", ["DFSCore", "DFSReplication", "CLinux", nioPosix, grdb, logging]),
    room(
      "DFSServer",
      [
        "DFSCore", "DFSReplication", "DFSWire", "DFSStore", nioCore, nioPosix, nioConcurrency,
        crypto, logging, lifecycle,
      ]),
    room(
      "DFSClient",
      [
        "DFSCore", "DFSReplication", "DFSWire", nioCore, nioPosix, nioConcurrency, crypto, logging,
      ]),
    room("DFSMount", ["DFSCore", "DFSClient", "CFuse", "CLinux", nioPosix, logging]),

    door("dfs", ["DFSCore", "DFSServer", "DFSStore", arguments, logging, lifecycle, unixSignals]),
    door("dfc", ["DFSCore", "DFSClient", "CEdit", arguments, logging]),
    door("dfs-mount", ["DFSCore", "DFSClient", "DFSMount", arguments, logging]),

    .target(
      name: "DFSTestSupport",
      dependencies: ["DFSCore", "DFSReplication"],
      path: "Tests/DFSTestSupport",
      // The simulation runs thousands of worlds, in debug builds too.
      swiftSettings: settings + [.unsafeFlags(["-O"], .when(configuration: .debug))]),
    .executableTarget(
      name: "dfs-simulate", dependencies: ["DFSTestSupport"], path: "Tests/Simulate",
      swiftSettings: settings),
    .executableTarget(
      name: "dfs-torture", dependencies: ["CLinux", "DFSCore", "DFSTestSupport"],
      path: "Tests/Torture",
      swiftSettings: settings),
    .target(name: "FailingFiles", path: "Tests/FailingFiles"),
    tests("DFSCoreTests", ["DFSCore", "DFSTestSupport"]),
    tests("DFSReplicationTests", ["DFSCore", "DFSReplication", "DFSTestSupport"]),
    tests("DFSWireTests", ["DFSCore", "DFSWire", nioCore, nioEmbedded, nioTest, protobuf]),
    tests("DFSStoreTests", ["DFSCore", "DFSReplication", "DFSStore", "DFSTestSupport"]),
    tests(
      "DFSServerTests",
      [
        "DFSCore", "DFSWire", "DFSServer", "DFSStore", "DFSTestSupport", nioCore, nioPosix, logging,
      ]),
    tests(
      "DFSClientTests",
      ["DFSCore", "DFSClient", "DFSReplication", "DFSWire", "DFSTestSupport", nioCore, logging]),
    tests("DFSMountTests", ["DFSCore", "DFSClient", "DFSMount", "DFSTestSupport", logging]),
    tests("HouseTests", []),
    tests("EndToEndTests", ["DFSCore", "DFSTestSupport"]),
  ]
)
