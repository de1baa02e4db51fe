import DFSClient
import DFSCore
import Foundation
import Testing

@testable import DFSMount

/// The life cycles of an open file's name and content.
@Suite struct OpenFileStateTests {
  private let own = InodeID(256)
  private let other = InodeID(257)
  private let problem = DFSError(.inputOutput, "no")

  private final class File {
    var state: OpenFile.State

    init() {
      let inode = Inode(
        id: InodeID(256), kind: .regular, mode: 0o600, owner: 0, group: 0,
        time: Timestamp(nanoseconds: 0))
      state = OpenFile.State(inode: inode, modified: inode.modified, changed: inode.changed)
    }

    /// Whether there is anything to publish, and then whether it is new.
    func begins(durable: Bool = false, onlyNew: Bool = false) -> Bool? {
      state.beginPublish(durable: durable, onlyNew: onlyNew)?.isNew
    }

    func defers(_ change: AttributeChange) -> Bool {
      state.deferChange(change, at: Timestamp(nanoseconds: 9))
    }

    func keepsAside() -> Bool { state.keepAside() != nil }
  }

  private func spool() -> Spool {
    Spool(
      budget: SpoolBudget(
        directory: NSTemporaryDirectory(), diskLimit: 1 << 20, memoryPerFile: 1 << 20))
  }

  @Test func whatOthersRemovedGoesOnInAnother() {
    let file = File()
    file.state.lose(other, own: own)
    #expect(file.state.name == .named && !file.state.isLocal)
    file.state.lose(own, own: own)
    #expect(
      file.state.name == .lost(continuedIn: nil) && file.state.isLocal && !file.state.isNameless)
    file.state.goOn(in: other, own: own)
    #expect(
      file.state.name == .continued(in: other) && file.state.continuation == other
        && !file.state.isLocal)
    file.state.lose(own, own: own)
    #expect(file.state.name == .continued(in: other), "that one is there")
    file.state.lose(other, own: own)
    #expect(file.state.name == .lost(continuedIn: other) && file.state.continuation == other)
    file.state.goOn(in: own, own: own)
    #expect(file.state.name == .named && file.state.continuation == nil)
  }

  @Test(arguments: [OpenFile.Name.temporary, .removed])
  func whatHasNoNameIsNotPublished(_ name: OpenFile.Name) {
    let file = File()
    file.state.content = .changed(spool(), .untried, isKept: false)
    #expect(file.state.isDirty)
    file.state.name = name
    file.state.lose(own, own: own)
    file.state.goOn(in: other, own: own)
    #expect(file.state.name == name && !file.state.isDirty && file.state.isLocal)
    #expect(file.begins(durable: true) == nil)
    #expect(!file.keepsAside())
  }

  @Test func whatFailedIsTriedAgainByTheNextClose() {
    let file = File()
    #expect(file.begins(durable: true) == nil, "nothing was written")
    file.state.content = .published(spool(), .stable)
    #expect(!file.state.isDirty && file.begins(durable: true) == nil)
    file.state.noteChange()
    #expect(file.state.isDirty && !file.state.isPublishing)
    #expect(file.begins(onlyNew: true) == true)
    #expect(file.state.isDirty && file.state.isPublishing)
    file.state.failPublish(problem)
    #expect(file.state.isDirty && !file.state.isPublishing && file.state.lastFailure == problem)
    #expect(file.state.finalFailure == nil)
    #expect(file.begins(onlyNew: true) == nil, "it was tried")
    #expect(file.begins() != nil)
    file.state.failPublish(problem)
    file.state.noteChange()
    #expect(file.begins(onlyNew: true) != nil)
  }

  @Test func whatIsPublishedIsBroughtToStableStorageOnce() {
    let file = File()
    file.state.content = .published(spool(), .volatile(nil))
    #expect(file.begins() == nil)
    #expect(file.begins(durable: true) == false)
    #expect(file.state.isPublishing && !file.state.isDirty)
    file.state.failPublish(problem)
    #expect(!file.state.isPublishing && !file.state.isDirty && file.state.lastFailure == problem)
    #expect(file.begins(durable: true) != nil)
  }

  @Test func attributesOfWhatIsWrittenAreDeferred() {
    let file = File()
    var mode = AttributeChange()
    mode.mode = 0o640
    var times = AttributeChange()
    (times.accessed, times.modified) = (Timestamp(nanoseconds: 5), Timestamp(nanoseconds: 6))
    var reading = times
    reading.accessedBefore = Timestamp(nanoseconds: 0)
    #expect(!file.defers(times), "nothing is written")
    file.state.content = .changed(spool(), .untried, isKept: false)
    #expect(!file.defers(reading), "it depends on what others did")
    #expect(file.defers(mode) && file.defers(times))
    #expect(file.state.deferred.mode == 0o640 && file.state.deferred.accessed == times.accessed)
    #expect(file.state.deferred.modified == nil && file.state.modified == times.modified)
    #expect(file.state.inode.mode == 0o640 && file.state.changed == Timestamp(nanoseconds: 9))
    // Who tells what the others see does not undo it.
    var others = file.state.inode
    others.mode = 0o600
    file.state.learn(others, as: own)
    #expect(file.state.inode.mode == 0o640)
    file.state.base = Version(
      Content(
        id: .random(), size: 0, md5: .of([]), placement: Placement(md5: .of([])),
        partDigests: Array(repeating: BlockChecksum(0), count: 4)))
    #expect(!file.defers(mode), "others see the file")
    #expect(file.defers(times))
    for name in [OpenFile.Name.temporary, .removed, .lost(continuedIn: nil), .continued(in: other)]
    {
      file.state.name = name
      #expect(!file.defers(times))
    }
    file.state.name = .named
    #expect(file.begins() == true)
    #expect(!file.defers(times), "it is being published")
    file.state.failPublish(problem)
    #expect(!file.defers(times), "it may never be published")
  }

  @Test func changesAreKeptAsideOnce() {
    let file = File()
    file.state.content = .changed(spool(), .untried, isKept: false)
    file.state.giveUp(problem)
    #expect(file.state.finalFailure == problem && file.state.lastFailure == problem)
    #expect(file.keepsAside())
    #expect(!file.keepsAside() && file.state.finalFailure == problem)
    file.state.noteChange()
    #expect(file.state.finalFailure == problem, "nothing brings its entry back")
  }
}
