public import DFSCore

/// What a user may take of a server, as the users file says behind the verifier:
/// `NAME VERIFIER quota=10G connections=64`.
public struct UserLimits: Hashable, Sendable {
  /// Bytes of the user's copies and tables on this server; nil: as much as there is.
  public var quotaBytes: UInt64?
  /// Connections at the same time; nil: as many as the server allows everybody.
  public var connections: Int?

  /// No limits of the user's own.
  public init() {}

  /// - Parameter words: `quota=SIZE` and `connections=NUMBER`; an empty value or `none` takes the limit
  ///   away.
  public init(_ words: some Sequence<Substring>) throws(DFSError) {
    try set(words.map(String.init))
  }

  /// As they are written in the file, in front of which there is a space each.
  var text: String {
    (quotaBytes.map { " quota=\($0)" } ?? "") + (connections.map { " connections=\($0)" } ?? "")
  }

  /// Sets those that are named, each once.
  public mutating func set(_ words: [String]) throws(DFSError) {
    var named: Set<Substring> = []
    for word in words {
      try set(word)
      let name = word.prefix { $0 != "=" }
      guard named.insert(name).inserted else {
        throw DFSError(
          .configuration, "\(name)= is there twice; a limit is set once: remove all but one")
      }
    }
  }

  private mutating func set(_ word: String) throws(DFSError) {
    let pieces = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let value = pieces.count == 2 ? String(pieces[1]) : ""
    let isNone = value.isEmpty || value == "none"
    switch (pieces.first ?? "", pieces.count) {
    case ("quota", 2): quotaBytes = isNone ? nil : try Self.bytes(value)
    case ("connections", 2): connections = isNone ? nil : try Self.count(value)
    default:
      throw DFSError(
        .configuration,
        "'\(word.shown(atMost: 64))' is not a limit of a user; write quota=SIZE or connections=NUMBER"
      )
    }
  }

  private static let shifts = [
    "": 0, "b": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30, "t": 40, "tib": 40,
  ]

  private static func bytes(_ text: String) throws(DFSError) -> UInt64 {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, let shift = shifts[text[digits.endIndex...].lowercased()] else {
      throw DFSError(
        .configuration,
        "quota=\(text.shown(atMost: 64)) is not a size; write bytes, or a number with K, M, G or T, such as 10G"
      )
    }
    // (Digits that are no number are too many.)
    let number = UInt64(digits) ?? .max
    guard number > 0, number <= Limits.storeBytes >> UInt64(shift) else {
      throw DFSError(
        .configuration,
        "quota=\(text.shown(atMost: 64)) is out of range: 1 to \(Limits.storeBytes) bytes (\(Limits.storeBytes >> 40)T); "
          + "for no quota write quota=none")
    }
    return number << UInt64(shift)
  }

  private static let mostConnections = 1_000_000

  private static func count(_ text: String) throws(DFSError) -> Int {
    guard let count = Int(text), (1...mostConnections).contains(count) else {
      throw DFSError(
        .configuration,
        "connections=\(text.shown(atMost: 64)) is out of range: a number from 1 to \(mostConnections); for the "
          + "server's own limit write connections=none")
    }
    return count
  }
}

extension UserLimits: CustomStringConvertible {
  public var description: String {
    text.isEmpty ? "no limits of its own" : String(text.dropFirst())
  }
}
