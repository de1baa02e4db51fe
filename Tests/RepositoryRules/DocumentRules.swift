import Foundation
import Testing

/// Rules about scripts and documents.
@Suite struct DocumentRules {
  @Test(arguments: Repository.scripts) func scriptsRunAndSayWhatFor(_ file: Repository.File) {
    let path = Repository.root.appending(path: file.path).path
    #expect(FileManager.default.isExecutableFile(atPath: path), "chmod +x \(file.path)")
    #expect(file.lines.first?.hasPrefix("#!") == true, "\(file.path) names no interpreter")
    let second = file.lines.dropFirst().first ?? ""
    let name = URL(fileURLWithPath: file.path).lastPathComponent
    #expect(
      second.hasPrefix("# \(name)") && second.contains(": "),
      "\(file.path): its second line is '# \(name) …: what it does'")
  }

  private static func links(in text: String) -> [String] {
    text.matches(of: /\]\(([^)\s]+)\)/).map { String($0.1) }
  }

  @Test(arguments: Repository.documents) func linksLeadSomewhere(_ file: Repository.File) {
    let directory = Repository.root.appending(path: file.path).deletingLastPathComponent()
    for link in Self.links(in: file.text) where !link.contains("://") && !link.hasPrefix("#") {
      let path = link.split(separator: "#").first.map(String.init) ?? link
      let target = directory.appending(path: path).standardizedFileURL.path
      #expect(FileManager.default.fileExists(atPath: target), "\(file.path): \(link)")
    }
  }

  /// The library's first example is a program of this package, which `theExampleStoresAndReads` runs.
  @Test func theExampleOfTheLibraryIsCompiled() throws {
    func text(_ path: String) throws -> String {
      try String(contentsOf: Repository.root.appending(path: path), encoding: .utf8)
    }
    let page = try text("Sources/DFSClient/DFSClient.docc/DFSClient.md")
    let example = page.components(separatedBy: "```swift\n").dropFirst().first?
      .components(separatedBy: "```").first
    let program = try text("Tests/Example/main.swift")
    #expect(example.map(program.hasSuffix) == true)
    let lines = (example ?? "").split(separator: "\n")
    #expect(lines.count <= 20, "\(lines.count) lines")
  }

  @Test func theReadMeIsShort() {
    let count = Repository.file("README.md")?.lines.count ?? 0
    #expect(count <= 121, "README.md has \(count - 1) lines; the bound is 120")
  }

  /// SEMANTICS names the tests that show each promise: `EndToEnd.Suite.test`, `.test`, `DFSXTests`.
  @Test func theTestsThatPromisesNameExist() throws {
    let semantics = try #require(Repository.file("docs/SEMANTICS.md"))
    let text = Repository.tests.filter { $0.module == "EndToEndTests" }.map(\.text).joined()
    let modules = Set(Repository.tests.map(\.module))
    for match in semantics.text.matches(of: /`([A-Za-z.]+)`/) {
      let words = match.1.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      switch (words.first, words.count) {
      case ("EndToEnd", 2...):
        guard words[1].first?.isLetter == true else { continue }
        #expect(text.contains("struct \(words[1])"), "no suite \(match.1)")
        if words.count > 2 { #expect(text.contains("func \(words[2])("), "no test \(match.1)") }
      case ("", 2) where match.1.count > 8:
        #expect(text.contains("func \(words[1])("), "no test \(match.1)")
      case (let module?, 1) where module.hasPrefix("DFS") && module.hasSuffix("Tests"):
        #expect(modules.contains(module), "no tests \(module)")
      default: continue
      }
    }
  }

  /// docs/GLOSSARY.md has the terms to use instead.
  @Test(arguments: Repository.all) func theTermsAreThoseOfTheGlossary(_ file: Repository.File) {
    guard file.module != "RepositoryRules" else { return }
    // (A regular expression on every line takes a minute in a debug build.)
    let text = file.text.lowercased()
    guard Self.beginnings.contains(where: { text.contains($0) }) else { return }
    for (index, line) in file.lines.enumerated() {
      // What servers of earlier releases say and understand.
      if line.contains("= \"displaced\"") { continue }
      if let found = line.firstMatch(of: Self.banned) {
        Issue.record("\(file.path):\(index + 1): '\(found.0)' is not a term of the glossary")
      }
    }
  }

  private static let beginnings = [
    "displaced", "laggard", "twin", "stand-in", "bring along", "brings along", "though it be",
    "wrong words", "mended", "brought along", "set aside", "stood in",
  ]

  private static var banned: Regex<(Substring, Substring)> {
    /\b(displaced|laggards?|twins?|stand-ins?|(?:brings?|brought) along|though it be|wrong words|mended|set aside|stood in)\b/
      .ignoresCase()
  }

  @Test func theBannedTermsAreFound() {
    #expect("a Laggard".firstMatch(of: Self.banned) != nil)
    #expect("a lagging server catches up".firstMatch(of: Self.banned) == nil)
  }

  /// "'x' is not a directory", not "is no directory".
  @Test(arguments: Repository.sources) func messagesArePlainEnglish(_ file: Repository.File) {
    for (index, line) in file.lines.enumerated() where line.contains("\"") {
      let isPlain =
        line.firstMatch(of: /[^e] is no (directory|file|regular|size|name|host)\b/) == nil
      #expect(isPlain, "\(file.path):\(index + 1): say 'is not a …'")
    }
  }
}
