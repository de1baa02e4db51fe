internal import DFSCore
internal import DFSReplication
internal import DFSWire

/// Replaces all rows of a server by those of another: for one that is blank, or whose rows are not a
/// beginning of the committed ones.
///
/// Changes may be appended meanwhile: some pages then show them and others do not. Those changes are
/// performed on what was copied, in order: a row that one of them writes is then as the last one left
/// it, and any other as it was all the time. The server installs the view only if the digest of what it
/// got is that of the source. An unfinished refill changes nothing.
struct NamespaceRefill: Sendable {
  static let pageTimeout = Duration.seconds(15)

  let server: ServerIndex
  let source: ServerIndex
  let view: View
  let head: Head

  /// - Parameter committed: the head of this client's view up to which changes are on three servers;
  ///   nil if it does not lead.
  func run(
    on servers: NamespaceServers, committed: @Sendable () async -> Head?
  ) async -> Result<Head, DFSError> {
    do throws(DFSError) {
      return .success(try await copy(servers, committed))
    } catch {
      return .failure(error)
    }
  }

  private func copy(
    _ servers: NamespaceServers, _ committed: @Sendable () async -> Head?
  ) async throws(DFSError) -> Head {
    switch try await servers.ask(server, .refillBegin(view), timeout: Self.pageTimeout) {
    case .done: break
    case .namespace(.installed(let head)): return head
    case let other: throw refused(other)
    }
    var last: RowKey?
    var seen = head.number
    repeat {
      let (page, number) = try await page(after: last, servers)
      seen = max(seen, number)
      if !page.rows.isEmpty {
        guard
          case .done = try await servers.ask(
            server, .refillRows(page.rows), timeout: Self.pageTimeout)
        else { throw refused(nil) }
        CrashPoint.reached(.refillPageSent)
      }
      last = page.isPartial ? page.rows.last?.key : nil
    } while last != nil
    let to = seen == head.number ? head : try await perform(servers, atLeast: seen, committed)
    switch try await servers.ask(server, .refillEnd(view, to: to), timeout: Self.pageTimeout) {
    case .namespace(.installed(let head)): return head
    case let other: throw refused(other)
    }
  }

  /// Has the server perform the committed changes after `head`.
  /// - Parameter number: the last of which a page may have shown something.
  /// - Returns: the head that this comes to, of `number` at the least.
  private func perform(
    _ servers: NamespaceServers, atLeast number: UInt64, _ committed: @Sendable () async -> Head?
  ) async throws(DFSError) -> Head {
    let deadline = ContinuousClock.now + Self.pageTimeout
    var to = head
    while to.number < number {
      guard let leading = await committed(), leading.view == view else { throw displaced }
      let entries = try await changes(after: to, upTo: leading.number, servers)
      guard let last = entries.last else {
        // The last change that was seen is on its way to three servers.
        guard .now < deadline else { throw displaced }
        try? await Task.sleep(for: .milliseconds(5))
        continue
      }
      guard
        case .done = try await servers.ask(
          server, .refillChanges(entries), timeout: Self.pageTimeout)
      else { throw refused(nil) }
      to = Head(view: view, number: last.number, digest: last.digest)
    }
    return to
  }

  private func changes(
    after head: Head, upTo number: UInt64, _ servers: NamespaceServers
  ) async throws(DFSError) -> [LogEntry] {
    let request = Request.namespace(
      .log(after: head.number), parts: [], held: [], durable: false)
    guard
      case .namespace(.log(let base, let entries, let theirs)) = try await servers.ask(
        source, request, timeout: Self.pageTimeout), base == head.digest, theirs.view == view
    else { throw displaced }
    return entries.filter { $0.number <= number }
  }

  private var displaced: DFSError {
    DFSError(.displaced, "\(source) has not all changes after \(head.number) any more")
  }

  /// - Returns: rows, and the number of the last change of which they may show something.
  private func page(
    after last: RowKey?, _ servers: NamespaceServers
  ) async throws(DFSError) -> (QueryAnswer, UInt64) {
    let (answers, theirs) = try await servers.query(
      [.everything(after: last)], of: source, timeout: Self.pageTimeout)
    let isLater = theirs.view == view && theirs.number > head.number
    guard theirs.hasSameRows(as: head) || isLater, let page = answers.first else {
      throw DFSError(
        .displaced,
        "\(source) is at change \(theirs.number) of another view by now, the refill is of "
          + "\(head.number)")
    }
    return (page, theirs.number)
  }

  private func refused(_ reply: Reply?) -> DFSError {
    if case .namespace(.refused(let later)) = reply {
      return DFSError(.displaced, "\(server) has promised view \(later)")
    }
    return DFSError(.protocolViolation, "\(server) did not take a refill")
  }
}
