import Foundation
import Testing

/// Rules about functions and public symbols. The format that `swift format` gives is taken for granted: a
/// declaration ends with a brace that is indented as it is.
@Suite struct DeclarationRules {
  private static let functionLines = 60

  @Test(arguments: Repository.sources + Repository.tests)
  func functionsAreShort(_ file: Repository.File) {
    for function in Self.functions(of: file) where function.lines > Self.functionLines {
      Issue.record(
        "\(file.path):\(function.start): a function of \(function.lines) lines; the limit is 60: split it"
      )
    }
  }

  @Test(arguments: Repository.sources) func publicSymbolsAreDocumented(_ file: Repository.File) {
    for (line, name) in Self.undocumented(file) {
      Issue.record("\(file.path):\(line): '\(name)' is public and has no doc comment")
    }
  }

  // MARK: Functions

  /// Whether a line begins a function: nothing but attributes and modifiers stands before `func`.
  private static func isFunction(_ text: Substring) -> Bool {
    let words = text.split(separator: " ", omittingEmptySubsequences: true)
    guard
      let index = words.firstIndex(where: { word in
        ["func", "init", "deinit", "subscript"].contains {
          word == $0 || word.hasPrefix($0 + "(") || word.hasPrefix($0 + "<")
            || word.hasPrefix($0 + "?")
        }
      })
    else { return false }
    return words[..<index].allSatisfy { $0.hasPrefix("@") || modifiers.contains(String($0)) }
  }

  private static let modifiers: Set<String> = [
    "public", "package", "internal", "private", "fileprivate", "static", "final", "override",
    "mutating", "nonisolated", "convenience", "required", "consuming", "borrowing", "isolated",
  ]

  /// The functions that have a body. Lines of text literals of several lines do not count: they are
  /// scripts of other languages.
  private static func functions(of file: Repository.File) -> [(start: Int, lines: Int)] {
    var found: [(start: Int, lines: Int)] = []
    var open: (start: Int, indent: Int, lines: Int)?
    var isLiteral = false
    for (index, line) in file.lines.enumerated() {
      let count = line.components(separatedBy: "\"\"\"").count - 1
      defer { if count % 2 == 1 { isLiteral.toggle() } }
      if isLiteral { continue }
      let indent = line.prefix { $0 == " " }.count
      let text = line.dropFirst(indent)
      if let begun = open {
        open?.lines += 1
        guard !text.isEmpty else { continue }
        if indent == begun.indent, text.hasPrefix("}") {
          found.append((begun.start, begun.lines + 1))
          open = nil
        } else if indent < begun.indent
          || indent == begun.indent && !text.hasPrefix(")") && !text.hasPrefix("{")
        {
          // A requirement of a protocol has no body.
          open = nil
        }
      } else if isFunction(text), !(text.hasSuffix("}") && text.contains("{")) {
        open = (index + 1, indent, 1)
      }
    }
    return found
  }

  // MARK: Public symbols

  private static let kinds: Set<String> = [
    "func", "var", "let", "init", "struct", "enum", "class", "actor", "protocol", "typealias",
    "subscript",
  ]

  /// What a public declaration declares: the kind, and the name without what follows it.
  private static func declared(_ line: String) -> (kind: String, name: String)? {
    // What an operator does, its protocol says.
    if line.contains("func <") || line.contains("func ==") { return nil }
    let words = line.split { " (<:{?".contains($0) }.map(String.init)
    guard let start = words.firstIndex(of: "public"),
      words[..<start].allSatisfy({ $0.hasPrefix("@") }),
      let index = words[start...].firstIndex(where: kinds.contains)
    else { return nil }
    let isNamed = !["init", "subscript"].contains(words[index])
    return (words[index], isNamed && index + 1 < words.count ? words[index + 1] : words[index])
  }

