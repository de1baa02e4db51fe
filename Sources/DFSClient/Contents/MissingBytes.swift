public import DFSCore

/// What a content lacks that lies over a version: these bytes are that version's.
public struct MissingBytes: Hashable, Sendable {
  /// Where they are.
  public let version: Version
  /// Within the version; ascending, and apart from each other.
  public let ranges: [Range<UInt64>]

  /// The bytes of these ranges of a version.
  public init(_ ranges: [Range<UInt64>], of version: Version) {
    self.version = version
    self.ranges = ranges
  }

  /// What is read for them: ranges that are less than a block apart come together, since whole blocks are
  /// fetched.
  fileprivate var runs: [Range<UInt64>] {
    ranges.reduce(into: []) { runs, range in
      if let last = runs.last, range.lowerBound - last.upperBound < UInt64(Limits.blockBytes) {
        runs[runs.count - 1] = last.lowerBound..<range.upperBound
      } else {
        runs.append(range)
      }
    }
  }
}

/// Bytes of a version that were fetched.
public struct FetchedBytes: Sendable {
  /// Of the first one, in the version.
  public let offset: UInt64
  /// At most 1 MiB.
  public let bytes: ArraySlice<UInt8>

  fileprivate init(_ bytes: ArraySlice<UInt8>, at offset: UInt64) {
    self.bytes = bytes
    self.offset = offset
  }
}

extension FileService {
  /// Reads what is missing from the version that has it, in ascending order.
  /// - Parameter progress: called after each read.
  /// - Throws: `damaged` if the version ends before its size; what `read` throws.
  public func fetch(
    _ missing: MissingBytes, progress: () -> Void = {}
  ) async throws -> [FetchedBytes] {
    let version = missing.version
    var fetched: [FetchedBytes] = []
    for run in missing.runs {
      var next = run.lowerBound
      while next < run.upperBound {
        let bytes = try await read(version, next..<run.upperBound)
        guard !bytes.isEmpty else {
          throw DFSError(.damaged, "version \(version.id) ends at \(next) of \(version.size) bytes")
        }
        let end = next + UInt64(bytes.count)
        for part in missing.ranges.parts(of: next..<end) {
          let slice = Int(part.lowerBound - next)..<Int(part.upperBound - next)
          fetched.append(FetchedBytes(bytes[slice], at: part.lowerBound))
        }
        next = end
        progress()
      }
    }
    return fetched
  }
}
