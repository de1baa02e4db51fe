import DFSCore
import DFSWire
import NIOCore

/// Requests that take several steps.
extension TestClient {
  func put(_ part: PartID, _ bytes: [UInt8], durable: Bool) async throws {
    var ids: [UInt64] = []
    for start in stride(from: 0, to: bytes.count, by: Limits.chunkBytes) {
      let piece = Array(bytes[start..<min(start + Limits.chunkBytes, bytes.count)])
      let checksums = piece.withUnsafeBytes { BlockChecksum.blocks(of: $0) }
      let extent = PartExtent(
        id: part, length: UInt64(bytes.count), offset: UInt64(start), checksums: checksums)
      ids.append(send(Request.PutPart(extent, durable: durable), body: ByteBuffer(bytes: piece)))
    }
    for id in ids {
      _ = try Request.PutPart.answer(in: try await answer(to: id).reply, by: "the server")
    }
  }

  func get(_ part: PartID, count: Int) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let end = min(bytes.count + Limits.chunkBytes, count)
      let answer = try await askForBytes(
        Request.GetPart(part, range: UInt64(bytes.count)..<UInt64(end)))
      guard let body = answer.body else { throw DFSError(.damaged, "no bytes") }
      bytes += body.readableBytesView
    }
    return bytes
  }

  /// Takes and installs the first view on a blank server.
  func takeView(client: ClientID = .random()) async throws -> View {
    let view = View(round: 1, client: client, namespace: .random())
    try await ask(Request.Namespace(.prepare(view)))
    let to = Head(view: view, number: 0, digest: .empty)
    try await ask(
      Request.Namespace(
        .install(view, from: .blank, changes: [], to: to)))
    return view
  }

  func apply(_ view: View, number: UInt64, inode: UInt64) -> Request.Namespace {
    let write = RowWrite(.inode(InodeID(inode)), RowValue(bytes: [UInt8](repeating: 1, count: 60)))
    let change = Change(id: ChangeID(client: view.client, sequence: number), writes: [write])
    return Request.Namespace(.apply(view, number: number, change))
  }

  func append(_ view: View, number: UInt64, inode: UInt64) async throws -> Head {
    let answer = try await ask(apply(view, number: number, inode: inode))
    guard case .applied(let head) = answer else {
      throw DFSError(.protocolViolation, "not applied: \(answer)")
    }
    return head
  }

  func rows(of query: Query) async throws -> [Row] {
    try await ask(Request.Query([query])).answers.flatMap(\.rows)
  }
}

extension ChannelPipeline {
  /// Writes bytes past the encoder.
  func syncSend(_ bytes: ByteBuffer) {
    eventLoop.execute { [self] in
      guard let encoder = try? syncOperations.context(handlerType: FrameEncoder.self) else {
        return
      }
      encoder.writeAndFlush(NIOAny(bytes), promise: nil)
    }
  }
}
