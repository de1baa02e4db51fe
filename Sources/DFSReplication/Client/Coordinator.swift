public import DFSCore

/// One client's side of the namespace protocol: viewstamped replication with the client as primary
/// (Liskov and Cowling, "Viewstamped Replication Revisited", 2012), as a state machine without I/O.
///
/// The driver (DFSClient's `CoordinatorDriver`) calls an event and performs the actions it returns, in
/// order. One change is under way at a time. The view change is in Coordinator+View.swift,
/// bringing servers along in Coordinator+CatchUp.swift, appending in Coordinator+Append.swift.
///
/// Invariants:
/// - While `phase` is `leading`, `head` is committed and three servers had `view` installed at it.
/// - A change is reported committed only with three equal answers.
/// - Within a view, a number is given to one change only; a change is sent under one number only.
/// - After a view was lost, nothing is appended until another is taken.
/// - A namespace gets its identity with its first view, which all four servers promise while none of them
///   has one: so no two clients can make two.
public struct Coordinator: Sendable {
  /// Who takes the views and makes the changes.
  public let client: ClientID
  /// How far `view` is.
  public internal(set) var phase: Phase = .idle
  /// The view that is being taken or led, or was last; `none` before the first.
  public internal(set) var view: View = .none
  /// The committed head, while leading.
  public internal(set) var head: Head = .blank
  /// The namespace that views are taken of: as servers told it, or what is proposed until then. Nil: views
  /// name none.
  public internal(set) var namespace: NamespaceID?
  /// Whether a server has it, or this client was told so.
  var isNamespaceKnown: Bool
  /// What is proposed if no server has one.
  private let proposal: NamespaceID?
  /// Whether this client has led in it.
  private var isNamespaceSure = false
  /// Whether the view being taken gives rows their identity that a release before 1.1 wrote: on all four.
  var takesOver = false

  var rounds = Rounds()
  var peers: [Peer] = Array(repeating: .unreachable, count: Limits.serverCount)
  var outstanding: [UInt64: (server: ServerIndex, purpose: Purpose)] = [:]
  var nextToken: UInt64 = 0
  var sequence: UInt64 = 0
  /// The server whose head is the truth of this view.
  var source: ServerIndex?
  /// The servers that told the rows of the truth by themselves, before this client brought them.
  var witnesses: ServerSet = []
  var pending: Pending?
  var outcome: Outcome?
  var outcomeIsOpen = false
  /// Whether servers were brought changes, or all rows, since the view was begun to be taken.
  public internal(set) var hasBroughtChanges = false
  /// How often each server has gone back in this view: it forgot its promise, or what it was brought.
  var setbacks = [Int](repeating: 0, count: Limits.serverCount)
  /// A server that goes back more often in one view is a hostile one, and would be answered for ever.
  static let setbackLimit = 1_000
  /// Servers that were asked for the outcome of the open change.
  var outcomeAsked: ServerSet = []

  /// - Parameter namespace: the identity to propose if the namespace has none yet.
  public init(client: ClientID, namespace: NamespaceID? = nil) {
    self.client = client
    self.namespace = namespace
    proposal = namespace
    isNamespaceKnown = namespace == nil
  }

  // MARK: What the driver may want to know

  /// Reachable servers that are not at the committed head of this view. While there are some,
  /// `retry` brings them along; call it now and then, also when nothing is appended.
  public var lagging: ServerSet {
    guard phase == .leading else { return [] }
    return ServerSet { server in
      switch peers[server.value] {
      case .refused, .foreign, .absurd: false
      default: !isCurrent(server)
      }
    }
  }

  /// Servers, reachable or not, that are not known to be at the committed head of this view.
  public var lacking: ServerSet { ServerSet { !isCurrent($0) } }

  /// The server whose word alone is the truth of the view that is being taken. Who leads has three
  /// servers at these rows.
  public var loneWitness: ServerIndex? {
    phase == .installing && witnesses.count == 1 ? witnesses.servers.first : nil
  }

  /// What servers are brought to: the committed head of this client's view, or the one with which the
  /// view begins that is being taken.
  public var goal: Head? {
    guard phase == .installing || phase == .leading else { return nil }
    return Head(view: view, number: head.number, digest: head.digest)
  }

  /// Whether a server has promised a later view, whose client may be gone: only a new view, taken
  /// when nothing is under way, brings that server back.
  public var needsNewView: Bool { phase == .leading && peers.contains(.refused) }

  /// Whether a change was sent whose outcome is not known yet.
  public var hasOpenChange: Bool { pending != nil }

  // MARK: Events

  /// Learns which namespace it is.
  public mutating func learn(_ id: NamespaceID) {
    if namespace != id { abandon() }
    namespace = id
    isNamespaceKnown = true
  }

  /// Three servers are in a view of the namespace.
  mutating func confirmNamespace() {
    isNamespaceKnown = true
    isNamespaceSure = namespace != nil
  }

  /// All four servers are blank, whatever this client was told: the namespace of another cluster must
  /// not get a second home here.
  /// - Returns: nil if the namespace is this client's own to make.
  mutating func forgetHearsay() -> [Action]? {
    guard isNamespaceKnown, namespace != nil else { return nil }
    abandon()
    if isNamespaceSure { return [.stuck(.blank(.all))] }
    namespace = proposal
    isNamespaceKnown = false
    return [.superseded]
  }

