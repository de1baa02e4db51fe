// swift-tools-version: 6.2
// The package: modules, executables and their tests. docs/ARCHITECTURE.md says which module may use
// which; Tests/RepositoryRules enforces it.
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let asn1 = Target.Dependency.product(name: "SwiftASN1", package: "swift-asn1")
let nioTest = Target.Dependency.product(name: "NIOTestUtils", package: "swift-nio")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let cryptoExtras = Target.Dependency.product(name: "CryptoExtras", package: "swift-crypto")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let unixSignals = Target.Dependency.product(
  name: "UnixSignals", package: "swift-service-lifecycle")

/// Used by the packages above only; see the versions below.
let pinned: [Target.Dependency] = [
  .product(name: "X509", package: "swift-certificates"),
  .product(name: "AsyncAlgorithms", package: "swift-async-algorithms"),
  .product(name: "Atomics", package: "swift-atomics"),
  .product(name: "DequeModule", package: "swift-collections"),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
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
    .library(name: "DFSClient", targets: ["DFSClient", "DFSConfiguration", "DFSCore"]),
    // For tests: LD_PRELOAD makes chosen files of a program fail.
    .library(name: "FailingFiles", type: .dynamic, targets: ["FailingFiles"]),
  ],
  // Exact, also of what these need themselves: a build is the same on every machine and every day,
  // and another version comes in on purpose, by a change of this file. (Package.resolved, which is not
  // kept in the repository, then says nothing new.)
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    .package(url: "https://github.com/apple/swift-certificates", exact: "1.21.1"),
    .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-asn1.git", exact: "1.7.4"),
    .package(url: "https://github.com/apple/swift-async-algorithms.git", exact: "1.1.4"),
    .package(url: "https://github.com/apple/swift-atomics.git", exact: "1.3.0"),
    .package(url: "https://github.com/apple/swift-collections.git", exact: "1.6.0"),
    .package(url: "https://github.com/apple/swift-system.git", exact: "1.8.1"),
  ],
  targets: [
    .systemLibrary(
      name: "CFuse", path: "CFuse", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
    .systemLibrary(
      name: "CXXHash", path: "Sources/CXXHash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CLinux", path: "Sources/CLinux"),
    .systemLibrary(
      name: "CSQLite", path: "Sources/CSQLite", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(name: "CEdit", path: "Sources/CEdit", providers: [.apt(["libedit-dev"])]),

    module("DFSCore", ["CXXHash", crypto]),
    module("DFSSystem", ["DFSCore", "CLinux", system]),
    module("DFSConfiguration", ["DFSCore", "DFSSystem"]),
    module("DFSReplication", ["DFSCore"]),
    .target(
      name: "DFSWire",
      dependencies: [
        "DFSCore", nioCore, nioSSL, nioTLS, protobuf, crypto, cryptoExtras, asn1,
      ],
      exclude: ["dfs.proto"], swiftSettings: settings),
    module(
      "DFSStore",
      [
        "DFSCore", "DFSSystem", "DFSReplication", "CLinux", "CSQLite", nioPosix, grdb, logging,
        system,
      ]),
    module(
      "DFSRescue",
      ["DFSCore", "DFSSystem", "DFSReplication", "DFSStore", "CLinux", grdb]),
    module(
      "DFSServer",
      [
        "DFSCore", "DFSSystem", "DFSReplication", "DFSWire", "DFSStore", system, nioCore, nioPosix,
        nioConcurrency,
        crypto, asn1, logging, lifecycle,
      ]),
    module(
      "DFSClient",
      [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSReplication", "DFSWire", nioCore, nioPosix,
        nioConcurrency, crypto, logging,
      ]),
    module(
      "DFSMount",
      [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSClient", "CFuse", "CLinux", system,
        nioPosix,
        logging, unixSignals,
      ]),
    module("DFSCommandLine", ["DFSCore", "DFSSystem", system, arguments, logging]),

    executable(
      "dfs",
      [
        "DFSCore", "DFSSystem", "DFSServer", "DFSStore", "DFSRescue", "DFSCommandLine", arguments,
        logging, lifecycle, unixSignals,
      ]),
    executable(
      "dfc",
      [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSClient", "DFSCommandLine", "CEdit", system,
        arguments, logging, unixSignals,
      ]),
    executable(
      "dfs-mount",
      [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSClient", "DFSMount", "DFSCommandLine",
        arguments, logging,
      ]),

    .target(
      name: "DFSTestSupport",
      dependencies: ["DFSCore", "DFSSystem", "DFSConfiguration", "DFSReplication"],
      path: "Tests/DFSTestSupport", swiftSettings: settings),
    .target(name: "CTaskHook", path: "Tests/CTaskHook"),
    .target(
      name: "DFSSimulation",
      dependencies: [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSReplication", "DFSWire", "DFSClient",
        "DFSTestSupport", "CTaskHook", nioCore, logging,
      ],
      path: "Tests/DFSSimulation", swiftSettings: settings),
    .executableTarget(
      name: "dfs-simulate", dependencies: ["DFSSimulation"], path: "Tests/Simulate",
      swiftSettings: settings),
    .executableTarget(
      name: "dfs-torture", dependencies: ["CLinux", "DFSCore", "DFSSystem", "DFSTestSupport"],
      path: "Tests/Torture",
      swiftSettings: settings),
    .executableTarget(
      name: "dfs-fuzz",
      dependencies: ["CLinux", "DFSCore", "DFSSystem", "DFSWire", "DFSTestSupport"],
      path: "Tests/Fuzz",
      swiftSettings: settings),
    .executableTarget(
      name: "dfs-example", dependencies: ["DFSCore", "DFSConfiguration", "DFSClient", logging],
      path: "Tests/Example",
      swiftSettings: settings),
    .target(name: "FailingFiles", path: "Tests/FailingFiles"),
    .target(
      name: "DFSStoreFixtures", dependencies: ["DFSCore", "DFSReplication", "DFSStore", logging],
      path: "Tests/DFSStoreFixtures", swiftSettings: settings),
    tests("DFSCoreTests", ["DFSCore", "DFSTestSupport"]),
    tests("DFSSystemTests", ["DFSCore", "DFSSystem", "DFSTestSupport"]),
    tests("DFSConfigurationTests", ["DFSCore", "DFSSystem", "DFSConfiguration", "DFSTestSupport"]),
    tests(
      "DFSReplicationTests", ["DFSCore", "DFSReplication", "DFSSimulation", "DFSTestSupport"]),
    tests("DFSWireTests", ["DFSCore", "DFSWire", nioCore, nioEmbedded, nioTest, protobuf]),
    tests(
      "DFSStoreTests",
      [
        "DFSCore", "DFSSystem", "DFSReplication", "DFSStore", "DFSStoreFixtures", "DFSTestSupport",
      ]),
    tests("DFSRescueTests", ["DFSCore", "DFSStore", "DFSStoreFixtures", "DFSRescue"]),
    tests(
      "DFSServerTests",
      [
        "DFSCore", "DFSSystem", "DFSWire", "DFSServer", "DFSStore", "DFSTestSupport", nioCore,
        nioPosix, logging,
      ]),
    tests(
      "DFSClientTests",
      [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSClient", "DFSReplication", "DFSWire",
        "DFSTestSupport", nioCore, nioPosix, logging,
      ]),
    tests("DFSCommandLineTests", ["DFSCore", "DFSSystem", "DFSCommandLine", arguments, logging]),
    tests(
      "DFSMountTests",
      [
        "DFSCore", "DFSSystem", "DFSConfiguration", "DFSClient", "DFSMount", "DFSTestSupport",
        logging,
      ]),
    // It names what only other packages use, since SwiftPM warns of what nobody names.
    tests("RepositoryRules", ["DFSCore"] + pinned),
    tests("EndToEndTests", ["DFSCore", "DFSSystem", "DFSConfiguration", "DFSTestSupport"]),
  ]
)
