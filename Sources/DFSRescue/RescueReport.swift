public import DFSCore
internal import DFSStore
internal import DFSSystem
internal import Synchronization

/// What a rescue tells while it runs, and in the end.

/// Something of the tree that could not be rebuilt.
public struct RescueLoss: Sendable, Hashable {
  /// From the root of the tree, without a slash in front; any bytes.
  public let path: [UInt8]
  /// Parts of which no good copy was found.
  public let missingParts: [PartIndex]
  /// Why, where no part is missing.
  public let reason: String
  /// Whether there is a file with zeros where parts are missing.
  public let isPartlyWritten: Bool

  init(_ path: [UInt8], because reason: String) {
    self.init(path, missing: [], reason, isPartlyWritten: false)
  }

  init(_ path: [UInt8], _ flaws: [RescueFlaw], isPartlyWritten: Bool) {
    let lacks = flaws.compactMap { flaw in
      if case .missing(let parts) = flaw.kind { (flaw.place, parts) } else { nil }
    }
    var reasons = flaws.compactMap { $0.reason(isPartlyWritten: isPartlyWritten) }
    if !lacks.isEmpty {
      let zeros = isPartlyWritten ? "; zeros stand there" : ""
      reasons.insert(
        "no good copy of \(Self.list(lacks)) in these directories\(zeros)", at: 0)
    }
    self.init(
      path, missing: Set(lacks.flatMap(\.1)).sorted(),
      reasons.joined(separator: "; "), isPartlyWritten: isPartlyWritten)
  }

  private init(
    _ path: [UInt8], missing: [PartIndex], _ reason: String, isPartlyWritten: Bool
  ) {
    self.path = path
    missingParts = missing
    self.reason = reason
    self.isPartlyWritten = isPartlyWritten
  }

  /// The same under another name of the same file.
  func at(_ path: [UInt8]) -> RescueLoss {
    RescueLoss(path, missing: missingParts, reason, isPartlyWritten: isPartlyWritten)
  }

  /// Contents that are named, of many.
  private static let listed = 5

  /// `parts 1, 2 of the base, part 4 of layer 3`
  private static func list(_ lacks: [(ContentPlace, [PartIndex])]) -> String {
    let texts = lacks.prefix(listed).map { place, parts in
      let numbers = parts.map(\.description).joined(separator: ", ")
      return "part\(parts.count == 1 ? "" : "s") \(numbers)\(place.suffix)"
    }
    let more = lacks.count > listed ? " and of \(lacks.count - listed) more layers" : ""
    return texts.joined(separator: ", ") + more
  }
}

extension RescueFlaw {
  /// nil where parts are missing, which is told of all contents together.
  fileprivate func reason(isPartlyWritten: Bool) -> String? {
    switch (kind, place) {
    case (.missing, _): return nil
    case (.mismatched(let md5), .whole):
      return "its parts are good, but its MD5 is not \(md5)"
    case (.mismatched(let md5), _):
      return "the parts\(place.suffix) are good, but their MD5 is not \(md5)"
    case (.unplaced(let error), _):
      let before = isPartlyWritten ? ": what it changed is as it was before" : ""
      return "where the bytes\(place.suffix) belong is not known (\(error.message))\(before)"
    }
  }
}

/// What a rescue tells while it runs.
public enum RescueEvent: Sendable {
  /// Something that is not as it should be; the rescue goes on.
  case note(String)
  case loss(RescueLoss)
}

/// What was rebuilt.
public struct RescueSummary: Sendable, Hashable {
  /// Regular files, and the bytes in them.
  public internal(set) var files = 0
  /// The bytes of those files.
  public internal(set) var bytes: UInt64 = 0
  /// Directories that were made.
  public internal(set) var directories = 0
  /// Symbolic links that were made.
  public internal(set) var symlinks = 0
  /// Fifos, sockets and devices.
  public internal(set) var specials = 0
  /// Further names of files.
  public internal(set) var hardLinks = 0
  /// What has no name any more and went to lost+found.
  public internal(set) var nameless = 0
  /// Paths that were not, or not wholly, rebuilt.
  public internal(set) var incomplete = 0
  /// Servers' directories of which the user's database cannot be read or is not proven.
  public internal(set) var damagedDatabases = 0
  /// Damaged copies that were met; not every copy is read.
  public internal(set) var damagedCopies = 0
  /// Extended attributes that could not be set.
  public internal(set) var refusedAttributes = 0
  /// Files that lost their set-user-ID or set-group-ID bit.
  public internal(set) var droppedBits = 0
  /// Whether owners could be set.
  public internal(set) var hasOwners = true
  /// Whether the rows are all that the greatest head has. If not, more may be missing than is listed.
  public internal(set) var isNamespaceWhole = true

  /// Whether nothing is known or feared to be missing.
  public var isComplete: Bool { incomplete == 0 && isNamespaceWhole }
}

/// How far a rescue is, for another thread to show, and whether that thread wants it to end.
public final class RescueProgress: Sendable {
  private let state = Mutex(Progress())
  private let interruption = Atomic(false)

  /// Ends the rescue soon.
  public func interrupt() { interruption.store(true, ordering: .relaxed) }

  /// Takes a sample of the rate.
  /// - Returns: the state, or nil as long as it is not known how much there is to do.
  public func sample() -> Progress? {
    state.withLock { progress in
      progress.sample(at: .now)
      return progress.files == 0 ? nil : progress
    }
  }

  func begin(files: Int, bytes: UInt64) {
    state.withLock { progress in
      progress.phase = "rebuilding"
      progress.files = files
      progress.total = bytes
    }
  }

  func advance(_ bytes: UInt64) { state.withLock { $0.done += bytes } }

  func finishFile() { state.withLock { $0.finishedFiles += 1 } }

  func checkInterruption() throws(DFSError) {
    guard interruption.load(ordering: .relaxed) else { return }
    throw DFSError(.cancelled, "interrupted; the tree is not whole: begin again with an empty one")
  }
}

/// Collects what becomes of the tree and tells of it.
final class RescueLedger {
  var summary = RescueSummary()
  private let observe: (RescueEvent) -> Void

  init(_ observe: @escaping (RescueEvent) -> Void) { self.observe = observe }

  func note(_ text: String) { observe(.note(text)) }

  func noteCopy(_ text: String) {
    summary.damagedCopies += 1
    observe(.note(text))
  }

  func lose(_ loss: RescueLoss) {
    summary.incomplete += 1
    observe(.loss(loss))
  }
}