  /// Learns of a view that some server is in, so that the next one taken is greater. A later view
  /// than this client's was promised by three servers, so that this client's is lost.
  public mutating func saw(_ view: View) {
    if isNamespaceKnown, view.namespace != namespace, view.namespace != nil { return }
    rounds.use(view.round)
    if phase == .leading, pending == nil, view > self.view { abandon() }
  }

  /// An answer to the message with `token`.
  public mutating func receive(_ reply: NamespaceReply, token: UInt64) -> [Action] {
    guard let (server, purpose) = outstanding.removeValue(forKey: token) else { return [] }
    guard reply.isWithinLimits else { return lost(server, purpose, as: .absurd) }
    if case .refused(let other) = reply { return refused(by: server, in: other, purpose) }
    if case .foreign(let head) = reply { return foreign(server, head) }
    switch (purpose, reply) {
    case (.prepare, .promised(let head)): return promised(server, head)
    case (.install, .installed(let head)), (.probe, .head(let head)):
      return installed(server, head)
    case (.install, .behind(let head)): return promised(server, head)
    case (.apply, .applied(let head)): return applied(server, head)
    case (.apply, .behind(let head)): return behind(server, head)
    case (.apply, .missingParts): return rejected(by: server)
    case (.bring(let target), .log(let base, let entries, _)):
      return bring(target, from: server, base: base, entries: entries)
    case (.outcome, .log(let base, let entries, _)):
      return learnOutcome(base: base, entries: entries)
    default: return lost(server, purpose, as: .unreachable)
    }
  }

  /// A message could not be delivered, its connection ended before the answer, or the server
  /// failed to answer it.
  public mutating func undelivered(token: UInt64) -> [Action] {
    guard let (server, purpose) = outstanding.removeValue(forKey: token) else { return [] }
    return lost(server, purpose, as: .unreachable)
  }

  /// There is no answer, or none that can be used.
  private mutating func lost(
    _ server: ServerIndex, _ purpose: Purpose, as peer: Peer
  ) -> [Action] {
    peers[server.value] = peer
    let lost = checkLoss()
    guard lost.isEmpty else { return lost }
    switch purpose {
    case .bring(let target): return bringAgain(target)
    case .outcome: return askOutcome() + advance()
    default: return advance()
    }
  }

  /// A transfer has ended, that this view or an earlier one asked for.
  /// - Parameter head: where the server is; nil if that is not known.
  public mutating func refilled(_ server: ServerIndex, head: Head?) -> [Action] {
    guard phase != .idle else { return [] }
    if let head, head.view == view { return installed(server, head) }
    guard case .catchingUp(let way) = peers[server.value], way.step == .transfer else { return [] }
    peers[server.value] = .unreachable
    return checkLoss()
  }

  /// Time has passed without an end, or servers came back: sends again to `reachable` what they
  /// did not answer.
  /// Late answers of those servers to earlier messages are ignored.
  public mutating func retry(reachable: ServerSet) -> [Action] {
    guard phase != .idle else { return [] }
    outstanding = outstanding.filter { message in
      if case .bring(let target) = message.value.purpose, reachable.contains(target) {
        return false
      }
      return !reachable.contains(message.value.server)
    }
    let actions = reachable.servers.flatMap { retry($0) }
    return actions + (outcomeIsOpen && phase == .installing ? askOutcome() : []) + advance()
  }

  /// A connection to the server was made anew: its process may be another one, that has forgotten
  /// what it had (a blank or restored disk, lost power). It is asked where it is.
  public mutating func reconnected(_ server: ServerIndex) -> [Action] {
    if case .inView = peers[server.value] { peers[server.value] = .unreachable }
    return retry(reachable: ServerSet([server]))
  }

  private mutating func retry(_ server: ServerIndex) -> [Action] {
    switch peers[server.value] {
    case .silent, .unreachable: return prepare(server)
    case .promised, .catchingUp: return bringAgain(server)
    case .inView: return follow(server)
    case .refused, .foreign, .absurd: return []
    }
  }

  /// Gives the view up; what was under way stays open and is looked for when a view is taken again.
  public mutating func abandon() {
    phase = .idle
    outstanding = [:]
  }

  /// The truth of the view that is being taken would drop most of what other servers have, and no second
  /// server vouches for it: nothing is brought to anybody.
  public mutating func refuseTruth() -> [Action] {
    guard let lone = loneWitness else { return [] }
    abandon()
    return [.stuck(.loss(lone))]
  }

  /// Forgets a change whose outcome was reported as unknown. Its number may be taken on some
  /// server, so nothing can follow it in this view, which is given up.
  public mutating func forget() {
    if pending != nil { abandon() }
    pending = nil
  }

  // MARK: Small things

  mutating func send(
    _ server: ServerIndex, _ request: NamespaceRequest, for purpose: Purpose
  ) -> Action {
    nextToken += 1
    outstanding[nextToken] = (server, purpose)
    return .send(server, request, token: nextToken)
  }

  /// Whether `server` is in the view and has the committed head.
  func isCurrent(_ server: ServerIndex) -> Bool {
    if case .inView(let number) = peers[server.value] { number >= head.number } else { false }
  }
}
