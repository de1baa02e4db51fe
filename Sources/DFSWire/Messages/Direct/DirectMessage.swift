internal import DFSCore
internal import NIOCore

/// The messages of which every change, read and look at a head is made, written and read without the objects
/// that protobuf makes of each message: those take most of the time that a small message takes. The bytes are
/// the same; tests compare the two for all samples.
///
/// Only what is as this program writes it is read so. Everything else, a field that it does not know or a value
/// out of its limits, is left to protobuf and `WireMessage`, which know what to say of it.

/// A message, or a value in messages, that is written and read directly.
protocol DirectMessage {
  /// Writes its fields, from the last to the first.
  func write(to fields: inout FieldWriter)
  /// Nil if it is not as this program writes it.
  init?(reading fields: FieldReader)
}

extension Message {
  /// About how many bytes it has in a header, or a little more; nil if it is not written directly.
  var directBytes: Int? {
    switch self {
    case .request(_, .ping), .reply(_, .pong), .reply(_, .done): 160
    case .request(_, .namespace(let message)): 160 + message.directBytes
    case .request(_, .query(let message)): 32 + message.directBytes
    case .request(_, .getSmallParts(let message)): 32 + message.parts.count * 32
    case .request(_, .getBytes), .request(_, .lease): 96
    case .reply(_, .namespaceReply(let message)): 160 + message.directBytes
    case .reply(_, .answers(let message)): 160 + message.directBytes
    case .reply(_, .smallParts(let message)): 32 + message.directBytes
    case .reply(_, .partBytes(let message)): 48 + message.bytes.count
    case .push(.changed(let message)): 160 + message.keys.reduce(0) { $0 + $1.directBytes }
    default: nil
    }
  }

  /// Writes the header, if `directBytes` is not nil.
  func write(to fields: inout FieldWriter) {
    switch self {
    case .request(let id, let request):
      switch request {
      case .ping(let message): fields.message(13, message)
      case .namespace(let message): fields.message(14, message)
      case .query(let message): fields.message(15, message)
      case .getSmallParts(let message): fields.message(32, message)
      case .getBytes(let message): fields.message(34, message)
      case .lease(let message): fields.message(35, message)
      default: break
      }
      fields.varint(1, id)
    case .reply(let id, let reply):
      switch reply {
      case .done(let message): fields.message(43, message)
      case .pong(let message): fields.message(44, message.head)
      case .namespaceReply(let message): fields.message(45, message)
      case .answers(let message): fields.message(46, message)
      case .smallParts(let message): fields.message(53, message)
      case .partBytes(let message): fields.message(54, message)
      default: break
      }
      fields.varint(1, id)
    case .push(.changed(let message)): fields.message(60, message)
    case .push, .unreadable, .large: break
    }
  }

  /// Nil if it is none of these, or not as this program writes it.
  init?(reading header: UnsafeRawBufferPointer) {
    var fields = FieldReader(header)
    var id: UInt64 = 0
    guard var tag = fields.next() else { return nil }
    if tag == .varint(1) {
      id = fields.varint()
      guard let next = fields.next() else { return nil }
      tag = next
    }
    let message = fields.message()
    // Nothing follows.
    guard fields.isSound, fields.next() == nil else { return nil }
    if let request = Request(tag, message) {
      guard id != 0 else { return nil }
      self = .request(id: id, request)
    } else if let reply = Reply(tag, message) {
      self = .reply(id: id, reply)
    } else if tag == .message(60), let changed = Push.Changed(reading: message) {
      self = .push(.changed(changed))
    } else {
      return nil
    }
  }
}

extension Request {
  fileprivate init?(_ tag: FieldTag, _ fields: FieldReader) {
    switch tag {
    case .message(13):
      guard let ping = Ping(reading: fields) else { return nil }
      self = .ping(ping)
    case .message(14):
      guard let step = Namespace(reading: fields) else { return nil }
      self = .namespace(step)
    case .message(15):
      guard let query = Query(reading: fields) else { return nil }
      self = .query(query)
    case .message(32):
      guard let parts = GetSmallParts(reading: fields) else { return nil }
      self = .getSmallParts(parts)
    case .message(34):
      guard let range = GetBytes(reading: fields) else { return nil }
      self = .getBytes(range)
    case .message(35):
      guard let lease = Lease(reading: fields) else { return nil }
      self = .lease(lease)
    default: return nil
    }
  }
}

extension Reply {
  fileprivate init?(_ tag: FieldTag, _ fields: FieldReader) {
    switch tag {
    case .message(43):
      guard let done = Done(reading: fields) else { return nil }
      self = .done(done)
    case .message(44):
      guard let head = Head(reading: fields) else { return nil }
      self = .pong(Pong(head))
    case .message(45):
      guard let reply = NamespaceReply(reading: fields) else { return nil }
      self = .namespaceReply(reply)
    case .message(46):
      guard let answers = Answers(reading: fields) else { return nil }
      self = .answers(answers)
    case .message(53):
      guard let parts = SmallParts(reading: fields) else { return nil }
      self = .smallParts(parts)
    case .message(54):
      guard let bytes = PartBytes(reading: fields) else { return nil }
      self = .partBytes(bytes)
    default: return nil
    }
  }
}

extension EmptyMessage {
  func write(to fields: inout FieldWriter) {}

  init?(reading fields: FieldReader) {
    var fields = fields
    guard fields.next() == nil else { return nil }
    self.init()
  }
}

extension Request.Ping: DirectMessage {}
extension Reply.Done: DirectMessage {}
