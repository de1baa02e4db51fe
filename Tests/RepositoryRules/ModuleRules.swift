import Foundation
import Testing

/// Who may import whom. SwiftPM does not enforce it: a target can import a sibling that it does not
/// declare. docs/ARCHITECTURE.md says why.
@Suite struct ModuleRules {
  private static let system: Set<String> = [
    "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Synchronization",
  ]
  private static let nio: Set<String> = [
    "NIOCore", "NIOPosix", "NIOConcurrencyHelpers", "NIOFoundationCompat",
  ]
  private static let executable: Set<String> = [
    "DFSCore", "DFSSystem", "DFSCommandLine", "ArgumentParser", "Logging",
  ]

  /// For each module all that it may import.
  private static let mayImport: [String: Set<String>] = [
    "DFSCore": system.union(["CXXHash", "Crypto"]),
    "DFSSystem": system.union(["DFSCore", "CLinux", "SystemPackage"]),
    "DFSConfiguration": system.union(["DFSCore", "DFSSystem"]),
    // Pure decisions: nothing that could do I/O or tell the time.
    "DFSReplication": ["DFSCore"],
    "DFSWire": system.union([
      "DFSCore", "NIOCore", "NIOSSL", "NIOTLS", "SwiftASN1", "SwiftProtobuf", "Crypto",
      "CryptoExtras", "_CryptoExtras",
    ]),
    "DFSStore": system.union([
      "DFSCore", "DFSSystem", "DFSReplication", "CLinux", "CSQLite", "GRDB", "GRDBSQLite",
      "Logging", "NIOPosix", "SystemPackage",
    ]),
    "DFSRescue": system.union([
      "DFSCore", "DFSSystem", "DFSReplication", "DFSStore", "CLinux", "GRDB",
    ]),
    "DFSServer": system.union(nio).union([
      "DFSCore", "DFSSystem", "DFSReplication", "DFSWire", "DFSStore", "Crypto", "Logging",
      "ServiceLifecycle", "SwiftASN1", "SystemPackage",
    ]),
    "DFSClient": system.union(nio).union([
      "DFSCore", "DFSSystem", "DFSConfiguration", "DFSReplication", "DFSWire", "Crypto", "Logging",
    ]),
    "DFSMount": system.union([
      "DFSCore", "DFSSystem", "DFSConfiguration", "DFSClient", "CFuse", "CLinux", "Logging",
      "NIOPosix", "SystemPackage", "UnixSignals",
    ]),
    "DFSCommandLine": system.union([
      "DFSCore", "DFSSystem", "ArgumentParser", "Logging", "SystemPackage",
    ]),
    "dfs": system.union(executable).union([
      "DFSServer", "DFSStore", "DFSRescue", "ServiceLifecycle", "UnixSignals",
    ]),
    "dfc": system.union(executable).union([
      "DFSConfiguration", "DFSClient", "CEdit", "SystemPackage", "UnixSignals",
    ]),
    "dfs-mount": system.union(executable).union(["DFSConfiguration", "DFSClient", "DFSMount"]),
  ]

  private static let executables: Set<String> = ["dfs", "dfc", "dfs-mount"]

  private static func imports(of file: Repository.File) -> [String] {
    file.lines.compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
        words[..<index].allSatisfy({
          $0.hasPrefix("@") || ["public", "package", "internal", "private"].contains($0)
        })
      else { return nil }
      // `import struct Module.Type` names the module in its last word.
      return words[words.count - 1].split(separator: ".").first.map(String.init)
    }
  }

  @Test(arguments: Repository.sources) func importsOnlyWhatItsModuleMay(_ file: Repository.File) {
    guard let allowed = Self.mayImport[file.module] else {
      Issue.record("\(file.path): no rule says what \(file.module) may import; add one here")
      return
    }
    for module in Self.imports(of: file) {
      #expect(allowed.contains(module), "\(file.path) imports \(module)")
    }
  }

  /// One folder of the mount translates between libfuse and values, and needs no client for that.
  @Test(arguments: Repository.sources) func onlyOneFolderSeesLibfuse(_ file: Repository.File) {
    let imports = Self.imports(of: file)
    if file.path.hasPrefix("Sources/DFSMount/Fuse/") {
      #expect(!imports.contains("DFSClient"), "\(file.path) imports DFSClient")
    } else {
      #expect(!imports.contains("CFuse"), "\(file.path) imports CFuse")
    }
  }

  @Test func theRuleBites() {
    let file = Repository.File(
      path: "Sources/DFSMount/A.swift",
      text:
        "public import DFSCore\n  @preconcurrency import struct NIOCore.ByteBuffer\n// import X\n")
    #expect(Self.imports(of: file) == ["DFSCore", "NIOCore"])
    #expect(Self.mayImport["DFSMount"]?.contains("NIOCore") == false)
    #expect(Self.mayImport["DFSStore"]?.contains("DFSWire") == false)
    #expect(Self.mayImport["DFSClient"]?.contains("DFSStore") == false)
    #expect(Self.mayImport["DFSServer"]?.contains("DFSClient") == false)
  }

  @Test(arguments: Repository.sources) func onlyExecutablesPrint(_ file: Repository.File) {
    guard !Self.executables.contains(file.module) else { return }
    for (index, line) in Code.lines(of: file).enumerated() {
      #expect(
        line.firstMatch(of: /(^|[^.\w])print\(/) == nil,
        "\(file.path):\(index + 1): only executables print; modules log or return")
    }
  }

  @Test func everyModuleIsThere() {
    #expect(Set(Repository.sources.map(\.module)) == Set(Self.mayImport.keys))
  }
}
