import Foundation
import Testing

/// The files of this repository, as far as somebody wrote them.
enum Repository {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// A file's path from the root, and its text.
  struct File: Sendable, CustomTestStringConvertible {
    let path: String
    let text: String

    var lines: [String] { text.components(separatedBy: "\n") }
    var isGenerated: Bool { path.hasSuffix(".pb.swift") }
    var testDescription: String { path }
    /// The directory under Sources or Tests.
    var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
  }

  static func files(under directories: [String], where isWanted: (String) -> Bool) -> [File] {
    directories.flatMap { directory -> [File] in
      let walk = FileManager.default.enumerator(atPath: root.appending(path: directory).path)
      let paths = (walk?.allObjects as? [String] ?? []).map { "\(directory)/\($0)" }
      return paths.filter(isWanted).sorted().compactMap { file($0) }
    }
  }

  static func file(_ path: String) -> File? {
    guard let data = FileManager.default.contents(atPath: root.appending(path: path).path),
      let text = String(data: data, encoding: .utf8)
    else { return nil }
    return File(path: path, text: text)
  }

  static let sources = files(under: ["Sources"]) { $0.hasSuffix(".swift") }
    .filter { !$0.isGenerated }
  static let tests = files(under: ["Tests"]) { $0.hasSuffix(".swift") }
  static let scripts = files(under: ["scripts", ".ci"]) { _ in true }
  static let documents =
    files(under: ["docs"]) { $0.hasSuffix(".md") } + [file("README.md")].compactMap { $0 }
  static let configurations = files(under: ["conf"]) { _ in true }
  static let all =
    sources + tests + scripts + documents + configurations
    + [file("Package.swift")].compactMap { $0 }
}

/// Swift text without what is no code: comments and the insides of strings.
enum Code {
  static func lines(of file: Repository.File) -> [String] {
    var isInLongString = false
    return file.lines.map { line in
      if line.components(separatedBy: "\"\"\"").count.isMultiple(of: 2) {
        isInLongString.toggle()
        return ""
      }
      return isInLongString ? "" : strip(line)
    }
  }

  private static func strip(_ line: String) -> String {
    var code = ""
    var isInString = false
    var isEscaped = false
    for character in line {
      if isEscaped {
        isEscaped = false
      } else if isInString, character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        isInString.toggle()
      } else if !isInString {
        code.append(character)
        if code.hasSuffix("//") { return String(code.dropLast(2)) }
      }
    }
    return code
  }
}
