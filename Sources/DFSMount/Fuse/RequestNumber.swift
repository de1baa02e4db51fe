internal import CFuse
internal import Glibc

/// The number that the kernel gave to the request that a thread serves (`fuse_in_header.unique`), for which libfuse has
/// no function.
enum RequestNumber {
  private static let key = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// - Parameter buffer: as it was received.
  static func note(_ buffer: fuse_buf) {
    pthread_setspecific(key, UnsafeRawPointer(bitPattern: UInt(dfs_request_number(buffer))))
  }

  static var current: UInt64 { UInt64(UInt(bitPattern: pthread_getspecific(key))) }
}
