/// One step of one client on some names, from the moment it was asked for to the answer.
public struct NameEvent: Sendable {
  public let step: NameStep
  public let answer: NameAnswer
  /// Nanoseconds of one clock.
  public let begin: UInt64
  public let end: UInt64
  /// For people.
  public let client: String

  public init(
    _ step: NameStep, _ answer: NameAnswer, from begin: UInt64, to end: UInt64, by client: String
  ) {
    self.step = step
    self.answer = answer
    self.begin = begin
    self.end = end
    self.client = client
  }

  var isUnknown: Bool { answer == .unknown }

  /// Whether the step, with this answer, leaves everything as it is.
  var isObservation: Bool {
    switch (step, answer) {
    case (.read, _), (.list, _), (_, .exists), (_, .absent): true
    default: false
    }
  }

  /// The content that the step makes visible; not the empty one.
  var storedContent: Int? {
    switch step {
    case .store(_, let content), .storeInto(_, _, let content), .replace(_, let content):
      content == 0 ? nil : content
    default: nil
    }
  }

  /// The contents that were seen; not the empty one.
  var seenContents: [Int] {
    switch answer {
    case .content(let content) where content != 0: [content]
    case .listed(let listings):
      listings.compactMap { listing in
        if case .content(let content) = listing, content != 0 { content } else { nil }
      }
    default: []
    }
  }

  /// A line for people, times since `origin`.
  public func line(since origin: UInt64, names: [String]) -> String {
    let took = isUnknown ? "\(Self.seconds(begin, origin)) …" : interval(origin)
    return "\(took)  \(client): \(step.text(names)) → \(answer.text(names))"
  }

  private func interval(_ origin: UInt64) -> String {
    "\(Self.seconds(begin, origin)) – \(Self.seconds(end, origin))"
  }

  private static func seconds(_ time: UInt64, _ origin: UInt64) -> String {
    let microseconds = time > origin ? (time - origin) / 1000 : 0
    let fraction = "\(1_000_000 + microseconds % 1_000_000)".dropFirst()
    return "\(microseconds / 1_000_000).\(fraction)"
  }
}

extension NameStep {
  fileprivate func text(_ names: [String]) -> String {
    switch self {
    case .create(let name, let file): "create \(names[name]) as file \(file)"
    case .store(let name, let content): "store content \(content) as \(names[name])"
    case .storeInto(let name, let file, let content):
      "store content \(content) in file \(file) of \(names[name])"
    case .replace(let name, let content): "replace \(names[name]) by content \(content)"
    case .dropEmpty(let name, let file): "drop file \(file) of \(names[name]) if empty"
    case .remove(let name): "remove \(names[name])"
    case .move(let old, let new): "move \(names[old]) to \(names[new])"
    case .read(let name): "read \(names[name])"
    case .list: "list"
    }
  }
}

extension NameAnswer {
  fileprivate func text(_ names: [String]) -> String {
    switch self {
    case .done: "done"
    case .exists: "exists already"
    case .absent: "does not exist"
    case .content(let content): "content \(content)"
    case .unknown: "unknown"
    case .listed(let listings):
      zip(names, listings).map { name, listing in
        switch listing {
        case .absent: "no \(name)"
        case .present: name
        case .content(let content): "\(name) with content \(content)"
        }
      }.joined(separator: ", ")
    }
  }
}