  /// Of protocols of other packages; their own documentation says what these do.
  private static let foreign: Set<String> = [
    "description", "hash", "encode", "write", "rawValue", "InboundIn", "InboundOut", "OutboundIn",
    "OutboundOut", "log", "metadata", "logLevel", "metadataKey", "run", "decode", "decodeLast",
    "channelRead", "channelActive", "channelInactive", "errorCaught", "userInboundEventTriggered",
    "handlerAdded", "handlerRemoved", "channelReadComplete", "unownedExecutor", "enqueue",
    "subscript",
  ]

  /// What protocols of this package require, which say what it does.
  private static let required: Set<String> = Repository.sources.reduce(into: []) { names, file in
    var isProtocol = false
    for line in file.lines {
      let words = line.split { " (<:".contains($0) }.map(String.init)
      if !line.hasPrefix(" "), words.contains("protocol") { isProtocol = true }
      if line.hasPrefix("}") { isProtocol = false }
      let kinds = ["func", "var", "associatedtype"]
      guard isProtocol, let index = words.firstIndex(where: kinds.contains), index + 1 < words.count
      else { continue }
      names.insert(words[index + 1])
    }
  }

  private static func undocumented(_ file: Repository.File) -> [(line: Int, name: String)] {
    let lines = file.lines
    return lines.enumerated().compactMap { index, line in
      guard let (kind, name) = declared(line) else { return nil }
      let mayBeRequired = ["func", "var", "typealias"].contains(kind)
      if foreign.contains(name) || mayBeRequired && required.contains(name) { return nil }
      let above = lines[..<index].last { !$0.drop { $0 == " " }.hasPrefix("@") } ?? ""
      return above.drop { $0 == " " }.hasPrefix("///") ? nil : (index + 1, name)
    }
  }

  // MARK: Uses

  private static let words = uses(in: Repository.sources + Repository.tests)

  /// How often each word stands in the code, without comments.
  private static func uses(in files: [Repository.File]) -> [Substring: Int] {
    files.reduce(into: [:]) { words, file in
      for line in file.lines {
        let code = line.range(of: "//").map { line[..<$0.lowerBound] } ?? line[...]
        for word in code.split(whereSeparator: { !($0.isLetter || $0.isNumber || $0 == "_") }) {
          words[word, default: 0] += 1
        }
      }
    }
  }

  /// The names that a file declares, each with its line.
  private static func declarations(_ file: Repository.File) -> [(line: Int, name: String)] {
    let all = modifiers.union(["indirect", "lazy", "weak", "unowned"])
    return file.lines.enumerated().compactMap { index, line in
      let words = line.split { " (<:{?=,!".contains($0) }.map(String.init)
      guard let start = words.firstIndex(where: { kinds.union(["case"]).contains($0) }),
        words[..<start].allSatisfy({ $0.hasPrefix("@") || all.contains($0) }),
        start + 1 < words.count, !["init", "subscript"].contains(words[start])
      else { return nil }
      let name = words[start + 1]
      // A pattern of a switch, or an operator.
      guard name.allSatisfy({ $0.isLetter || $0.isNumber }), name.first?.isLowercase == true
      else { return nil }
      return (index + 1, name)
    }
  }

  @Test(arguments: Repository.sources) func everythingIsUsed(_ file: Repository.File) {
    for (line, name) in Self.declarations(file)
    where Self.words[Substring(name)] == 1 && !Self.foreign.contains(name) {
      Issue.record("\(file.path):\(line): nobody uses '\(name)'")
    }
  }

  // MARK: The rules themselves

  @Test func theRulesBite() {
    let body = Array(repeating: "    work()", count: 59).joined(separator: "\n")
    let file = Repository.File(
      path: "Sources/DFSCore/A.swift",
      text: """
        /// A.
        public struct A {
          public let b: Int
          /// C.
          @discardableResult
          public func c() {}
          public static func d(
            _ e: Int
          ) {
        \(body)
          }
        }
        """)
    #expect(Self.functions(of: file).map(\.lines) == [63])
    #expect(Self.declarations(file).map(\.name) == ["b", "c", "d"])
    #expect(Self.uses(in: [file])["b"] == 1)
    #expect(Self.uses(in: [file])["work"] == 59)
    #expect(Self.undocumented(file).map(\.name) == ["b", "d"])
  }
}
