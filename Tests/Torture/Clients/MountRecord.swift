import DFSTestSupport
import Glibc

/// What the answers of a worker mean for the names: the one place where an errno becomes an outcome.
struct MountRecord {
  private let operation: Operation
  private let client: String
  private let answer: WorkerAnswer
  private let sizes: [Int: Int]
  private var record = Record()
  /// The second of promise 6, and one for a machine that is busy.
  private static let pushLimitNanoseconds: UInt64 = 2_000_000_000

  /// - Parameter sizes: for a stat, which content of the group has so many bytes.
  static func of(
    _ operation: Operation, _ answer: WorkerAnswer, by client: String, _ live: [Group],
    sizes: [Int: Int] = [:]
  ) -> Record {
    var this = MountRecord(operation: operation, client: client, answer: answer, sizes: sizes)
    this.record.calls = answer.calls
    this.record.chain = answer.chain
    this.record.hasLayers = answer.hasLayers
    this.fill(live)
    this.noteStale()
    return this.record
  }

  private init(
    operation: Operation, client: String, answer: WorkerAnswer, sizes: [Int: Int]
  ) {
    (self.operation, self.client, self.answer) = (operation, client, answer)
    self.sizes = sizes
  }

  /// Errors after which the step may have happened, or may still happen.
  private static func isUnknown(_ error: Int32) -> Bool {
    [ETIMEDOUT, ENOTCONN, ECONNABORTED, EINTR].contains(error)
  }

  /// No program expects it, whatever other mounts rename, replace or remove.
  private mutating func noteStale() {
    for call in answer.calls where call.error == ESTALE {
      record.problems.append(Problem(.wrong, "\(client) was told ESTALE by \(call.name)"))
    }
  }

  private mutating func fill(_ live: [Group]) {
    switch operation.action {
    case .write: fillWrite()
    case .create: fillCreate()
    case .save: fillSave()
    case .append: fillAppend()
    case .patch: fillPatch()
    case .read: fillRead()
    case .stat: fillStat()
    case .remove, .removeDirectory:
      step("remove", .remove(name: operation.name), denied: (ENOENT, .absent))
    case .move:
      step(
        "move", .move(from: operation.name, to: operation.newName), denied: (ENOENT, .absent))
    case .makeDirectory:
      step(
        "create", .create(name: operation.name, file: operation.number), denied: (EEXIST, .exists))
    case .list: fillList(live)
    case .put: break
    }
  }

  // MARK: One step

  private mutating func add(
    _ step: NameStep, _ answer: NameAnswer, from begin: UInt64, to end: UInt64
  ) {
    record.events[operation.group, default: []].append(
      NameEvent(step, answer, from: begin, to: end, by: client))
  }

  private mutating func addUnknown(_ step: NameStep, from begin: UInt64) {
    add(step, .unknown, from: begin, to: .max)
  }

  /// - Parameter denied: the errno that says what the names are.
  private mutating func step(
    _ name: String, _ step: NameStep, denied: (error: Int32, answer: NameAnswer)
  ) {
    guard let call = answer.call(name) else { return }
    if call.error == 0 {
      add(step, .done, from: call.begin, to: call.end)
    } else if call.error == denied.error {
      add(step, denied.answer, from: call.begin, to: call.end)
    } else if Self.isUnknown(call.error) {
      addUnknown(step, from: call.begin)
      record.outcome = .unknown
      return
    } else {
      return
    }
    record.outcome = .acknowledged
  }

  // MARK: Writing

  /// A file that is emptied is empty on the servers only if the content then cannot be stored: an
  /// open that ended too late may leave that.
  private mutating func fillWrite() {
    guard let open = answer.call("open") else { return }
    if open.error == ENOENT {
      add(.read(name: operation.name), .absent, from: open.begin, to: open.end)
      record.outcome = .acknowledged
    } else if Self.isUnknown(open.error) {
      addUnknown(.store(name: operation.name, content: 0), from: open.begin)
      record.outcome = .unknown
    } else if open.error == 0 {
      let name = operation.name
      fillContent { .store(name: name, content: $0) }
    }
  }

  private mutating func fillCreate() {
    let drop = NameStep.dropEmpty(name: operation.name, file: operation.number)
    step("create", .create(name: operation.name, file: operation.number), denied: (EEXIST, .exists))
    guard let create = answer.call("create") else { return }
    // Nobody holds a file whose making was answered too late: it is removed again.
    if Self.isUnknown(create.error) { addUnknown(drop, from: create.begin) }
    guard create.error == 0 else { return }
    record.outcome = .refused
    let (name, file) = (operation.name, operation.number)
    fillContent { .storeInto(name: name, file: file, content: $0) }
    // A new file whose content could not be stored is removed, as well as that can be done.
    if record.outcome != .acknowledged { addUnknown(drop, from: create.end) }
  }

