internal import DFSCore

/// The writes of a change as the log keeps them (docs/FORMATS.md, "Log entries").
enum RowWriteCodec {
  private static let hasValue: UInt8 = 1
  private static let hasChild: UInt8 = 2
  private static let hasContent: UInt8 = 4

  static func encode(_ writes: [RowWrite]) -> [UInt8] {
    let capacity = writes.reduce(0) {
      $0 + 64 + $1.key.name.count + ($1.value?.bytes.count ?? 0)
    }
    return [UInt8](writing: capacity) { writer in
      for write in writes { encode(write, to: &writer) }
    }
  }

  private static func encode(_ write: RowWrite, to writer: inout ByteWriter) {
    write.key.write(to: &writer)
    guard let value = write.value else { return writer.put(0 as UInt8) }
    writer.put(
      hasValue | (value.child == nil ? 0 : hasChild) | (value.content == nil ? 0 : hasContent))
    if let child = value.child { writer.put(child.value) }
    value.content?.write(to: &writer)
    writer.put(UInt32(value.bytes.count))
    writer.put(value.bytes)
  }

  static func decode(_ bytes: [UInt8]) throws(DFSError) -> [RowWrite] {
    var writes: [RowWrite] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let key = try decodeKey(&rest)
      let flags = try take(1, &rest).first ?? 0
      guard flags & hasValue != 0 else {
        writes.append(RowWrite(key, nil))
        continue
      }
      let child = flags & hasChild == 0 ? nil : InodeID(UInt64(bigEndian: try take(8, &rest)))
      let content = flags & hasContent == 0 ? nil : try takeContent(&rest)
      let count = Int(UInt32(bigEndian: try take(4, &rest)))
      let value = RowValue(bytes: Array(try take(count, &rest)), child: child, content: content)
      writes.append(RowWrite(key, value))
    }
    return writes
  }

  private static func decodeKey(_ rest: inout ArraySlice<UInt8>) throws(DFSError) -> RowKey {
    let kind = try take(1, &rest).first
    let id = InodeID(UInt64(bigEndian: try take(8, &rest)))
    if kind == 1 { return .inode(id) }
    let count = Int(try take(1, &rest).first ?? 0)
    let name = try take(count, &rest)
    switch kind {
    case 2: return .entry(parent: id, name: try FileName(name))
    case 3: return .attribute(id, name: try AttributeName(name))
    default: throw DFSError(.damaged, "a change in the log has a row of no known kind")
    }
  }

  private static func takeContent(
    _ rest: inout ArraySlice<UInt8>
  ) throws(DFSError) -> RowContent? {
    guard let version = VersionID(bytes: try take(16, &rest)) else { return nil }
    return RowContent(version: version, copies: UInt32(bigEndian: try take(4, &rest)))
  }

  private static func take(
    _ count: Int, _ rest: inout ArraySlice<UInt8>
  ) throws(DFSError) -> ArraySlice<UInt8> {
    guard count <= rest.count else {
      throw DFSError(.damaged, "a change in the log ends \(count - rest.count) bytes early")
    }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }
}
