import Foundation

/// What a run says in the end.
struct Report: Encodable {
  let seconds: Int
  let seed: UInt64
  let acknowledged: Int
  let refused: Int
  let unknown: Int
  /// Patches after which the file had layers.
  let layers: Int
  let faults: [String: Int]
  /// Groups of names whose histories were judged, and files that were read at the end.
  let histories: Int
  let filesReadAtEnd: Int
  /// Undisturbed: contents that were overwritten unseen, and kept beside.
  let kept: Int?
  let lost: Int
  let wrong: Int
  let notLinearizable: Int
  let undecided: Int
  let otherProblems: Int
  let longestCallSeconds: Double
  let longestCall: String

  init(_ recorder: Recorder, seconds: Int, seed: UInt64, filesReadAtEnd: Int, kept: Int?) {
    let (counts, problems) = (recorder.counts, recorder.problems)
    func count(_ kind: Problem.Kind) -> Int { problems.count { $0.kind == kind } }
    self.kept = kept
    (self.seconds, self.seed, self.filesReadAtEnd) = (seconds, seed, filesReadAtEnd)
    (acknowledged, refused, unknown) = (counts.acknowledged, counts.refused, counts.unknown)
    (layers, faults, histories) = (counts.layers, counts.faults, recorder.groups.count)
    (lost, wrong, notLinearizable) = (count(.lost), count(.wrong), count(.notLinearizable))
    (undecided, otherProblems) = (count(.undecided), count(.other))
    longestCallSeconds = (Double(counts.longestNanoseconds) / 1e9).rounded(toPlaces: 1)
    longestCall = counts.longest
  }

  var isGood: Bool { lost + wrong + notLinearizable + undecided + otherProblems == 0 }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  var line: String {
    let kinds = faults.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
      .map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    let disturbance =
      kept.map { "no faults; \($0) contents kept as conflicts" }
      ?? "\(faults.values.reduce(0, +)) faults (\(kinds))"
    return "torture: \(seconds) s, seed \(seed): \(Self.grouped(acknowledged)) operations "
      + "acknowledged, \(Self.grouped(refused)) refused, \(Self.grouped(unknown)) unknown; "
      + (layers > 0 ? "\(Self.grouped(layers)) patches in layers; " : "")
      + "\(disturbance); lost \(lost), wrong \(wrong), "
      + "not linearizable \(notLinearizable)"
      + (undecided > 0 ? ", undecided \(undecided)" : "")
      + (otherProblems > 0 ? ", other problems \(otherProblems)" : "")
      + "; longest call \(longestCallSeconds) s (\(longestCall))"
  }

  /// With commas between thousands.
  private static func grouped(_ number: Int) -> String {
    number < 1000
      ? "\(number)" : grouped(number / 1000) + ",\("\(1000 + number % 1000)".dropFirst())"
  }
}
