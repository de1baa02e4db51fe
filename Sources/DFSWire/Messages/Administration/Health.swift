public import DFSCore
internal import SwiftProtobuf

/// How a user's copies are, and their scrub.

extension Request {
  /// How this user's copies are on the server.
  public struct Health: RequestMessage, EmptyMessage {
    public typealias Answer = HealthReport

    /// There is nothing to say.
    public init() {}
  }

  /// Begin to read back all copies, unless that is under way.
  public struct Scrub: RequestMessage, EmptyMessage {
    public typealias Answer = Reply.Done

    /// There is nothing to say.
    public init() {}
  }
}

extension Reply {
  /// How they are.
  public typealias HealthReport = DFSCore.HealthReport
}

extension HealthReport: ReplyMessage {
  public var isLong: Bool { true }

  public func showing(_ shown: (String) -> String) -> HealthReport {
    var report = self
    report.software = shown(software)
    return report
  }
}

extension HealthReport: WireMessage {
  static var shape: HeaderShape {
    HeaderShape([
      1: .one(Head.shape), 2: .many(.leaf, Wire.listRows, "placements"), 6: .one(.leaf),
      7: .one(.leaf),
    ])
  }

  var wire: ProtoHealth {
    .with {
      $0.head = head.wire
      $0.placements = placements.map { placement in
        .with {
          $0.copies = placement.key
          $0.files = placement.value
        }
      }
      $0.copies = copies
      $0.missing = missing
      $0.damaged = damaged
      $0.scrub = scrub.wire
      $0.space = space.wire
      $0.software = software
      $0.missingBytes = missingBytes
      $0.requests = requests
    }
  }

  init(_ health: ProtoHealth) throws(DFSError) {
    self.init(head: try Head(health.head))
    var files: UInt64 = 0
    let counts = try list(health.placements, atMost: Wire.listRows, of: "placements") {
      placement throws(DFSError) in
      let count = try placement.files.bounded("the count")
      // All of them together, too: they are added up.
      files = try (files + count).bounded("the count")
      return (placement.copies, count)
    }
    placements = Dictionary(counts) { $0 + $1 }
    copies = try health.copies.bounded("the count")
    missing = try health.missing.bounded("the count")
    damaged = try health.damaged.bounded("the count")
    scrub = try ScrubReport(health.scrub)
    space = try SpaceReport(health.space)
    software = health.software
    missingBytes = try health.missingBytes.bounded("the bytes", by: Limits.storeBytes)
    requests = try health.requests.bounded("the count")
  }
}

extension ScrubReport {
  fileprivate var wire: ProtoScrub {
    .with {
      $0.isRunning = isRunning
      $0.checkedBytes = checkedBytes
      $0.totalBytes = totalBytes
      $0.lastEnd = lastEndSeconds
      $0.damaged = damaged
    }
  }

  fileprivate init(_ scrub: ProtoScrub) throws(DFSError) {
    self.init()
    isRunning = scrub.isRunning
    checkedBytes = try scrub.checkedBytes.bounded("the bytes", by: Limits.storeBytes)
    totalBytes = try scrub.totalBytes.bounded("the bytes", by: Limits.storeBytes)
    lastEndSeconds = try scrub.lastEnd.bounded("the time", by: Limits.seconds)
    damaged = try scrub.damaged.bounded("the count")
  }
}
