internal import DFSCore

/// Why a copy is no good, as far as one can tell from here.
public enum CopyFault: String, Sendable, Hashable {
  /// Its server is not up, or does not answer.
  case unreachable
  /// Its server is up and does not have it.
  case absent
  /// It is there, and is not what was stored.
  case damaged

  /// - Returns: nil for an error that says nothing about the copy.
  init?(_ error: DFSError) {
    switch error.code {
    case .cancelled, .invalidArgument, .unsupported: return nil
    case .notFound, .staleHandle: self = .absent
    case .damaged, .inputOutput, .protocolViolation: self = .damaged
    default: self = .unreachable
    }
  }
}

/// What one copy was refused with.
struct CopyError: Error {
  let fault: CopyFault
  let error: DFSError
}

extension ClusterAdministration {
  /// `readCopy` for who judges a copy: a connection that was lost, of a server that is up, is no
  /// reason to call the copy missing; such a read is tried again.
  /// - Throws: `CopyError` if the copy is no good; other errors say nothing about it.
  func readCopySteadily(
    _ version: Content, _ part: PartIndex, on server: ServerIndex, _ range: Range<UInt64>
  ) async throws -> CopyExtent {
    var attempts = 3
    while true {
      attempts -= 1
      do {
        return try await readCopy(version, part, on: server, range)
      } catch {
        if Task.isCancelled { throw DFSError.cancelled }
        let error = DFSError(error, else: .inputOutput)
        guard let fault = CopyFault(error) else { throw error }
        if error.code == .disconnected, attempts > 0, await isUp(server) { continue }
        throw CopyError(fault: fault, error: error)
      }
    }
  }

  func isUp(_ server: ServerIndex) async -> Bool {
    await serverStates().contains { $0.server == server && $0.isUp }
  }
}
