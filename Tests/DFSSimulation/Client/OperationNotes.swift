internal import DFSCore

/// What operations say while they are under way, for the checks.
///
/// `@unchecked Sendable`: as `SimulatedLoop`; operations run on the thread of the world.
final class OperationNotes: @unchecked Sendable {
  /// What an operation that publishes began from.
  struct Opened {
    let inode: InodeID
    let version: Version?
    let keepsOthers: Bool
  }

  /// A version that servers were told to hold.
  struct Held {
    let client: ClientID
    let contents: Set<VersionID>
    /// When it was begun to tell them, and when they knew.
    let since: Int
    let told: Int
  }

  private unowned let world: World
  private(set) var opened: [UInt64: Opened] = [:]
  private var held: [UInt64: Held] = [:]

  init(world: World) { self.world = world }

  var now: Int { world.now }

  func opened(_ token: UInt64, _ opened: Opened) { self.opened[token] = opened }
  func holds(_ token: UInt64, _ held: Held) { self.held[token] = held }
  func released(_ token: UInt64) { held[token] = nil }

  /// Who reads a version that a content is of.
  func readers(of content: VersionID) -> [Held] {
    held.sorted { $0.key < $1.key }.map(\.value).filter { $0.contents.contains(content) }
  }
}
