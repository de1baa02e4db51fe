internal import DFSCore
internal import DFSReplication
internal import DFSWire

/// Replaces all rows of a server by those of another: for one that is blank, or whose rows are not a
/// beginning of the committed ones.
///
/// Every page must come from rows that are exactly those at `head`; the server installs the view only
/// if the digest of what it got says the same. An unfinished refill changes nothing.
struct NamespaceRefill: Sendable {
  static let pageTimeout = Duration.seconds(15)

  let server: ServerIndex
  let source: ServerIndex
  let view: View
  let head: Head

  func run(on servers: NamespaceServers) async -> Result<Head, DFSError> {
    do throws(DFSError) {
      return .success(try await copy(servers))
    } catch {
      return .failure(error)
    }
  }

  private func copy(_ servers: NamespaceServers) async throws(DFSError) -> Head {
    switch try await servers.ask(server, .refillBegin(view), timeout: Self.pageTimeout) {
    case .done: break
    case .namespace(.installed(let head)): return head
    case let other: throw refused(other)
    }
    var last: RowKey?
    repeat {
      let page = try await page(after: last, servers)
      if !page.rows.isEmpty {
        guard
          case .done = try await servers.ask(
            server, .refillRows(page.rows), timeout: Self.pageTimeout)
        else { throw refused(nil) }
        CrashPoint.reached(.refillPageSent)
      }
      last = page.isPartial ? page.rows.last?.key : nil
    } while last != nil
    switch try await servers.ask(server, .refillEnd(view, to: head), timeout: Self.pageTimeout) {
    case .namespace(.installed(let head)): return head
    case let other: throw refused(other)
    }
  }

  private func page(
    after last: RowKey?, _ servers: NamespaceServers
  ) async throws(DFSError) -> QueryAnswer {
    let (answers, theirs) = try await servers.query(
      [.everything(after: last)], of: source, timeout: Self.pageTimeout)
    guard theirs.hasSameRows(as: head), let page = answers.first else {
      throw DFSError(
        .displaced,
        "\(source) is at change \(theirs.number) by now, the refill is of \(head.number)")
    }
    return page
  }

  private func refused(_ reply: Reply?) -> DFSError {
    if case .namespace(.refused(let later)) = reply {
      return DFSError(.displaced, "\(server) has promised view \(later)")
    }
    return DFSError(.protocolViolation, "\(server) did not take a refill")
  }
}