  /// What the calls from the first write to the close say of the content.
  private mutating func fillContent(_ step: (Int) -> NameStep) {
    let store = step(operation.number)
    let fsync = answer.call("fsync")
    guard let close = answer.call("close") else { return }
    guard !answer.calls.contains(where: { $0.name == "write" && $0.error != 0 }) else {
      addUnknown(store, from: close.begin)
      addUnknown(step(0), from: close.begin)
      record.outcome = .unknown
      return
    }
    if let fsync, fsync.error == 0 {
      add(store, .done, from: fsync.begin, to: fsync.end)
      noteStored(fsync, from: answer.call("open") ?? answer.call("create"))
      record.outcome = .acknowledged
      return
    }
    // An fsync that ended too late may have stored it, and the close then had nothing to do.
    let begin = fsync.flatMap { Self.isUnknown($0.error) ? $0.begin : nil } ?? close.begin
    if begin != close.begin { addUnknown(store, from: begin) }
    if close.error == 0 {
      add(store, .done, from: begin, to: close.end)
      noteStored(close, from: answer.call("open") ?? answer.call("create"))
      record.outcome = .acknowledged
    } else if Self.isUnknown(close.error) || begin != close.begin {
      addUnknown(store, from: close.begin)
      record.outcome = .unknown
    }
  }

  private mutating func noteStored(_ call: WorkerAnswer.Call, from open: WorkerAnswer.Call?) {
    record.stored = StoredContent(
      content: operation.number, begin: call.begin, end: call.end,
      opened: open.map { $0.begin...$0.end }, by: client)
  }

  /// What was appended to is what was there when it was opened.
  private mutating func fillAppend() {
    guard let open = answer.call("open") else { return }
    if let wrong = answer.wrong {
      record.problems.append(Problem(.wrong, "\(client) appended and then read: \(wrong)"))
    } else if open.error == ENOENT {
      add(.read(name: operation.name), .absent, from: open.begin, to: open.end)
      record.outcome = .acknowledged
    } else if open.error == 0, let chain = answer.chain, let base = chain.dropLast().last {
      if chain.last != operation.number {
        record.problems.append(
          Problem(.wrong, "\(client) appended \(operation.number) and then read \(chain)"))
      }
      add(.read(name: operation.name), .content(base), from: open.begin, to: open.end)
      let name = operation.name
      fillContent { .store(name: name, content: $0) }
    }
  }

  /// What was patched is what was there when it was opened.
  private mutating func fillPatch() {
    guard let open = answer.call("open") else { return }
    let (name, read) = (operation.name, NameStep.read(name: operation.name))
    if let wrong = answer.wrong {
      record.problems.append(Problem(.wrong, "\(client) read to patch, or had patched: \(wrong)"))
    } else if open.error == ENOENT {
      add(read, .absent, from: open.begin, to: open.end)
      record.outcome = .acknowledged
    } else if open.error == 0, let below = answer.below {
      add(read, .content(below), from: open.begin, to: open.end)
      record.outcome = .acknowledged
      guard answer.call("write") != nil else { return }
      record.outcome = .refused
      fillContent { .store(name: name, content: $0) }
    }
  }

  private mutating func fillSave() {
    guard let replace = answer.call("replace") else { return }
    step(
      "replace", .replace(name: operation.name, content: operation.number),
      denied: (ENOENT, .absent))
    if replace.error == 0 { noteStored(replace, from: nil) }
    if replace.error == ENOENT {
      record.events = [:]
      record.problems.append(
        Problem(
          .lost,
          "\(client): the file .new-\(operation.number) was closed and then was not there to be renamed"
        ))
    }
  }

  // MARK: Reading

  /// What is read is what was there when it was opened.
  private mutating func fillRead() {
    guard let open = answer.call("open") else { return }
    let read = NameStep.read(name: operation.name)
    if let wrong = answer.wrong {
      record.problems.append(
        Problem(
          .wrong,
          "\(client) read wrong bytes of \(operation.kind.directory) group \(operation.group): \(wrong)"
        ))
    } else if let content = answer.content {
      add(read, .content(content), from: open.begin, to: open.end)
      record.outcome = .acknowledged
    } else if open.error == ENOENT {
      add(read, .absent, from: open.begin, to: open.end)
      record.outcome = .acknowledged
    }
  }

  /// Without an open, what is shown may be as old as promised.
  private mutating func fillStat() {
    guard let call = answer.call("stat"), [0, ENOENT].contains(call.error) else { return }
    record.outcome = .acknowledged
    let begin = call.begin - min(call.begin, Self.pushLimitNanoseconds)
    let read = NameStep.read(name: operation.name)
    guard let size = answer.size else { return add(read, .absent, from: begin, to: call.end) }
    guard let content = size == 0 ? 0 : sizes[size] else {
      // That of an append may be shown before the append is recorded.
      guard operation.kind != .appended else { return }
      return record.problems.append(
        Problem(.wrong, "\(client) was told that the file has \(size) bytes, which nobody stored"))
    }
    if content != Recorder.ambiguous { add(read, .content(content), from: begin, to: call.end) }
  }

  private mutating func fillList(_ live: [Group]) {
    guard let names = answer.names.map(Set.init), let first = answer.call("list"),
      let last = answer.call("readdir")
    else { return }
    record.outcome = .acknowledged
    for group in live {
      let listings = group.names.map { names.contains($0) ? NameListing.present : .absent }
      record.events[group.number, default: []].append(
        NameEvent(.list, .listed(listings), from: first.begin, to: last.end, by: client))
    }
  }
}
