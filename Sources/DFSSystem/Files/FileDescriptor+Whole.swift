internal import DFSCore
internal import Glibc
public import SystemPackage

/// Reading and writing all of what is asked for: the system may do less at once, or be interrupted by a
/// signal (read(2), write(2), signal(7)).
extension FileDescriptor {
  /// The length of the file, and what it takes on its disk, in bytes (fstat(2)).
  public func space() throws(Errno) -> (length: UInt64, allocated: UInt64) {
    var status = Glibc.stat()
    guard fstat(rawValue, &status) == 0 else { throw Errno(rawValue: Glibc.errno) }
    return (UInt64(max(0, status.st_size)), UInt64(max(0, status.st_blocks)) * 512)
  }

  /// Fills `buffer` from `offset` on; or, without one, from where the descriptor stands.
  /// - Returns: how many bytes were read: fewer than asked for only at the end of the file.
  public func fill(
    _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64? = nil
  ) throws(Errno) -> Int {
    try errno {
      var done = 0
      while done < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
        let count =
          try offset.map { try read(fromAbsoluteOffset: Int64($0) + Int64(done), into: rest) }
          ?? read(into: rest)
        if count == 0 { break }
        done += count
      }
      return done
    }
  }

  /// Reads on to the end of the file or stream.
  /// - Parameter limit: bytes.
  /// - Returns: nil if there are more than `limit`.
  public func readToEnd(limit: Int) throws(Errno) -> [UInt8]? {
    try errno {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 64 << 10)
      while bytes.count <= limit {
        let count = try buffer.withUnsafeMutableBytes { try read(into: $0) }
        if count == 0 { return bytes }
        bytes += buffer[..<count]
      }
      return nil
    }
  }

  /// Writes all bytes at `offset`; or, without one, where the descriptor stands.
  /// - Parameter done: how many bytes were written, also before an error.
  public func writeWhole(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64? = nil, done: inout Int
  ) throws(Errno) {
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let from = done
      let count = try errno {
        try offset.map { try write(toAbsoluteOffset: Int64($0) + Int64(from), rest) } ?? write(rest)
      }
      guard count > 0 else { throw .ioError }
      done += count
    }
  }

  /// Writes all bytes at `offset`; or, without one, where the descriptor stands.
  public func writeWhole(
    _ bytes: UnsafeRawBufferPointer, at offset: UInt64? = nil
  ) throws(Errno) {
    var done = 0
    try writeWhole(bytes, at: offset, done: &done)
  }

  /// Writes all bytes where the descriptor stands.
  public func writeWhole(_ bytes: [UInt8]) throws(Errno) {
    try errno { try bytes.withUnsafeBytes { try writeWhole($0) } }
  }
}

/// Calls of swift-system throw nothing but `Errno`, and do not say so in their types.
private func errno<Value>(_ call: () throws -> Value) throws(Errno) -> Value {
  do {
    return try call()
  } catch let error as Errno {
    throw error
  } catch {
    throw .ioError
  }
}
