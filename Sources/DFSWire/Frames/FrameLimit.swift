internal import DFSCore
internal import Synchronization

/// How large a frame may be on one connection: small until login, so that a stranger can make a
/// server hold 4 KiB and no more. Shared by the decoder and by who handles the login; it is
/// raised once, on the connection's event loop, before the first frame after login is sent.
public final class FrameLimit: Sendable {
  private let raised: Atomic<Bool>

  /// The limit of a connection before its login, or, with `isLoggedIn`, after it.
  public init(isLoggedIn: Bool = false) { raised = Atomic(isLoggedIn) }

  /// Whether frames may be large: 4 MiB of header and 1 MiB of body.
  public var isLoggedIn: Bool { raised.load(ordering: .relaxed) }
  /// Lets frames be large from now on; there is no way back.
  public func raise() { raised.store(true, ordering: .relaxed) }

  /// Bytes of a frame after its first length field.
  var frameBytes: Int {
    isLoggedIn ? 4 + Limits.headerBytes + Limits.chunkBytes : Limits.loginFrameBytes
  }
}
