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
      ids.append(send(.putPart(extent, durable: durable), body: ByteBuffer(bytes: piece)))
    }
    for id in ids {
      if case .failed(let error) = try await answer(to: id).reply { throw error }
    }
  }

  func get(_ part: PartID, count: Int) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let end = min(bytes.count + Limits.chunkBytes, count)
      let answer = try await ask(.getPart(part, range: UInt64(bytes.count)..<UInt64(end)))
      guard let body = answer.body else { throw DFSError(.damaged, "no bytes") }
      bytes += body.readableBytesView
    }
    return bytes
  }

  /// Takes and installs the first view on a blank server.
  func takeView(client: ClientID = .random()) async throws -> View {
    let view = View(round: 1, client: client, namespace: .random())
    try await ask(.namespace(.prepare(view), parts: [], held: [], durable: false))
    let to = Head(view: view, number: 0, digest: .empty)
    try await ask(
      .namespace(
        .install(view, from: .blank, changes: [], to: to), parts: [], held: [], durable: false))
    return view
  }

  func apply(_ view: View, number: UInt64, inode: UInt64) -> Request {
    let write = RowWrite(.inode(InodeID(inode)), RowValue(bytes: [UInt8](repeating: 1, count: 60)))
    let change = Change(id: ChangeID(client: view.client, sequence: number), writes: [write])
    return .namespace(
      .apply(view, number: number, change), parts: [], held: [], durable: false)
  }

  func append(_ view: View, number: UInt64, inode: UInt64) async throws -> Head {
    let answer = try await ask(apply(view, number: number, inode: inode))
    guard case .namespace(.applied(let head)) = answer.reply else {
      throw DFSError(.protocolViolation, "not applied: \(answer.reply)")
    }
    return head
  }

  func rows(of query: Query) async throws -> [Row] {
    guard case .query(let answers, _) = try await ask(.query([query])).reply else {
      throw DFSError(.protocolViolation, "no answer")
    }
    return answers.flatMap(\.rows)
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
