internal import Foundation

/// The programs that this build made.
public enum BuiltProgram {
  /// The path of an executable of this package, as `swift build` made it: what the folder
  /// DFS_TEST_PROGRAMS has, else what was built for debugging.
  public static func path(_ name: String) -> String {
    if let folder = ProcessInfo.processInfo.environment["DFS_TEST_PROGRAMS"] {
      let path = folder + "/" + name
      if FileManager.default.fileExists(atPath: path) { return path }
    }
    return root.appendingPathComponent(".build/debug/\(name)").path
  }

  /// The path of a script of this package.
  public static func script(_ name: String) -> String {
    root.appendingPathComponent("scripts/\(name)").path
  }

  /// The folder of Package.swift, in which this file is somewhere.
  private static var root: URL {
    var folder = URL(fileURLWithPath: #filePath)
    repeat {
      folder.deleteLastPathComponent()
    } while folder.path != "/"
      && !FileManager.default.fileExists(
        atPath: folder.appendingPathComponent("Package.swift").path)
    return folder
  }
}
