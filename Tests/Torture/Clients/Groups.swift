import DFSTestSupport

/// What a few names are used for; each kind has a directory of its own, so that what happens there
/// has a simple meaning.
enum GroupKind: String, CaseIterable, Sendable {
  /// One name, made by a put and never removed: written in place, while faults go on some ranges of it too, put over,
  /// read.
  case register
  /// One name: made exclusively, filled, removed, read.
  case exclusive
  /// Three names: replaced, renamed to one another, removed, read.
  case renamed
  /// One directory: made and removed.
  case folder
  /// One name, made once and never removed: appended to, written in place, put over, read.
  case appended

  var directory: String { rawValue }
  var nameCount: Int { self == .renamed ? 3 : 1 }
  /// Whether its file stays one file, whatever is stored in it.
  var isInPlace: Bool { self == .register || self == .appended }
}

/// A few names with all that was done to them. When much was done, or too much of it has an unknown
/// outcome, a group is retired and a new one takes its place: so every history stays short enough to
/// be judged.
struct Group: Sendable {
  static let eventLimit = 150
  static let unknownLimit = 8

  let number: Int
  let kind: GroupKind
  let names: [String]
  var events: [NameEvent] = []
  var unknown = 0
  var underWay = 0
  var isRetired = false
  /// Whether the file of a kind that stays in place is there.
  var isMade = false
  /// Whether somebody has begun to write some ranges of it.
  var isPatched = false

  init(number: Int, kind: GroupKind) {
    self.number = number
    self.kind = kind
    names = (0..<kind.nameCount).map { index in
      "\(kind.rawValue.prefix(1))\(number)"
        + (kind.nameCount > 1 ? "-\("abc".dropFirst(index).prefix(1))" : "")
    }
  }

  var title: String { "\(kind.directory)/\(names.joined(separator: ", "))" }

  mutating func add(_ more: [NameEvent]) {
    events += more
    unknown += more.count { $0.answer == .unknown }
    if events.count >= Self.eventLimit || unknown >= Self.unknownLimit { isRetired = true }
  }
}
