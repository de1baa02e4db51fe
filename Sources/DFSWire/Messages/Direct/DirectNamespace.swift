internal import DFSCore

/// The steps of the namespace protocol, and what is pushed, written and read directly (`DirectMessage`);
/// `Namespace/Namespace.swift` maps the same to protobuf.

extension Request.Namespace: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int {
    let changes =
      switch step {
      case .apply(_, _, let change): change.directBytes
      case .install(_, _, let changes, _): changes.reduce(0) { $0 + $1.directBytes } + 160
      case .prepare, .log, .head: 0
      }
    return parts.reduce(160 + changes + held.count * 32) { $0 + $1.directBytes }
  }

  func write(to fields: inout FieldWriter) {
    fields.bool(12, durable)
    fields.messages(11, held)
    fields.messages(10, parts)
    switch step {
    case .prepare(let view): fields.message(1, view)
    case .install(let view, let from, let changes, let to):
      fields.message(2) {
        $0.message(4, to)
        $0.messages(3, changes)
        $0.message(2, from)
        $0.message(1, view)
      }
    case .apply(let view, let number, let change):
      fields.message(3) {
        $0.message(3, change)
        $0.varint(2, number)
        $0.message(1, view)
      }
    case .log(let number): fields.message(4) { $0.varint(1, number) }
    case .head: fields.message(5) { _ in }
    }
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var step: NamespaceRequest?
    var parts: [InlinePart] = []
    var held: [PartID] = []
    var durable = false
    while let tag = fields.next() {
      switch tag {
      case .message(10): fields.read(&parts, atMost: Wire.listItems)
      case .message(11): fields.read(&held, atMost: Wire.listItems)
      case .varint(12): durable = fields.varint() != 0
      default:
        let message = fields.message()
        guard step == nil, let read = NamespaceRequest(tag, message) else { return nil }
        step = read
      }
    }
    guard fields.isSound, let step else { return nil }
    self.init(step, parts: parts, held: held, durable: durable)
  }
}

extension NamespaceRequest {
  fileprivate init?(_ tag: FieldTag, _ fields: FieldReader) {
    switch tag {
    case .message(1):
      guard let view = View(reading: fields), view.namespace != nil else { return nil }
      self = .prepare(view)
    case .message(2): self.init(install: fields)
    case .message(3): self.init(apply: fields)
    case .message(4):
      var fields = fields
      var number: UInt64 = 0
      while let tag = fields.next() {
        guard tag == .varint(1) else { return nil }
        number = fields.varint()
      }
      guard fields.isSound, number <= Limits.number else { return nil }
      self = .log(after: number)
    case .message(5):
      var fields = fields
      guard fields.next() == nil else { return nil }
      self = .head
    default: return nil
    }
  }

  private init?(install fields: FieldReader) {
    var fields = fields
    var view: View?
    var from: Head?
    var changes: [Change] = []
    var to: Head?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&view)
      case .message(2): fields.read(&from)
      case .message(3): fields.read(&changes, atMost: Wire.listRows)
      case .message(4): fields.read(&to)
      default: return nil
      }
    }
    guard fields.isSound, let view, view.namespace != nil, let from, let to else { return nil }
    self = .install(view, from: from, changes: changes, to: to)
  }

  private init?(apply fields: FieldReader) {
    var fields = fields
    var view: View?
    var number: UInt64 = 0
    var change: Change?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&view)
      case .varint(2): number = fields.varint()
      case .message(3): fields.read(&change)
      default: return nil
      }
    }
    guard fields.isSound, let view, view.namespace != nil, number <= Limits.number, let change
    else { return nil }
    self = .apply(view, number: number, change)
  }
}

extension NamespaceReply: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int {
    switch self {
    case .missingParts(let parts): parts.count * 32
    case .log(_, let entries, _): entries.reduce(32) { $0 + 48 + $1.change.directBytes }
    default: 0
    }
  }

  func write(to fields: inout FieldWriter) {
    switch self {
    case .promised(let head): fields.message(1, head)
    case .installed(let head): fields.message(2, head)
    case .applied(let head): fields.message(3, head)
    case .behind(let head): fields.message(4, head)
    case .refused(let view): fields.message(5, view)
    case .missingParts(let parts): fields.message(6) { $0.messages(1, parts) }
    case .log(let base, let entries, let head):
      fields.message(7) {
        $0.message(3, head)
        $0.messages(2, entries)
        if let base { $0.message(1, base) }
      }
    case .head(let head): fields.message(8, head)
    case .foreign(let head): fields.message(9, head)
    }
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    guard let tag = fields.next() else { return nil }
    let message = fields.message()
    guard fields.isSound, fields.next() == nil else { return nil }
    switch tag {
    case .message(5):
      guard let view = View(reading: message) else { return nil }
      self = .refused(view)
    case .message(6):
      guard let parts: [PartID] = message.list(atMost: Wire.listItems) else { return nil }
      self = .missingParts(parts)
    case .message(7): self.init(log: message)
    default: self.init(tag, message)
    }
  }

  /// Those that tell a head and no more.
  private init?(_ tag: FieldTag, _ fields: FieldReader) {
    guard let head = Head(reading: fields) else { return nil }
    switch tag {
    case .message(1): self = .promised(head)
    case .message(2): self = .installed(head)
    case .message(3): self = .applied(head)
    case .message(4): self = .behind(head)
    case .message(8): self = .head(head)
    case .message(9): self = .foreign(head)
    default: return nil
    }
  }

  private init?(log fields: FieldReader) {
    var fields = fields
    var base: RowDigest?
    var entries: [LogEntry] = []
    var head: Head?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&base)
      case .message(2): fields.read(&entries, atMost: Wire.listRows)
      case .message(3): fields.read(&head)
      default: return nil
      }
    }
    guard fields.isSound, let head else { return nil }
    self = .log(base: base, entries: entries, head: head)
  }
}

extension Push.Changed: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.message(2, head)
    fields.messages(1, keys)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var keys: [RowKey] = []
    var head: Head?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&keys, atMost: Limits.changeWrites)
      case .message(2): fields.read(&head)
      default: return nil
      }
    }
    guard fields.isSound, let head else { return nil }
    self.init(keys, head: head)
  }
}
