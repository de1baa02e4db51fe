/// A lock on a range of a file, as fcntl(2) and flock(2) set it.
public struct FileLock: Hashable, Codable, Sendable {
  /// Who holds it.
  public struct Owner: Hashable, Codable, Sendable {
    /// Locks of flock(2), which cover the whole file, do not meet those of fcntl(2).
    public enum Family: Int, Codable, Sendable { case ranges, whole }

    /// Of which call.
    public var family: Family
    /// The kernel's number of the process, or of the open file (`F_OFD_SETLK`, flock); of this mount.
    public var number: UInt64

    /// An owner of this mount.
    public init(_ family: Family, _ number: UInt64) {
      (self.family, self.number) = (family, number)
    }
  }

  /// Who holds it.
  public var owner: Owner
  /// The first byte.
  public var first: UInt64
  /// The last byte; the largest number for all that ever follows.
  public var last: UInt64
  /// For writing: nobody else holds one of the same bytes.
  public var isExclusive: Bool
  /// Of whom F_GETLK tells.
  public var process: Int32

  /// A lock on these bytes.
  public init(
    _ owner: Owner, _ bytes: ClosedRange<UInt64>, isExclusive: Bool, process: Int32 = 0
  ) {
    self.owner = owner
    (first, last) = (bytes.lowerBound, bytes.upperBound)
    self.isExclusive = isExclusive
    self.process = process
  }

  /// The bytes that it covers.
  public var bytes: ClosedRange<UInt64> { first...max(first, last) }

  /// Whether the two cannot be held at once by different owners.
  public func excludes(_ other: FileLock) -> Bool {
    owner.family == other.owner.family && bytes.overlaps(other.bytes)
      && (isExclusive || other.isExclusive)
  }
}

/// The locks on one file, as a value.
///
/// Invariant: no two locks of one owner share a byte, and no two of different owners exclude each other, unless they
/// were put in so.
public struct LockTable: Hashable, Sendable {
  /// In no order.
  public private(set) var locks: [FileLock] = []

  /// Locks that do not exclude each other.
  public init(_ locks: [FileLock] = []) { self.locks = locks }

  /// Whether nobody has any.
  public var isEmpty: Bool { locks.isEmpty }

  /// The first lock of another owner, by where it begins, that `wanted` cannot be held with; nil if there is none.
  public func conflict(with wanted: FileLock) -> FileLock? {
    conflicts(with: wanted).min { $0.first < $1.first }
  }

  /// All such locks.
  public func conflicts(with wanted: FileLock) -> [FileLock] {
    locks.filter { $0.owner != wanted.owner && $0.excludes(wanted) }
  }

  /// Sets a lock in the place of what its owner has of these bytes (fcntl(2), `F_SETLK`).
  public mutating func set(_ lock: FileLock) {
    clear(lock.bytes, of: lock.owner)
    var lock = lock
    // Neighbours of one kind become one, as in the kernel.
    locks.removeAll { other in
      guard other.owner == lock.owner, other.isExclusive == lock.isExclusive,
        other.touches(lock)
      else { return false }
      lock.first = min(lock.first, other.first)
      lock.last = max(lock.last, other.last)
      return true
    }
    locks.append(lock)
  }

  /// Removes what an owner has of these bytes (`F_UNLCK`).
  public mutating func clear(_ bytes: ClosedRange<UInt64>, of owner: FileLock.Owner) {
    locks = locks.flatMap { lock -> [FileLock] in
      guard lock.owner == owner, lock.bytes.overlaps(bytes) else { return [lock] }
      var rest: [FileLock] = []
      if lock.first < bytes.lowerBound {
        var before = lock
        before.last = bytes.lowerBound - 1
        rest.append(before)
      }
      if lock.last > bytes.upperBound {
        var after = lock
        after.first = bytes.upperBound + 1
        rest.append(after)
      }
      return rest
    }
  }

  /// Removes all that an owner has.
  public mutating func clear(_ owner: FileLock.Owner) { locks.removeAll { $0.owner == owner } }

  /// Whether its owner has an exclusive lock of any of the bytes that it would share.
  public func isWeakened(by wanted: FileLock) -> Bool {
    !wanted.isExclusive
      && locks.contains {
        $0.owner == wanted.owner && $0.isExclusive && $0.bytes.overlaps(wanted.bytes)
      }
  }

  /// Whether an owner has any.
  public func holds(_ owner: FileLock.Owner) -> Bool { locks.contains { $0.owner == owner } }
}

extension FileLock {
  fileprivate func touches(_ other: FileLock) -> Bool {
    let (end, otherEnd) = (
      last == .max ? last : last + 1, other.last == .max ? .max : other.last + 1
    )
    return first <= otherEnd && other.first <= end
  }
}

extension AttributeName {
  /// The attribute of a file that says who locks it, which no program sees: those of programs have other names
  /// (xattr(7)).
  public static let locks: AttributeName = {
    guard let name = try? AttributeName("dfs.locks") else { preconditionFailure("it is a name") }
    return name
  }()
}
