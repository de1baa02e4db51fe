public import DFSCore

/// What a user may take of a server, as the users file says behind the verifier:
/// `NAME VERIFIER quota=10G connections=64`.
public struct UserBounds: Hashable, Sendable {
  /// Bytes of the user's copies and tables on this server; nil: as much as there is.
  public var quotaBytes: UInt64?
  /// Connections at the same time; nil: as many as the server allows everybody.
  public var connections: Int?

  public init() {}

  /// - Parameter words: `quota=SIZE` and `connections=NUMBER`; an empty value or `none` takes the bound
  ///   away.
  public init(_ words: some Sequence<Substring>) throws(DFSError) {
    for word in words { try set(String(word)) }
  }

  /// As they are written in the file, in front of which there is a space each.
  var text: String {
    (quotaBytes.map { " quota=\($0)" } ?? "") + (connections.map { " connections=\($0)" } ?? "")
  }

  /// Sets one of them.
  public mutating func set(_ word: String) throws(DFSError) {
    let pieces = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let value = pieces.count == 2 ? String(pieces[1]) : ""
    let isNone = value.isEmpty || value == "none"
    switch (pieces.first ?? "", pieces.count) {
    case ("quota", 2): quotaBytes = isNone ? nil : try Self.bytes(value)
    case ("connections", 2): connections = isNone ? nil : try Self.count(value)
    default:
      throw DFSError(
        .configuration,
        "'\(word.printable)' is not a limit of a user; write quota=SIZE or connections=NUMBER")
    }
  }

  private static func bytes(_ text: String) throws(DFSError) -> UInt64 {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    var unit = text[digits.endIndex...].lowercased()
    if unit.hasSuffix("ib") { unit.removeLast(2) }
    let shifts = ["": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40]
    guard let number = UInt64(digits), let shift = shifts[unit],
      number <= Limits.storeBytes >> UInt64(shift)
    else {
      throw DFSError(
        .configuration,
        "quota=\(text.printable) is not a size; write bytes, or a number with K, M, G or T, such as 10G"
      )
    }
    return number << UInt64(shift)
  }

  private static func count(_ text: String) throws(DFSError) -> Int {
    guard let count = Int(text), (1...1_000_000).contains(count) else {
      throw DFSError(
        .configuration, "connections=\(text.printable) is out of bounds: 1 to 1000000")
    }
    return count
  }
}

extension UserBounds: CustomStringConvertible {
  public var description: String {
    text.isEmpty ? "no bounds of its own" : String(text.dropFirst())
  }
}
