/// A content that was published under a name.
public struct StoredContent: Sendable {
  public let content: Int
  /// Of the call that published it, in nanoseconds of one clock.
  public let begin: UInt64
  public let end: UInt64
  /// The open of the file into which it was written; nil if it takes the name without an open.
  public let opened: ClosedRange<UInt64>?
  /// For people.
  public let client: String

  public init(
    content: Int, begin: UInt64, end: UInt64, opened: ClosedRange<UInt64>?, by client: String
  ) {
    (self.content, self.begin, self.end) = (content, begin, end)
    (self.opened, self.client) = (opened, client)
  }
}

/// Whether every content that was overwritten unseen was kept as `NAME (conflict HOST DATE)`, and no
/// other one: for one name whose file stays one file, when nothing disturbed.
///
/// Which content overwrote which is not known where calls overlapped; what is told here is wrong in
/// every order in which they can have taken place.
public struct KeptContents: Sendable {
  public enum Fault: Hashable, Sendable {
    /// It was never stored there.
    case foreign(Int)
    case keptTwice(Int)
    /// It is gone, though nobody can have replaced it knowingly.
    case missed(Int)
    /// Whoever replaced it had opened it.
    case needless(Int)
  }

  /// All that was published under the name; each content once.
  private let stored: [StoredContent]
  /// What is there at the end.
  private let last: Int?
  /// What the files beside it hold.
  private let kept: [Int]

  public init(stored: [StoredContent], last: Int?, kept: [Int]) {
    (self.stored, self.last, self.kept) = (stored, last, kept)
  }

  /// Of what is kept, whatever became of the name.
  public var strangers: [Fault] {
    let foreign = kept.filter { content in !stored.contains { $0.content == content } }
    let twice = Set(kept.filter { content in kept.count { $0 == content } > 1 }).sorted()
    return foreign.map { .foreign($0) } + twice.map { .keptTwice($0) }
  }

  public var faults: [Fault] {
    strangers
      + stored.compactMap { kept.contains($0.content) ? needless($0) : missed($0) }
  }

  private func missed(_ content: StoredContent) -> Fault? {
    guard content.content != last else { return nil }
    let isKnown = followers(of: content).contains {
      $0.opened.map { $0.upperBound > content.begin } ?? true
    }
    return isKnown ? nil : .missed(content.content)
  }

  private func needless(_ content: StoredContent) -> Fault? {
    let isRight = followers(of: content).contains {
      $0.opened.map { $0.lowerBound < content.end } ?? false
    }
    return isRight ? nil : .needless(content.content)
  }

  /// What may have come right after it.
  private func followers(of content: StoredContent) -> [StoredContent] {
    let later = stored.filter { $0.content != content.content && $0.end > content.begin }
    return later.filter { one in
      !later.contains { $0.begin > content.end && $0.end < one.begin }
    }
  }

  /// For people: when it was published, and by whom it can have been replaced.
  public func text(_ number: Int, since origin: UInt64) -> String {
    func seconds(_ time: UInt64) -> String { "\(Double(time - min(time, origin)) / 1e9)" }
    func line(_ one: StoredContent) -> String {
      let opened = one.opened.map {
        "opened \(seconds($0.lowerBound)) – \(seconds($0.upperBound)), "
      }
      return "content \(one.content) by \(one.client), \(opened ?? "")"
        + "published \(seconds(one.begin)) – \(seconds(one.end))"
    }
    guard let content = stored.first(where: { $0.content == number }) else {
      return "content \(number)"
    }
    return "\(line(content)); right after it can have come:\n"
      + followers(of: content).map { "  " + line($0) }.joined(separator: "\n")
  }
}
