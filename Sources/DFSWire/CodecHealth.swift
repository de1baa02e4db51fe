internal import DFSCore
internal import SwiftProtobuf

/// What servers tell of the copies that they have and lack.

extension WantedCopy {
  var wire: ProtoWantedCopy {
    .with {
      $0.id = id.wire
      $0.inode = inode.value
      $0.copies = content.copies
    }
  }

  init(_ copy: ProtoWantedCopy) throws(DFSError) {
    let id = try PartID(copy.id)
    self.init(
      id: id, inode: InodeID(copy.inode),
      content: RowContent(version: id.version, copies: copy.copies))
  }
}

extension HealthReport {
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
      $0.wanted = wanted
      $0.damaged = damaged
      $0.scrub = scrub.wire
      $0.space = space.wire
      $0.software = software
      $0.wantedBytes = wantedBytes
    }
  }

  init(_ health: ProtoHealth) throws(DFSError) {
    self.init(head: Head(health.head))
    let counts = try list(health.placements, atMost: Wire.listRows, of: "placements") {
      ($0.copies, $0.files)
    }
    placements = Dictionary(counts) { $0 &+ $1 }
    copies = health.copies
    wanted = health.wanted
    damaged = health.damaged
    scrub = ScrubReport(health.scrub)
    space = SpaceReport(health.space)
    software = health.software
    wantedBytes = health.wantedBytes
  }
}

extension ScrubReport {
  var wire: ProtoScrub {
    .with {
      $0.isRunning = isRunning
      $0.checkedBytes = checkedBytes
      $0.totalBytes = totalBytes
      $0.lastEnd = lastEndSeconds
      $0.damaged = damaged
    }
  }

  init(_ scrub: ProtoScrub) {
    self.init()
    isRunning = scrub.isRunning
    checkedBytes = scrub.checkedBytes
    totalBytes = scrub.totalBytes
    lastEndSeconds = scrub.lastEnd
    damaged = scrub.damaged
  }
}
