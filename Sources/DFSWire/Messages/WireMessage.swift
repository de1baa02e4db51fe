internal import DFSCore
internal import SwiftProtobuf

/// A message, or a value in messages, as its protobuf message and back. Whatever comes in is checked here, so
/// that nothing behind this module meets a value out of range.
protocol WireMessage {
  associatedtype Proto
  var wire: Proto { get }
  init(_ wire: Proto) throws(DFSError)
  /// What dfs.proto says of messages within it, and how many of them it may hold.
  static var shape: HeaderShape { get }
  /// Whether a frame with it may have a body of so many bytes.
  func check(body bytes: Int) throws(DFSError)
}

extension WireMessage {
  static var shape: HeaderShape { .leaf }

  func check(body bytes: Int) throws(DFSError) {
    guard bytes == 0 else {
      throw .violation("a body of \(bytes) bytes with a message that has none")
    }
  }
}

func decoded<Message: WireMessage>(_ wire: Message.Proto) throws(DFSError) -> Message {
  try Message(wire)
}

/// One that says nothing but its kind.
protocol EmptyMessage: WireMessage where Proto == ProtoEmpty {
  init()
}

extension EmptyMessage {
  var wire: ProtoEmpty { ProtoEmpty() }
  init(_ wire: ProtoEmpty) throws(DFSError) { self.init() }
}

extension BinaryInteger {
  /// The number, if it is within its limit, in both directions. Every quantity that comes in goes
  /// through here before it is calculated with; what is only compared or looked up (identities,
  /// digests, checksums, sets of bits) has a fixed width in dfs.proto and does not.
  func bounded(_ name: String, by limit: UInt64 = Limits.number) throws(DFSError) -> Self {
    guard magnitude <= limit else {
      throw .violation("\(name) \(self) in a message; the limit is \(limit)")
    }
    return self
  }
}

extension DFSError {
  static func violation(_ message: String) -> DFSError { DFSError(.protocolViolation, message) }
}

/// Maps a list whose length is bounded.
func list<Wired, Value>(
  _ items: [Wired], atMost limit: Int = Wire.listItems, of name: String,
  _ value: (Wired) throws(DFSError) -> Value
) throws(DFSError) -> [Value] {
  guard items.count <= limit else {
    throw .violation("\(items.count) \(name) in one message; the limit is \(limit)")
  }
  var values: [Value] = []
  values.reserveCapacity(items.count)
  for item in items { values.append(try value(item)) }
  return values
}
