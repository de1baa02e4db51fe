internal import DFSCore
internal import DFSWire
internal import NIOCore

/// What a server answers to messages about copies.
extension SimulatedServer {
  /// - Returns: nil if it is no message about copies.
  func answerAboutCopies(
    _ request: Request, _ body: ByteBuffer?, of session: Int
  ) -> (reply: Reply, body: ByteBuffer?)? {
    // What the connection brought last may come when its end was noticed.
    let isOpen = hasSession(session)
    switch request {
    case .putPart where !isOpen, .hold where !isOpen, .missing where !isOpen:
      return (failed(.disconnected, "the connection has ended"), nil)
    default: break
    }
    return switch request {
    case .putPart(let put): (store(put, body ?? ByteBuffer(), of: session), nil)
    case .getPart(let get): blocks(of: get)
    case .getBytes(let get): (bytes(of: get), nil)
    case .getSmallParts(let get): (small(get.parts), nil)
    case .copies(let asked):
      (
        Reply.CopyList(
          asked.versions.map { version in
            PartIndex.all.filter { disk.isHere(PartID(version: version, part: $0)) }
          }
        ).reply, nil
      )
    case .hold(let asked):
      done { for version in asked.versions { copySessions.hold(session, version) } }
    case .release(let asked):
      done { for version in asked.versions { copySessions.release(session, version) } }
    case .dropParts(let asked): done { drop(asked.parts) }
    case .missing(let asked): (missing(asked, of: session), nil)
    case .health: (health, nil)
    case .join: done {}
    default: nil
    }
  }

  private func done(_ body: () -> Void) -> (reply: Reply, body: ByteBuffer?) {
    body()
    return (Reply.Done().reply, nil)
  }

  private func store(_ put: Request.PutPart, _ body: ByteBuffer, of session: Int) -> Reply {
    let id = put.extent.id
    guard UInt64(body.readableBytes) == put.extent.length else {
      return failed(.unsupported, "the simulation has no parts of several pieces")
    }
    if let problem = world.contents.note(id, body) { world.fail(problem) }
    guard store(id, syncs: put.durable || world.syncsAlways, session: session) else {
      let code = disk.isFull ? DFSError.Code.noSpace : .inputOutput
      return failed(code, "\(index) cannot store \(id.brief)")
    }
    if world.contents.small.contains(id.version) { world.counts.completed += 1 }
    return Reply.Done().reply
  }

  // MARK: Reading

  private func blocks(of get: Request.GetPart) -> (reply: Reply, body: ByteBuffer?) {
    let block = Limits.blockBytes
    let indices =
      Int(get.range.lowerBound) / block..<(Int(get.range.upperBound) + block - 1) / block
    if let refusal = refusal(to: get.id, indices) { return (refusal, nil) }
    guard let part = world.contents[get.id],
      let body = part.bytes.getSlice(
        at: indices.lowerBound * block,
        length: min(indices.upperBound * block, part.bytes.readableBytes) - indices.lowerBound
          * block)
    else { return (failed(.notFound, "there was never such a part"), nil) }
    let extent = PartExtent(
      id: get.id, length: UInt64(part.bytes.readableBytes),
      offset: UInt64(indices.lowerBound * block), checksums: Array(part.checksums[indices]))
    return (extent.reply, body)
  }

  private func bytes(of get: Request.GetBytes) -> Reply {
    let block = UInt64(Limits.blockBytes)
    let indices =
      Int(get.range.lowerBound / block)..<Int((get.range.upperBound + block - 1) / block)
    if let refusal = refusal(to: get.id, indices) { return refusal }
    let bytes = world.contents[get.id]?.bytes.getBytes(
      at: Int(get.range.lowerBound), length: get.range.count)
    return Reply.PartBytes(bytes ?? []).reply
  }

  /// Nil if these blocks of a copy are here, and good.
  private func refusal(to id: PartID, _ blocks: Range<Int>) -> Reply? {
    let isWhole = blocks.count >= SimulatedFile.blocks.count
    switch read(id, isWhole ? nil : blocks.lowerBound) {
    case .good: return nil
    case .absent: return failed(.notFound, "\(id.brief) is not on \(index)")
    case .damaged: return failed(.damaged, "\(id.brief) on \(index) is damaged")
    case .unreadable: return failed(.inputOutput, "\(id.brief) on \(index) cannot be read")
    }
  }

  private func small(_ ids: [PartID]) -> Reply {
    let parts = ids.compactMap { id -> InlinePart? in
      guard case .good = read(id, nil), let part = world.contents[id] else { return nil }
      let bytes = Array(part.bytes.readableBytesView)
      return InlinePart(id: id, bytes: bytes, checksum: .of(bytes))
    }
    return Reply.SmallParts(parts, head: shownHead).reply
  }

  // MARK: What is missing

  private func missing(_ asked: Request.Missing, of session: Int) -> Reply {
    let copies = missing(
      session, claims: asked.claims, after: asked.after, limit: asked.limit)
    return Reply.MissingList(copies, total: UInt64(disk.current.copies.missing.count)).reply
  }

  private var health: Reply {
    var report = HealthReport(head: head)
    report.missing = UInt64(disk.current.copies.missing.count)
    return report.reply
  }
}
