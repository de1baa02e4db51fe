import DFSTestSupport
import Foundation
import Glibc

/// What the end of a dfc process means for the names: the one place where an exit status and a
/// message become an outcome.
struct DfcRecord {
  private let operation: Operation
  private let client: String
  private let call: DfcClient.Call
  private var record = Record()

  /// - Parameter fetched: the bytes that a get left.
  static func of(
    _ operation: Operation, _ call: DfcClient.Call, by client: String, fetched: [UInt8],
    _ recorder: Recorder
  ) -> Record {
    var this = DfcRecord(operation: operation, client: client, call: call)
    switch operation.action {
    case .put: this.step(.store(name: operation.name, content: operation.number))
    case .remove: this.step(.remove(name: operation.name), denied: (this.isAbsent, .absent))
    case .move:
      this.step(
        .move(from: operation.name, to: operation.newName), denied: (this.isAbsent, .absent))
    case .makeDirectory:
      this.step(
        .create(name: operation.name, file: operation.number),
        denied: (call.errors.contains("exists"), .exists))
    case .read: this.fillRead(fetched)
    default: this.fillList(recorder)
    }
    return this.record
  }

  private init(operation: Operation, client: String, call: DfcClient.Call) {
    (self.operation, self.client, self.call) = (operation, client, call)
  }

  private mutating func add(_ step: NameStep, _ answer: NameAnswer) {
    record.events[operation.group, default: []].append(
      NameEvent(
        step, answer, from: call.begin, to: answer == .unknown ? .max : call.end, by: client))
  }

  private var isUnknown: Bool {
    call.status > 128 || call.errors.contains("outcome is not known")
  }

  private var isAbsent: Bool {
    ["does not exist", "there is no '"].contains { call.errors.contains($0) }
  }

  private mutating func step(
    _ step: NameStep, denied: (isTold: Bool, answer: NameAnswer)? = nil
  ) {
    if call.status == 0 {
      add(step, .done)
      record.outcome = .acknowledged
      if operation.action == .put {
        record.stored = StoredContent(
          content: operation.number, begin: call.begin, end: call.end,
          opened: nil, by: client)
      }
    } else if call.status == 1, let denied, denied.isTold {
      add(step, denied.answer)
      record.outcome = .acknowledged
    } else if isUnknown {
      add(step, .unknown)
      record.outcome = .unknown
    }
  }

  private mutating func fillRead(_ fetched: [UInt8]) {
    let read = NameStep.read(name: operation.name)
    if call.status == 1, isAbsent {
      add(read, .absent)
      record.outcome = .acknowledged
    }
    guard call.status == 0 else { return }
    record.outcome = .acknowledged
    switch Content.finding(in: fetched) {
    case .empty: add(read, .content(0))
    case .whole(let number): add(read, .content(number))
    case .appended(let chain), .patched(let chain):
      add(read, .content(chain.last ?? 0))
      record.chain = chain
    case .wrong(let what):
      record.problems.append(
        Problem(
          .wrong,
          "\(client) fetched wrong bytes of \(operation.kind.directory) group \(operation.group): \(what)"
        ))
    }
  }

  private mutating func fillList(_ recorder: Recorder) {
    guard call.status == 0 else { return }
    record.outcome = .acknowledged
    let listing = DfcListing(call.output)
    for group in recorder.liveGroups(operation.kind) {
      // The content of an append, or of a patch, may be listed before it is recorded.
      let listings = group.names.map { name in
        let found = listing.listing(name, recorder)
        let mayBeNew = group.kind == .appended || group.isPatched
        return mayBeNew && found == .content(-1) ? .present : found
      }
      record.events[group.number, default: []].append(
        NameEvent(.list, .listed(listings), from: call.begin, to: call.end, by: client))
    }
  }
}

/// What `dfc list --json` printed.
struct DfcListing {
  private struct Line: Decodable {
    let name: String
    let kind: String
    let md5: String?
    /// The MD5 of a file that was changed in place is not known until it is settled.
    let settled: Bool?
  }

  private let lines: [String: Line]

  init(_ output: [UInt8]) {
    let lines = output.split(separator: UInt8(ascii: "\n")).compactMap {
      try? JSONDecoder().decode(Line.self, from: Data($0))
    }
    self.lines = Dictionary(lines.map { ($0.name, $0) }) { $1 }
  }

  /// A content that nobody made has the number -1, which no history explains.
  func listing(_ name: String, _ recorder: Recorder) -> NameListing {
    guard let line = lines[name] else { return .absent }
    guard line.kind != "directory" else { return .present }
    guard let md5 = line.md5 else { return line.settled == false ? .present : .content(0) }
    return .content(recorder.content(md5: md5) ?? -1)
  }
}
