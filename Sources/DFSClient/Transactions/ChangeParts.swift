internal import DFSCore
internal import DFSReplication
internal import Synchronization

/// What travels with a change besides its rows: small copies, and for each server the copies that it
/// must have already.
struct ChangeParts: Sendable {
  /// All four go to every server: it keeps its own, and the others for a while. Whoever takes the
  /// change up from any one server can then bring everybody what the rows ask for.
  var inline: [InlinePart] = []
  var held: [ServerIndex: [PartID]] = [:]
  var durable = false
  /// Told which servers have the copies.
  var receipt: PartsReceipt?

  var hasCopies: Bool { !inline.isEmpty || !held.isEmpty }
}

/// The servers that have the copies of a change: those that took it together with the copies that
/// travelled with it, or those that did not say that they lack what was uploaded. The others may have
/// the change too, from somebody's log, but not those copies.
final class PartsReceipt: Sendable {
  private let servers: Mutex<ServerSet>

  /// - Parameter stored: the servers that have them before the change is sent.
  init(stored: ServerSet = []) { servers = Mutex(stored) }

  var stored: ServerSet { servers.withLock { $0 } }

  /// What `server` answered to the change.
  func note(_ reply: NamespaceReply, of server: ServerIndex) {
    switch reply {
    case .applied: servers.withLock { $0.insert(server) }
    case .missingParts: servers.withLock { $0.remove(server) }
    default: break
    }
  }
}
