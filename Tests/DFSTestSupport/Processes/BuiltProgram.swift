internal import Foundation

/// The programs that this build made.
public enum BuiltProgram {
  /// The path of an executable of this package, as `swift build` made it.
  public static func path(_ name: String) -> String {
    root.appendingPathComponent(".build/debug/\(name)").path
  }

  /// The path of a script of this package.
  public static func script(_ name: String) -> String {
    root.appendingPathComponent("scripts/\(name)").path
  }

  private static var root: URL {
    URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
  }
}
