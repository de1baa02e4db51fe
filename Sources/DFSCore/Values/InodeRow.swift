/// The bytes of an inode's row (docs/FORMATS.md, "Inode rows").
extension Inode {
  private enum Format {
    /// Without a version, or with one that is one content.
    static let content: UInt8 = 1
    /// With a version that has layers.
    static let layers: UInt8 = 2
  }

  var encoded: [UInt8] {
    let layered = version.flatMap { $0.layers.isEmpty ? nil : $0 }
    return [UInt8](writing: 65 + target.count + (layered?.rowBytes ?? Content.rowBytes)) { writer in
      writer.put(layered == nil ? Format.content : Format.layers)
      writer.put(kind.rawValue)
      for field in [mode, owner, group, links] { writer.put(field) }
      for time in [accessed, modified, changed] {
        writer.put(UInt64(bitPattern: time.nanoseconds))
      }
      writer.put(device)
      writer.put(parent.value)
      writer.put(UInt16(target.count))
      writer.put(target)
      if let layered {
        layered.write(to: &writer)
      } else {
        writer.put(UInt8(content == nil ? 0 : 1))
        content?.write(to: &writer)
      }
    }
  }

  /// Reads the row of inode `id`.
  /// - Throws: `damaged` if the bytes are not an inode's.
  public init(id: InodeID, row bytes: [UInt8]) throws(DFSError) {
    self = try bytes.withBytes { bytes throws(DFSError) in try Inode(id: id, reading: bytes) }
  }

  private init(id: InodeID, reading bytes: UnsafeRawBufferPointer) throws(DFSError) {
    var reader = ByteReader(bytes)
    let format = try reader.integer(UInt8.self)
    guard format == Format.content || format == Format.layers else {
      throw DFSError(.damaged, "inode \(id) has format \(format); this program reads 1 and 2")
    }
    guard let kind = FileKind(rawValue: try reader.integer(UInt8.self)) else {
      throw DFSError(.damaged, "inode \(id) is of no known kind")
    }
    let mode = try reader.integer(UInt32.self)
    let owner = try reader.integer(UInt32.self)
    let group = try reader.integer(UInt32.self)
    let links = try reader.integer(UInt32.self)
    let accessed = Timestamp(nanoseconds: try reader.integer(Int64.self))
    let modified = Timestamp(nanoseconds: try reader.integer(Int64.self))
    let changed = Timestamp(nanoseconds: try reader.integer(Int64.self))
    let device = try reader.integer(UInt64.self)
    let parent = InodeID(try reader.integer(UInt64.self))
    let target = try reader.take(Int(try reader.integer(UInt16.self)))
    let version: Version?
    if format == Format.layers {
      version = try Version(reading: &reader)
    } else {
      version = try reader.flag() ? Version(Content(reading: &reader)) : nil
    }
    guard reader.isAtEnd, mode <= 0o7777 else {
      throw DFSError(.damaged, "inode \(id) has bytes after its end or fields out of their limits")
    }
    self.init(
      id: id, kind: kind, mode: mode, owner: owner, group: group, links: links, time: changed,
      device: device, parent: parent, target: target, version: version)
    self.accessed = accessed
    self.modified = modified
  }
}

extension ByteReader {
  fileprivate mutating func flag() throws(DFSError) -> Bool {
    let flag = try integer(UInt8.self)
    guard flag <= 1 else { throw DFSError(.damaged, "a row says neither yes nor no, but \(flag)") }
    return flag == 1
  }

  fileprivate mutating func size() throws(DFSError) -> UInt64 {
    let size = try integer(UInt64.self)
    guard size <= Limits.fileBytes else {
      throw DFSError(.damaged, "a version of \(size) bytes; the limit is \(Limits.fileBytes)")
    }
    return size
  }
}

extension Version {
  /// At most the bytes that it has in a row.
  fileprivate var rowBytes: Int {
    layers.reduce(16 + 17 + 1 + Content.rowBytes + 2) { $0 + $1.rowBytes }
  }

  fileprivate func write(to writer: inout ByteWriter) {
    writer.put(id.high)
    writer.put(id.low)
    writer.put(UInt8(md5 == nil ? 0 : 1))
    if let md5 {
      writer.put(md5.high)
      writer.put(md5.low)
    }
    writer.put(UInt8(base == nil ? 0 : 1))
    base?.write(to: &writer)
    writer.put(UInt16(layers.count))
    for layer in layers { layer.write(to: &writer) }
  }

  fileprivate init(reading reader: inout ByteReader) throws(DFSError) {
    let high = try reader.integer(UInt64.self)
    let low = try reader.integer(UInt64.self)
    let md5 =
      try reader.flag()
      ? MD5Digest(high: try reader.integer(UInt64.self), low: try reader.integer(UInt64.self)) : nil
    let base = try reader.flag() ? Content(reading: &reader) : nil
    let count = Int(try reader.integer(UInt16.self))
    guard (1...Self.layersLimit).contains(count) else {
      throw DFSError(.damaged, "a version of \(count) layers; 1 to \(Self.layersLimit) may be")
    }
    var layers: [Layer] = []
    for _ in 0..<count { layers.append(try Layer(reading: &reader)) }
    self.init(id: VersionID(high: high, low: low), base: base, layers: layers, md5: md5)
  }
}

extension Layer {
  private enum Place {
    static let row: UInt8 = 0
    static let content: UInt8 = 1
  }

  fileprivate var rowBytes: Int {
    let index = if case .row(let extents) = index { 2 + 20 * extents.count + 10 } else { 4 }
    return 8 + Content.rowBytes + 16 + 1 + index
  }

  fileprivate func write(to writer: inout ByteWriter) {
    writer.put(inode.value)
    content.write(to: &writer)
    writer.put(cut)
    writer.put(size)
    switch index {
    case .row(let extents):
      let bytes = LayerIndex.encoded(extents)
      writer.put(Place.row)
      writer.put(UInt16(bytes.count))
      writer.put(bytes)
    case .content(let bytes):
      writer.put(Place.content)
      writer.put(bytes)
    }
  }

  fileprivate init(reading reader: inout ByteReader) throws(DFSError) {
    let inode = InodeID(try reader.integer(UInt64.self))
    let content = try Content(reading: &reader)
    let (cut, size) = (try reader.size(), try reader.size())
    guard cut <= size else {
      throw DFSError(.damaged, "layer \(inode) of a file of \(size) bytes is cut at \(cut)")
    }
    switch try reader.integer(UInt8.self) {
    case Place.row:
      let bytes = try reader.take(Int(try reader.integer(UInt16.self)))
      let extents = try LayerIndex.decoded(bytes, size: size)
      self.init(inode: inode, content: content, cut: cut, size: size, index: .row(extents))
      try LayerIndex.check(extents, of: self)
    case Place.content:
      let bytes = try reader.integer(UInt32.self)
      guard bytes <= LayerIndex.bytesLimit, UInt64(bytes) <= content.size else {
        throw DFSError(
          .damaged, "layer \(inode) of \(content.size) bytes has an index of \(bytes) bytes")
      }
      self.init(
        inode: inode, content: content, cut: cut, size: size, index: .content(bytes: bytes))
    case let other:
      throw DFSError(.damaged, "layer \(inode) has its index at a place of no known kind: \(other)")
    }
  }
}
