internal import DFSCore
internal import DFSSystem
internal import Glibc
internal import Synchronization

/// The clients that were granted read leases: the file `leases` in a user's directory.
///
/// Entries of 16 bytes: a client's number and its checksum (XXH3, 64 bits), both with the highest byte first. What
/// follows the last whole one was being written when the machine lost its power; no lease was granted by it.
///
/// Invariants:
/// - A client is in the file, on stable storage, before it is granted a lease.
/// - A process answers nobody before each client that an earlier process had noted has come back, or
///   `LeaseTerm.granted` is over: a client drops what it knew when its connection ends, before it connects anew.
final class LeaseList: Sendable {
  static let fileName = "leases"
  private static let entryBytes = 16
  /// Clients in the file before it is written anew with those that hold leases.
  private static let limit = 4096

  private struct State {
    var noted: Set<ClientID> = []
    var entries = 0
    /// Who had leases of an earlier process and has not come back; nil: the file does not tell who.
    var awaited: Set<ClientID>? = []
    /// Clients that have come before it was known who is awaited; nil once nobody is.
    var returned: Set<ClientID>? = []
    /// Nobody is answered because of them.
    var isHolding = false
  }

  private let directory: String
  private let state = Mutex(State())
  /// One writes at a time.
  private let writing = Mutex(())

  init(directory: String) { self.directory = directory }

  private var path: String { "\(directory)/\(Self.fileName)" }

  func isNoted(_ client: ClientID) -> Bool { state.withLock { $0.noted.contains(client) } }

  /// Notes a client. Blocks.
  /// - Parameter holders: those that hold leases now.
  func note(_ client: ClientID, among holders: () -> Set<ClientID>) throws(DFSError) {
    try writing.withLock { _ throws(DFSError) in
      guard !isNoted(client) else { return }
      let entries = state.withLock { $0.entries }
      if entries < Self.limit {
        let file = try File(path, flags: O_RDWR | O_CREAT)
        try file.append(client, at: entries)
        try file.sync()
        if entries == 0 { try Disk.syncDirectory(directory) }
        state.withLock { state in
          state.entries += 1
          state.noted.insert(client)
        }
      } else {
        try replace(with: holders().union([client]))
      }
    }
  }

  private func replace(with clients: Set<ClientID>) throws(DFSError) {
    let file = try File(path + ".new", flags: O_RDWR | O_CREAT | O_TRUNC)
    for (index, client) in clients.sorted().enumerated() { try file.append(client, at: index) }
    try file.sync()
    try Disk.rename(path + ".new", path)
    try Disk.syncDirectory(directory)
    state.withLock { ($0.noted, $0.entries) = (clients, clients.count) }
  }

  // MARK: After a start

  /// Reads whom an earlier process had noted. Blocks.
  /// - Returns: whether there is anybody to wait for.
  func begin() throws(DFSError) -> Bool {
    guard let length = try Disk.status(path)?.bytes else {
      state.withLock { $0.returned = nil }
      return false
    }
    let bytes = try File(path, flags: O_RDONLY).read(
      count: Int(min(length, UInt64(2 * Self.limit * Self.entryBytes))), at: 0)
    let entries = stride(
      from: 0, to: bytes.count / Self.entryBytes * Self.entryBytes, by: Self.entryBytes
    )
    .map { ClientID(entry: bytes[$0..<$0 + Self.entryBytes]) }
    let known = entries.compactMap(\.self)
    state.withLock { state in
      state.isHolding = true
      state.awaited =
        known.count == entries.count ? Set(known).subtracting(state.returned ?? []) : nil
    }
    return true
  }

  /// A client has connected anew.
  func returned(_ client: ClientID) {
    state.withLock { state in
      guard state.returned != nil else { return }
      state.returned?.insert(client)
      state.awaited?.remove(client)
    }
  }

  var isAwaiting: Bool { state.withLock { $0.awaited.map { !$0.isEmpty } ?? true } }

  /// Whether nobody is answered yet because of leases of an earlier process.
  var isHolding: Bool { state.withLock { $0.isHolding } }

  /// No lease is left. Blocks.
  func clear() throws(DFSError) {
    try writing.withLock { _ throws(DFSError) in
      if Disk.exists(path) { try Disk.remove(path) }
      state.withLock { $0 = State(returned: nil) }
    }
  }
}

extension File {
  fileprivate func append(_ client: ClientID, at index: Int) throws(DFSError) {
    let number = client.value.bigEndianBytes
    let entry = number + BlockChecksum.of(number).value.bigEndianBytes
    try entry.withBytes { bytes throws(DFSError) in
      try write(bytes, at: UInt64(index * entry.count))
    }
  }
}

extension ClientID {
  /// Nil if the checksum is not right.
  fileprivate init?(entry: ArraySlice<UInt8>) {
    let (number, sum) = (Array(entry.prefix(8)), Array(entry.suffix(8)))
    guard BlockChecksum.of(number).value.bigEndianBytes == sum else { return nil }
    self.init(number.reduce(0) { $0 << 8 | UInt64($1) })
  }
}
