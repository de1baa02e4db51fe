internal import DFSCore
internal import SwiftProtobuf

/// Read leases: what a client may read from memory, and a server asks for back.

extension Request {
  /// What becomes of this connection's read lease. A server before 1.2 refuses it.
  public struct Lease: RequestMessage {
    public typealias Answer = Reply.Pong

    /// What the client wants, or says.
    public enum Step: UInt32, Hashable, Sendable, CaseIterable {
      /// So many pushes of this connection were worked off.
      case seen = 0
      /// A lease is asked for; the answer comes when it is granted.
      case asked = 1
      /// It ends.
      case givenUp = 2
    }

    /// What the client wants, or says.
    public let step: Step
    /// With `seen`: so many pushes of this connection were worked off.
    public let pushes: UInt64

    /// With `pushes` worked off so far, or 0.
    public init(_ step: Step, pushes: UInt64) { (self.step, self.pushes) = (step, pushes) }
  }
}

extension Request.Lease: WireMessage {
  var wire: ProtoLease {
    .with {
      $0.step = step.rawValue
      $0.pushes = pushes
    }
  }

  init(_ lease: ProtoLease) throws(DFSError) {
    guard let step = Step(rawValue: lease.step) else {
      throw .violation("step \(lease.step) of a lease; the limit is \(Step.allCases.count - 1)")
    }
    self.init(step, pushes: try lease.pushes.bounded("pushes"))
  }
}

extension Request.Lease: DirectMessage {
  func write(to fields: inout FieldWriter) {
    fields.varint(2, pushes)
    fields.varint(1, UInt64(step.rawValue))
  }

  init?(reading fields: FieldReader) {
    var fields = fields
    var (step, pushes): (UInt64, UInt64) = (0, 0)
    while let tag = fields.next() {
      switch tag {
      case .varint(1): step = fields.varint()
      case .varint(2): pushes = fields.varint()
      default: return nil
      }
    }
    guard fields.isSound, pushes <= Limits.number,
      let step = UInt32(exactly: step).flatMap(Step.init)
    else { return nil }
    self.init(step, pushes: pushes)
  }
}
