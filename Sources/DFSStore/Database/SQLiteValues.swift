package import DFSCore
internal import GRDB

/// Between the values of the namespace and those of SQLite. 64-bit numbers without a sign are kept
/// by their bits in SQLite's signed ones; where their order matters, `UnsignedRanges` has it.

extension UInt64 {
  var stored: Int64 { Int64(bitPattern: self) }
  init(stored: Int64) { self = UInt64(bitPattern: stored) }
}

extension Bits128 {
  var stored: SQLValue { .wide(high, low) }
}

extension NamespaceID? {
  /// Zeros for none.
  var stored: SQLValue { .wide(self?.high ?? 0, self?.low ?? 0) }
  /// What is stored.
  var storedBytes: [UInt8] { Array(bigEndian: self?.high ?? 0, self?.low ?? 0) }
}

extension SQLRow {
  func number(_ column: Int) throws(DFSError) -> UInt64 { UInt64(stored: try integer(column)) }

  /// A number of bytes of one row.
  func length(_ column: Int) throws(DFSError) -> Int {
    guard let length = Int32(exactly: try number(column)) else {
      throw DFSError(.damaged, "a length in the database is not one of a row")
    }
    return Int(length)
  }

  func version(_ column: Int) throws(DFSError) -> VersionID? {
    guard !isNull(column) else { return nil }
    guard let (high, low) = pair(column) else {
      throw DFSError(.damaged, "a version in the database does not have 16 bytes")
    }
    return VersionID(high: high, low: low)
  }

  func namespace(_ column: Int) throws(DFSError) -> NamespaceID? {
    guard let (high, low) = pair(column) else {
      throw DFSError(.damaged, "the identity of a namespace in the database does not have 16 bytes")
    }
    return NamespaceID(high: high, low: low)
  }

  func fileName(_ column: Int) throws(DFSError) -> FileName {
    do {
      return try FileName(bytes(column))
    } catch {
      throw DFSError(.damaged, "a name in the database is none", cause: error)
    }
  }

  func attributeName(_ column: Int) throws(DFSError) -> AttributeName {
    do {
      return try AttributeName(bytes(column))
    } catch {
      throw DFSError(.damaged, "the name of an attribute in the database is none", cause: error)
    }
  }

  func digest(_ column: Int) throws(DFSError) -> RowDigest {
    guard let (high, low) = pair(column) else {
      throw DFSError(.damaged, "a digest in the database does not have 16 bytes")
    }
    return RowDigest(high: high, low: low)
  }
}

/// The order of numbers without a sign in a column that has signed ones: first 0 … Int64.max, then
/// those whose highest bit is set, which SQLite keeps as Int64.min … -1.
enum UnsignedRanges {
  /// The ranges that hold every number after `number` (every number, if nil), in order.
  static func after(_ number: UInt64?) -> [ClosedRange<Int64>] {
    guard let number else { return [0...Int64.max, Int64.min ... -1] }
    guard number < .max else { return [] }
    let next = (number + 1).stored
    return next >= 0 ? [next...Int64.max, Int64.min ... -1] : [next ... -1]
  }
}

extension DatabaseError {
  /// SQLite cannot make sense of the file, or the disk cannot read it.
  var isDamage: Bool {
    switch extendedResultCode {
    case .SQLITE_IOERR_READ, .SQLITE_IOERR_SHORT_READ, .SQLITE_IOERR_CORRUPTFS: true
    default: resultCode == .SQLITE_CORRUPT || resultCode == .SQLITE_NOTADB
    }
  }
}

extension DFSError {
  /// Whether the message is that of `damagedDatabase`.
  var tellsRemedy: Bool { code == .damaged && message.contains("dfs repair") }

  /// An error of the database layer in our shape.
  package static func database(_ error: any Error, _ path: String) -> DFSError {
    if let error = error as? DFSError { return error }
    guard let failure = error as? DatabaseError else {
      return DFSError(.inputOutput, "the database \(path)", cause: error)
    }
    if failure.isDamage { return .damagedDatabase(path, DFSError(.damaged, "\(failure)")) }
    switch failure.resultCode {
    case .SQLITE_FULL:
      return DFSError(.noSpace, "no space is left for the database \(path)", cause: error)
    case .SQLITE_READONLY:
      return DFSError(.readOnly, "the database \(path) cannot be written", cause: error)
    default: return DFSError(.inputOutput, "the database \(path)", cause: error)
    }
  }
}
