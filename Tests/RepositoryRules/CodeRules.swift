import Foundation
import Testing

/// Rules about the text of the sources.
@Suite struct CodeRules {
  private static let lineBound = 400

  @Test(arguments: Repository.sources + Repository.tests)
  func filesAreShort(_ file: Repository.File) {
    guard !file.path.contains("/Generated/") else { return }
    let count = file.lines.count - 1
    #expect(count <= Self.lineBound, "\(file.path) has \(count) lines; the bound is 400: split it")
  }

  @Test(arguments: Repository.sources) func nothingIsForced(_ file: Repository.File) {
    for (index, line) in Code.lines(of: file).enumerated() {
      let forced =
        line.contains("try!") || line.contains("as!")
        || line.firstMatch(of: /[\w)\]]!([^=]|$)/) != nil
      #expect(!forced, "\(file.path):\(index + 1): \(line)")
    }
  }

  @Test(arguments: Repository.sources) func everyFileOpensWithWhatItIs(_ file: Repository.File) {
    let first = file.lines.first { line in
      let text = line.trimmingCharacters(in: .whitespaces)
      let isImport = text.components(separatedBy: " ").contains("import")
      return !text.isEmpty && (!isImport || text.hasPrefix("//"))
    }
    #expect(
      first?.hasPrefix("//") == true,
      "\(file.path): after the imports a file opens with a comment that says what it owns")
  }

  @Test(arguments: Repository.sources + Repository.tests)
  func whatTheCompilerIsToldToBelieveIsExplained(_ file: Repository.File) {
    guard file.module != "RepositoryRules" else { return }
    let lines = file.lines
    for (index, line) in Code.lines(of: file).enumerated()
    where line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") {
      let above = index > 0 ? lines[index - 1].trimmingCharacters(in: .whitespaces) : ""
      #expect(
        above.hasPrefix("//"),
        "\(file.path):\(index + 1): the line above must say why this is safe")
    }
  }

  @Test(arguments: Repository.all) func nothingIsLeftOver(_ file: Repository.File) {
    // In pieces, or this file would be found.
    let markers = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]
    for (index, line) in file.lines.enumerated() {
      for word in line.components(separatedBy: CharacterSet.letters.inverted)
      where markers.contains(word) {
        Issue.record("\(file.path):\(index + 1): \(word) does not belong in what is finished")
      }
    }
  }

  @Test(arguments: Repository.all) func nothingNamesThisMachine(_ file: Repository.File) {
    let places = ["/work" + "/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/"]
    for (index, line) in file.lines.enumerated() {
      for place in places where line.contains(place) {
        Issue.record("\(file.path):\(index + 1): names \(place), a place of one machine")
      }
    }
  }

  @Test func theRulesBite() {
    let file = Repository.File(
      path: "Sources/DFSCore/A.swift",
      text: "let a = b! + \"c!\" // d!\nlet e = f != g\nlet h = i()!.j\n")
    let found = Code.lines(of: file).map { $0.firstMatch(of: /[\w)\]]!([^=]|$)/) != nil }
    #expect(found == [true, false, true, false])
  }
}
