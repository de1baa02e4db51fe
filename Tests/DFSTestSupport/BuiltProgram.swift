internal import Foundation

/// The programs that this build made.
public enum BuiltProgram {
  /// The path of a door of this package, as `swift build` made it.
  public static func path(_ name: String) -> String {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return root.appendingPathComponent(".build/debug/\(name)").path
  }
}
