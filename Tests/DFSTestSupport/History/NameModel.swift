/// A few names of one directory as a sequential machine: what each step does and which answers it
/// may give. The names are numbered, files and contents have numbers of their own; content 0 is the
/// empty one.

/// What a client asked for; each is one atomic step.
public enum NameStep: Hashable, Sendable {
  /// Makes an empty file (or a directory) if the name is free.
  case create(name: Int, file: Int)
  /// Gives the name a content; a file that is there stays that file.
  case store(name: Int, content: Int)
  /// Gives the file that was made under the name a content, if it is still there; absent: it is not.
  case storeInto(name: Int, file: Int, content: Int)
  /// Puts a file with a content in place of what has the name.
  case replace(name: Int, content: Int)
  /// Removes the file that was made under the name, if it has no content yet.
  case dropEmpty(name: Int, file: Int)
  case remove(name: Int)
  case move(from: Int, to: Int)
  case read(name: Int)
  case list
}

/// What the client was told.
public enum NameAnswer: Hashable, Sendable {
  case done
  /// The name is taken.
  case exists
  /// There is no such name.
  case absent
  case content(Int)
  /// For each name what a list showed.
  case listed([NameListing])
  /// It may have happened, may happen later, or never.
  case unknown
}

public enum NameListing: Hashable, Sendable {
  case absent
  case present
  case content(Int)
}

/// What the names mean.
public struct NameState: Hashable, Sendable {
  public struct File: Hashable, Sendable {
    public let file: Int
    public var content: Int
  }

  private var files: [File?]

  /// All names are free.
  public init(names: Int) { files = Array(repeating: nil, count: names) }

  /// What can be seen under some name; not the empty content.
  var contents: [Int] { files.compactMap { $0.flatMap { $0.content == 0 ? nil : $0.content } } }

  /// The state after a step with this answer; nil if it cannot have this answer here, or, for an
  /// unknown one, if it would change nothing here.
  public func after(_ step: NameStep, _ answer: NameAnswer) -> NameState? {
    let answers = answer == .unknown ? [.done] : [answer]
    let next = answers.lazy.compactMap { self.next(step, $0) }.first
    return answer == .unknown && next == self ? nil : next
  }

  private func next(_ step: NameStep, _ answer: NameAnswer) -> NameState? {
    switch step {
    case .create(let name, let file): create(name, file, answer)
    case .store(let name, let content):
      answer == .done
        ? with(name, File(file: files[name]?.file ?? content, content: content)) : nil
    case .storeInto(let name, let file, let content):
      switch answer {
      case .done: stored(name, file, content)
      case .absent: files[name]?.file == file ? nil : self
      default: nil
      }
    case .replace(let name, let content):
      answer == .done ? with(name, File(file: content, content: content)) : nil
    case .dropEmpty(let name, let file):
      files[name] == File(file: file, content: 0) ? with(name, nil) : self
    case .remove(let name): remove(name, answer)
    case .move(let old, let new): move(old, new, answer)
    case .read(let name): answer == seen(name) ? self : nil
    case .list: isListed(as: answer) ? self : nil
    }
  }

  private func create(_ name: Int, _ file: Int, _ answer: NameAnswer) -> NameState? {
    switch (answer, files[name]) {
    case (.done, nil): with(name, File(file: file, content: 0))
    case (.exists, _?): self
    default: nil
    }
  }

  /// Writing to a file whose name is gone succeeds and changes nothing.
  private func stored(_ name: Int, _ file: Int, _ content: Int) -> NameState {
    files[name]?.file == file ? with(name, File(file: file, content: content)) : self
  }

  private func remove(_ name: Int, _ answer: NameAnswer) -> NameState? {
    switch (answer, files[name]) {
    case (.done, _?): with(name, nil)
    case (.absent, nil): self
    default: nil
    }
  }

  private func move(_ old: Int, _ new: Int, _ answer: NameAnswer) -> NameState? {
    switch (answer, files[old]) {
    case (.done, let file?): with(old, nil).with(new, file)
    case (.absent, nil): self
    default: nil
    }
  }

  private func seen(_ name: Int) -> NameAnswer {
    files[name].map { .content($0.content) } ?? .absent
  }

  private func isListed(as answer: NameAnswer) -> Bool {
    guard case .listed(let listings) = answer, listings.count == files.count else { return false }
    return zip(listings, files).allSatisfy { listing, file in
      switch listing {
      case .absent: file == nil
      case .present: file != nil
      case .content(let content): file?.content == content
      }
    }
  }

  private func with(_ name: Int, _ file: File?) -> NameState {
    var next = self
    next.files[name] = file
    return next
  }
}
