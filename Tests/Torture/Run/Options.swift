import Foundation
import Glibc

/// The words of the command line.
struct Options: Sendable {
  static let usage = """
    usage: dfs-torture [--minutes N] [--seconds N] [--seed S] [--json] [--dir DIR] [--keep]
                       [--mount-options OPTIONS]
           dfs-torture --no-faults [--mounts N] [--operations N] [--seconds N] [--seed S] [--json]
                       [--dir DIR] [--keep] [--mount-options OPTIONS]
           dfs-torture --programs [NAME,…] [--files N] [--seconds N] [--seed S] [--json] [--dir DIR]
                       [--keep] [--mount-options OPTIONS]
    """

  private var chosenSeconds: Int?
  /// Of histories; with programs, how long each is at least run again and again.
  var seconds: Int { chosenSeconds ?? (programs != nil ? 0 : operations != nil ? 1 << 20 : 60) }
  /// No faults: mounts and a dfc share files undisturbed.
  var isUndisturbed = false
  /// Undisturbed ones.
  var mounts = 2
  /// After so many that were acknowledged an undisturbed run ends.
  var operations: Int?
  /// Programs that are run under faults instead of histories.
  var programs: [Program]?
  /// Of the largest tree that a program works on.
  var files = 20_000
  var seed = UInt64.random(in: 0..<1_000_000)
  var isJSON = false
  /// The run's own directory is made in it.
  var directory = NSTemporaryDirectory()
  /// The run's directory stays.
  var keeps = false
  /// `-o` of every dfs-mount.
  var mountOptions: String?

  init(_ words: [String]) {
    var words = words[...]
    while let option = words.popFirst() {
      switch option {
      case "--minutes": chosenSeconds = 60 * Self.number(words.popFirst(), of: option)
      case "--seconds": chosenSeconds = Self.number(words.popFirst(), of: option)
      case "--no-faults": isUndisturbed = true
      case "--mounts": mounts = min(max(1, Self.number(words.popFirst(), of: option)), 16)
      case "--operations": operations = Self.number(words.popFirst(), of: option)
      case "--programs":
        let names = words.first?.hasPrefix("--") == false ? words.popFirst() : nil
        programs = Self.programs(named: names)
      case "--files": files = max(1, Self.number(words.popFirst(), of: option))
      case "--seed": seed = UInt64(Self.number(words.popFirst(), of: option))
      case "--json": isJSON = true
      case "--keep": keeps = true
      case "--mount-options":
        guard let words = words.popFirst(), !words.isEmpty, !words.hasPrefix("-") else {
          Self.refuse("--mount-options wants options of dfs-mount, as in layers=always")
        }
        mountOptions = words
      case "--dir":
        guard let path = words.popFirst(), path.hasPrefix("/") else {
          Self.refuse("--dir wants an absolute path")
        }
        directory = path
      default: Self.refuse("unknown word '\(option)'")
      }
    }
  }

  private static func programs(named names: String?) -> [Program] {
    guard let names else { return Program.all }
    return names.split(separator: ",").map { name in
      guard let program = Program.all.first(where: { $0.name == name }) else {
        let known = Program.all.map(\.name).joined(separator: ", ")
        refuse("no program '\(name)'; there are \(known)")
      }
      return program
    }
  }

  private static func number(_ word: String?, of option: String) -> Int {
    guard let value = word.flatMap({ Int($0) }), value >= 0, value < 1 << 40 else {
      refuse("\(option) wants a number")
    }
    return value
  }

  private static func refuse(_ problem: String) -> Never {
    FileHandle.standardError.write(Data("dfs-torture: \(problem)\n\(usage)\n".utf8))
    exit(64)
  }
}
