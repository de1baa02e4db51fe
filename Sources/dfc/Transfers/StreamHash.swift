import DFSCore
import Synchronization

/// The MD5 of a stream whose pieces come from several threads, one after the other.
final class StreamHash: Sendable {
  private let hasher = Mutex(MD5Hasher())

  var count: UInt64 { hasher.withLock { $0.count } }
  func update(_ bytes: UnsafeRawBufferPointer) { hasher.withLock { $0.update(bytes) } }
  func finish() -> MD5Digest { hasher.withLock { $0.finish() } }
}
