internal import DFSCore

/// Questions about rows and their answers, written and read directly (`DirectMessage`); `Namespace/Query.swift`
/// maps the same to protobuf.

extension Request.Query: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int {
    queries.reduce(0) { sum, query in
      switch query {
      case .entry(_, let name): sum + 32 + name.bytes.count
      case .directory(_, let after): sum + 32 + (after?.bytes.count ?? 0)
      case .everything(let after): sum + 32 + (after?.directBytes ?? 0)
      case .inode, .attributes, .substitutes: sum + 32
      }
    }
  }

  func write(to fields: inout FieldWriter) { fields.messages(1, queries) }

  init?(reading fields: FieldReader) {
    guard let queries: [DFSCore.Query] = fields.list(atMost: Limits.queries) else { return nil }
    self.init(queries)
  }
}

extension DFSCore.Query: DirectMessage {
  func write(to fields: inout FieldWriter) {
    switch self {
    case .inode(let id): fields.presentFixed64(1, id.value)
    case .entry(let parent, let name):
      fields.message(2) {
        $0.bytes(2, name.bytes)
        $0.fixed64(1, parent.value)
      }
    case .directory(let id, let after):
      fields.message(3) {
        if let after { $0.presentBytes(2, after.bytes) }
        $0.fixed64(1, id.value)
      }
    case .attributes(let id): fields.presentFixed64(4, id.value)
    case .everything(let after):
      fields.message(5) { if let after { $0.message(1, after) } }
    case .substitutes(let after): fields.presentFixed64(6, after?.value ?? 0)
    }
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    guard let tag = fields.next() else { return nil }
    switch tag {
    case .fixed64(1): self = .inode(InodeID(fields.fixed64()))
    case .message(2):
      guard let entry = Self(entry: fields.message()) else { return nil }
      self = entry
    case .message(3):
      guard let directory = Self(directory: fields.message()) else { return nil }
      self = directory
    case .fixed64(4): self = .attributes(InodeID(fields.fixed64()))
    case .message(5):
      guard let everything = Self(everything: fields.message()) else { return nil }
      self = everything
    case .fixed64(6):
      let after = fields.fixed64()
      self = .substitutes(after: after == 0 ? nil : InodeID(after))
    default: return nil
    }
    guard fields.isSound, fields.next() == nil else { return nil }
  }

  private init?(entry fields: FieldReader) {
    var fields = fields
    var parent: UInt64 = 0
    var name: [UInt8] = []
    while let tag = fields.next() {
      switch tag {
      case .fixed64(1): parent = fields.fixed64()
      case .message(2): name = fields.byteArray()
      default: return nil
      }
    }
    guard fields.isSound, let name = try? FileName(name) else { return nil }
    self = .entry(parent: InodeID(parent), name: name)
  }

  private init?(directory fields: FieldReader) {
    var fields = fields
    var inode: UInt64 = 0
    var after: FileName?
    while let tag = fields.next() {
      switch tag {
      case .fixed64(1): inode = fields.fixed64()
      case .message(2):
        guard let name = try? FileName(fields.byteArray()) else { return nil }
        after = name
      default: return nil
      }
    }
    guard fields.isSound else { return nil }
    self = .directory(InodeID(inode), after: after)
  }

  private init?(everything fields: FieldReader) {
    var fields = fields
    var after: RowKey?
    while let tag = fields.next() {
      guard tag == .message(1) else { return nil }
      fields.read(&after)
    }
    guard fields.isSound else { return nil }
    self = .everything(after: after)
  }
}

extension Reply.Answers: DirectMessage {
  /// About how many bytes it has, or a little more.
  var directBytes: Int {
    answers.reduce(0) { sum, answer in answer.rows.reduce(sum + 16) { $0 + $1.directBytes } }
  }

  func write(to fields: inout FieldWriter) {
    fields.message(2, head)
    fields.messages(1, answers)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var answers: [QueryAnswer] = []
    var head: Head?
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&answers, atMost: Wire.listItems)
      case .message(2): fields.read(&head)
      default: return nil
      }
    }
    guard fields.isSound, let head else { return nil }
    self.init(answers, head: head)
  }
}

extension QueryAnswer: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.bool(2, isPartial)
    fields.messages(1, rows)
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var rows: [Row] = []
    var isPartial = false
    while let tag = fields.next() {
      switch tag {
      case .message(1): fields.read(&rows, atMost: Wire.listRows)
      case .varint(2): isPartial = fields.varint() != 0
      default: return nil
      }
    }
    guard fields.isSound else { return nil }
    self.init(rows: rows, isPartial: isPartial)
  }
}
