import Foundation
import Testing

/// The tree shows the architecture: small folders, and files that are named after what they declare.
@Suite struct FolderRules {
  private static let filesBound = 15

  /// The Swift files of each folder, by its path.
  private static let folders = Dictionary(grouping: Repository.sources + Repository.tests) {
    URL(fileURLWithPath: $0.path).deletingLastPathComponent().relativePath
  }

  @Test func foldersAreSmall() {
    for (folder, files) in Self.folders {
      #expect(
        files.count <= Self.filesBound,
        "\(folder) has \(files.count) Swift files; the limit is \(Self.filesBound): make folders in it"
      )
    }
  }

  /// Of a large module every file is in a folder that says what for.
  @Test func noFileIsAtTheRootOfALargeModule() {
    for (module, files) in Dictionary(grouping: Repository.sources, by: \.module)
    where files.count > Self.filesBound {
      let loose = files.map(\.path).filter { $0.split(separator: "/").count == 3 }
      #expect(
        loose.isEmpty, "\(module) has \(files.count) files; move these into folders: \(loose)")
    }
  }

  /// A file that only extends one type is `Type+Aspect.swift`.
  @Test(arguments: Repository.sources)
  func anExtensionIsNamedAfterItsType(_ file: Repository.File) {
    let code = Code.lines(of: file).joined(separator: "\n")
    let declaration =
      /(?m)^(?:@\w+(?:\([^)]*\))? )*(?:(?:public|package|internal|final|indirect) )*(?:struct|class|enum|actor|protocol|func|let|var|typealias)\s/
    guard code.firstMatch(of: declaration) == nil else { return }
    let types = Set(
      code.matches(of: /(?m)^(?:(?:public|package) )?extension ([\w.]+)/).map { String($0.1) })
    guard types.count == 1, let type = types.first else { return }
    let name = URL(fileURLWithPath: file.path).deletingPathExtension().lastPathComponent
    let base = type.split(separator: ".")[0]
    #expect(
      name.hasPrefix("\(base)+") || name == base, "\(file.path): call it \(base)+Aspect.swift")
  }
}
