import Foundation

/// What a run of programs says in the end.
struct ProgramReport: Encodable {
  enum Outcome: String, Encodable, Sendable { case passed, failed, skipped }

  /// What became of one program.
  struct Row: Encodable, Sendable {
    let name: String
    var outcome = Outcome.passed
    /// Of its work under faults, all rounds.
    var seconds = 0.0
    var rounds = 0
    var faults: [String: Int] = [:]
    /// Why it was skipped or failed.
    var text = ""

    init(name: String) { self.name = name }

    mutating func fail(_ why: String) { (outcome, text) = (.failed, why) }

    mutating func add(_ all: [String: Int], without before: [String: Int]) {
      for (kind, count) in all where count > before[kind] ?? 0 {
        faults[kind, default: 0] += count - (before[kind] ?? 0)
      }
    }

    var line: String {
      guard outcome != .skipped else { return "\(name): skipped, \(text)" }
      let often = rounds > 1 ? " in \(rounds) rounds" : ""
      return "\(name): \(outcome.rawValue), \(seconds.rounded(toPlaces: 1)) s\(often), "
        + ProgramReport.text(faults)
    }
  }

  let seed: UInt64
  let files: Int
  var programs: [Row] = []

  init(seed: UInt64, files: Int) { (self.seed, self.files) = (seed, files) }

  private func count(_ outcome: Outcome) -> Int { programs.count { $0.outcome == outcome } }
  var isGood: Bool { count(.failed) == 0 }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  var line: String {
    let all = programs.reduce(into: [:]) { $0.merge($1.faults, uniquingKeysWith: +) }
    return "torture: programs, seed \(seed), \(files) files: \(count(.passed)) passed, "
      + "\(count(.failed)) failed, \(count(.skipped)) skipped; \(Self.text(all))"
  }

  private static func text(_ faults: [String: Int]) -> String {
    let kinds = faults.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    let count = faults.values.reduce(0, +)
    return "\(count) fault\(count == 1 ? "" : "s")" + (kinds.isEmpty ? "" : " (\(kinds))")
  }
}
