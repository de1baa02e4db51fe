internal import DFSCore
internal import FoundationEssentials
internal import SwiftProtobuf

/// Replies as protobuf and back; what comes in is checked.
extension Reply {
  var wire: ProtoHeader.OneOf_Kind {
    switch self {
    case .hello(let greeting): .greeting(greeting.wire)
    case .loginContinue(let text): .loginContinue(.with { $0.text = text })
    case .loginDone(let text, let namespace):
      .loginDone(
        .with {
          $0.text = text
          if let namespace { $0.namespace = namespace.wire }
        })
    case .done: .done(ProtoEmpty())
    case .pong(let head): .pong(head.wire)
    case .namespace(let reply): .namespaceReply(reply.wire)
    case .query(let answers, let head):
      .answers(
        .with {
          $0.answers = answers.map(\.wire)
          $0.head = head.wire
        })
    case .part(let extent): .part(extent.wire)
    case .smallParts(let parts): .smallParts(.with { $0.parts = parts.map(\.wire) })
    case .copies(let copies):
      .copyList(.with { $0.parts = Data(copies.map { $0.reduce(0) { $0 | 1 << $1.value } }) })
    case .space(let report): .spaceReport(report.wire)
    case .wanted(let copies, let total):
      .wantedList(
        .with {
          $0.copies = copies.map(\.wire)
          $0.total = total
        })
    case .health(let report): .healthReport(report.wire)
    case .failed(let error): .failed(error.wire)
    }
  }

  /// Nil if `kind` is no reply.
  init?(_ kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .greeting(let greeting): self = .hello(ServerGreeting(greeting))
    case .loginContinue(let scram): self = .loginContinue(scram: scram.text)
    case .loginDone(let done):
      self = .loginDone(scram: done.text, namespace: RandomID(done.namespace))
    case .done: self = .done
    case .pong(let head): self = .pong(try Head(head))
    case .namespaceReply(let reply): self = .namespace(try NamespaceReply(reply))
    case .answers(let answers):
      self = .query(
        try list(answers.answers, of: "answers", QueryAnswer.init), head: try Head(answers.head))
    case .part(let extent): self = .part(try PartExtent(extent))
    case .smallParts(let small):
      self = .smallParts(
        try list(small.parts, atMost: Limits.partCount, of: "small parts", InlinePart.init))
    case .copyList(let copies):
      self = .copies(
        try list(Array(copies.parts), of: "versions") { bits in
          PartIndex.all.filter { bits & 1 << $0.value != 0 }
        })
    case .spaceReport(let report): self = .space(try SpaceReport(report))
    case .wantedList(let wanted):
      self = .wanted(
        try list(wanted.copies, of: "copies", WantedCopy.init),
        total: try wanted.total.bounded("the count"))
    case .healthReport(let report): self = .health(try HealthReport(report))
    case .failed(let failure): self = .failed(DFSError(failure))
    default: return nil
    }
  }
}

extension Push {
  var wire: ProtoHeader.OneOf_Kind {
    switch self {
    case .changed(let keys, let head):
      .changed(
        .with {
          $0.keys = keys.map(\.wire)
          $0.head = head.wire
        })
    case .everythingChanged(let head): .everythingChanged(head.wire)
    case .goingAway: .goingAway(ProtoEmpty())
    }
  }

  /// Nil if `kind` is no push.
  init?(_ kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .changed(let changed):
      let keys = try list(
        changed.keys, atMost: Limits.changeWrites, of: "keys", RowKey.init)
      self = .changed(keys, head: try Head(changed.head))
    case .everythingChanged(let head): self = .everythingChanged(head: try Head(head))
    case .goingAway: self = .goingAway
    default: return nil
    }
  }
}

extension DFSError {
  /// The text of a cause that happened in another process.
  private struct Cause: Error, CustomStringConvertible {
    let description: String
  }

  var wire: ProtoFailure {
    .with {
      $0.code = code.rawValue
      $0.message = message
      if let cause { $0.cause = cause }
    }
  }

  /// A kind that this program does not know reads as `inputOutput`; the message tells.
  init(_ failure: ProtoFailure) {
    self.init(
      Code(rawValue: failure.code) ?? .inputOutput, failure.message,
      cause: failure.hasCause ? Cause(description: failure.cause) : nil)
  }
}
