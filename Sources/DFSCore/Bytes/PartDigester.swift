internal import CXXHash

/// The digest of a part whose block checksums come one after the other: what
/// `BlockChecksum.digest(of:)` gives, without a list of them. A part of any length takes the same
/// memory.
public final class PartDigester {
  private let state: OpaquePointer

  /// A digester that has taken no blocks yet.
  public init() {
    guard let state = XXH3_createState() else { preconditionFailure("no memory for a digest") }
    self.state = state
    XXH3_64bits_reset(state)
  }

  deinit { XXH3_freeState(state) }

  /// Takes the checksums of the next blocks.
  public func update(_ blocks: [BlockChecksum]) {
    BlockChecksum.withBytes(of: blocks) {
      _ = XXH3_64bits_update(state, $0.baseAddress, $0.count)
    }
  }

  /// The digest of what was taken so far.
  public var digest: BlockChecksum { BlockChecksum(XXH3_64bits_digest(state)) }
}
