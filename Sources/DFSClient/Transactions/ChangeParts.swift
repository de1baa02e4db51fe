internal import DFSCore
internal import DFSReplication

/// What travels with a change besides its rows: small copies, and for each server the copies that it
/// must have already.
package struct ChangeParts: Sendable {
  /// All four go to every server: it keeps its own, and the others for a while. Whoever takes the
  /// change up from any one server can then bring everybody what the rows ask for.
  var inline: [InlinePart] = []
  var held: [ServerIndex: [PartID]] = [:]
  var durable = false
  /// The servers that have the copies before the change is sent.
  var stored: ServerSet = []

  package init(durable: Bool = false) { self.durable = durable }

  var hasCopies: Bool { !inline.isEmpty || !held.isEmpty }
}

/// The servers that have the copies of the change that was sent last: those that took it together with
/// the copies that travelled with it, or after they had looked for what was uploaded. The others may have the
/// change too, from somebody's log, but not those copies.
struct SentParts: Sendable {
  /// Nil until the change is sent.
  var change: ChangeID?
  private let uploaded: ServerSet
  private var accepted: ServerSet = []
  private var lacking: ServerSet = []

  /// - Parameter stored: the servers that have them before the change is sent.
  init(stored: ServerSet = []) { uploaded = stored }

  /// A server that has not answered is believed to have what was uploaded if three have looked: then another
  /// copy of each part is known to be there. Where others took the change up from one, nobody has looked.
  var stored: ServerSet {
    guard accepted.count >= Limits.quorum else { return accepted }
    return uploaded.union(accepted).subtracting(lacking)
  }

  /// What `server` answered to a change.
  mutating func note(_ reply: NamespaceReply, to change: ChangeID, of server: ServerIndex) {
    guard change == self.change else { return }
    switch reply {
    case .applied: accepted.insert(server)
    case .missingParts: lacking.insert(server)
    default: break
    }
  }
}
