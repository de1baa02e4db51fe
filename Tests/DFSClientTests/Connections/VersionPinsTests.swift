import DFSCore
import DFSTestSupport
import DFSWire
import Synchronization
import Testing

@testable import DFSClient

/// What servers are told of the versions that are open.
@Suite struct VersionPinsTests {
  /// Four servers that note what they hold.
  private final class Holders: ServerRequests {
    private let held = Mutex<[ServerIndex: [VersionID]]>([:])

    var reachable: ServerSet { .all }
    func states() -> [ServerState] { [] }

    func exchange(
      _ server: ServerIndex, _ request: Request, timeout: Duration
    ) async throws(DFSError) -> Reply {
      held.withLock { held in
        switch request {
        case .hold(let hold): held[server, default: []] += hold.versions
        case .release(let release):
          held[server, default: []].removeAll(where: release.versions.contains)
        default: Issue.record("\(request)")
        }
      }
      return Reply.Done().reply
    }

    func versions(_ server: ServerIndex) -> [VersionID] { held.withLock { $0[server] ?? [] } }
  }

  private static func version() -> Version {
    Version(
      Content(
        id: .random(), size: 0, md5: .of([]), placement: Placement(md5: .of([])),
        partDigests: Array(repeating: BlockChecksum(0), count: 4)))
  }

  @Test func aServerThatConnectsAgainIsToldOfWhatTheOthersHold() async throws {
    let servers = Holders()
    let pins = VersionPins(requests: servers)
    let version = Self.version()
    pins.pin(version)
    await pins.tell()
    try await eventually("all are told") {
      ServerIndex.all.allSatisfy { servers.versions($0) == [version.id] }
    }
    pins.renew(on: ServerIndex(2))
    try await eventually("it is told again") { servers.versions(ServerIndex(2)).count == 2 }
  }

  /// It would hold it for as long as the connection lives. Found by the simulation.
  @Test func aServerThatConnectsWhileAVersionIsOpenForAMomentDoesNotHoldItForEver() async throws {
    let servers = Holders()
    let pins = VersionPins(requests: servers)
    let (short, long) = (Self.version(), Self.version())
    // Nobody is told yet.
    pins.pin(short)
    pins.renew(on: ServerIndex(1))
    pins.unpin(short)
    pins.pin(long)
    await pins.tell()
    try await eventually("all are told") {
      ServerIndex.all.allSatisfy { servers.versions($0).contains(long.id) }
    }
    #expect(ServerIndex.all.allSatisfy { servers.versions($0) == [long.id] })
  }
}
