internal import DFSCore

/// Counts what a header holds before objects are made of it: a message that takes two bytes of a
/// header takes a hundred bytes and more of memory, and lists are refused by their number only after
/// all their items were made.
///
/// Invariant: it takes no memory, and no more steps than the header has bytes.
struct HeaderScan {
  /// Headers of so few bytes cannot hold much.
  static let leastBytes = 4 << 10
  /// Messages within messages; the longest that is sent, the install of three pages of a log that has
  /// the smallest changes, has about 170,000.
  static let objectsLimit = 1 << 18
  /// Fields of all of them, those that this program does not know among them.
  static let fieldsLimit = 1 << 20

  /// The header's id; 0 if it says none.
  private(set) var id: UInt64 = 0
  /// Messages within it.
  private(set) var objects = 0
  /// What is over its limit, if something is.
  private(set) var excess: DFSError?
  private var fields = 0

  /// - Throws: if it is not a protobuf message.
  init(_ header: [UInt8]) throws(DFSError) {
    let isWhole = header.withUnsafeBytes { read($0, 0, $0.count, .header) }
    guard isWhole || excess != nil else {
      throw .violation("a header that is not a protobuf message")
    }
  }

  /// About how many bytes the objects take.
  var bytes: Int { objects * 160 }

  private typealias Bytes = UnsafeRawBufferPointer

  /// Reads the message from `start` to `end`.
  /// - Returns: false if the bytes are no message, or something is over its limit.
  private mutating func read(_ bytes: Bytes, _ start: Int, _ end: Int, _ shape: HeaderShape) -> Bool
  {
    var place = start
    // Of the list whose items are being read; those of others before it are in `others`.
    var list: (number: Int, count: Int) = (0, 0)
    var others: [Int: Int] = [:]
    while place < end {
      guard let tag = bytes.varint(at: &place, before: end), tag >> 3 != 0,
        tag <= UInt64(UInt32.max)
      else { return false }
      fields += 1
      guard fields <= Self.fieldsLimit else {
        return isOver("more than \(Self.fieldsLimit) fields in one message")
      }
      guard let length = length(of: tag, bytes, &place, end), length <= end - place else {
        return false
      }
      let number = Int(tag >> 3)
      if tag & 7 == 2, number < shape.children.count, let child = shape.children[number] {
        objects += 1
        guard objects <= Self.objectsLimit else {
          return isOver("more than \(Self.objectsLimit) messages within one")
        }
        if let limit = child.limit {
          if list.number != number {
            others[list.number] = list.count
            list = (number, others[number] ?? 0)
          }
          list.count += 1
          guard list.count <= limit else {
            return isOver("more than \(limit) \(child.name) in one message, the limit")
          }
        }
        guard read(bytes, place, place + length, child.shape) else { return false }
      }
      place += length
    }
    return true
  }

  private mutating func isOver(_ fact: String) -> Bool {
    excess = .violation(fact)
    return false
  }

  /// The bytes of a field that follow its tag (and its length); nil if the field is none.
  private mutating func length(
    of tag: UInt64, _ bytes: Bytes, _ place: inout Int, _ end: Int
  ) -> Int? {
    switch tag & 7 {
    case 0:
      guard let value = bytes.varint(at: &place, before: end) else { return nil }
      // Field 1 of the header is a number; where it is one elsewhere, the header's has been read.
      if tag == 8, fields == 1 { id = value }
      return 0
    case 1: return 8
    case 2: return bytes.varint(at: &place, before: end).flatMap { Int(exactly: $0) }
    case 5: return 4
    default: return nil
    }
  }
}

/// Which fields of a message are messages themselves, and how many of them a list may hold.
/// (dfs.proto says the same; a test compares them.)
final class HeaderShape: Sendable {
  struct Child: Sendable {
    let shape: HeaderShape
    /// Nil for what is no list.
    let limit: Int?
    let name: String

    static func one(_ shape: HeaderShape) -> Child { Child(shape: shape, limit: nil, name: "") }

    static func many(_ shape: HeaderShape, _ limit: Int, _ name: String) -> Child {
      Child(shape: shape, limit: limit, name: name)
    }
  }

  /// At the number of the field.
  let children: [Child?]

  init(_ children: [Int: Child] = [:]) {
    var list = [Child?](repeating: nil, count: (children.keys.max() ?? -1) + 1)
    for (number, child) in children { list[number] = child }
    self.children = list
  }

  /// One that has no messages within.
  static let leaf = HeaderShape()
}
