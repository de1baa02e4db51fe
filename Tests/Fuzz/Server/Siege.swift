import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation
import Synchronization

/// Hostile users and strangers at all four servers for some time, each with what once stalled, bloated
/// or locked out others, beside an honest user whose mount writes, reads and compares.
final class Siege: Sendable {
  /// Seconds that a call of the honest user may take.
  static let limit = 2.0

  private let ports: [Int]
  private let findings: Findings
  private let isOver = Atomic(false)
  private let done = Atomic<UInt64>(0)

  init(_ servers: FourServers, _ findings: Findings) {
    ports = servers.addresses.map(\.port)
    self.findings = findings
  }

  /// How many of their attempts the attackers made, whatever came of them.
  var attacks: UInt64 { done.load(ordering: .relaxed) }

  // MARK: The attackers

  /// Attacks until `stop`. Every attacker goes from server to server.
  func start() {
    let inodes = Self.list((0..<512).map { [Field(number: 1, value: .fixed64(1 << 8 | $0))] })
    let versions = Self.list(
      (0..<4096).map {
        [Field(number: 1, value: .fixed64($0)), Field(number: 2, value: .fixed64($0))]
      })
    let empty = Self.frame(
      15,
      [UInt8](
        [UInt8](repeating: 0, count: 4 << 20).enumerated().map {
          $0.offset.isMultiple(of: 2) ? 0x0a : 0
        }.dropLast(64)))
    attack { self.flood("fuzz0", connections: 2, Array(repeating: empty, count: 3), port: $0) }
    attack { self.flood("fuzz1", connections: 5, Self.frames(15, inodes, 40), port: $0) }
    attack { self.flood("fuzz2", connections: 5, Self.frames(24, versions, 60), port: $0) }
    attack { self.keep("fuzz3", connections: 25, Array(empty.dropLast()), port: $0) }
    attack { self.keep("fuzz4", connections: 300, [], port: $0) }
    attack { self.stayStrangers(1_500, port: $0) }
    for _ in 0..<4 { attack { self.guess(port: $0) } }
  }

  func stop() { isOver.store(true, ordering: .relaxed) }

  private var goesOn: Bool { !isOver.load(ordering: .relaxed) && findings.isEmpty }

  private func attack(_ once: @escaping @Sendable (Int) -> Void) {
    for port in ports {
      Thread.detachNewThread {
        while self.goesOn {
          once(port)
          self.done.wrappingAdd(1, ordering: .relaxed)
          usleep(10_000)
        }
      }
    }
  }

  /// - Parameter user: nil: one whom nobody hears of again.
  private func connected(_ user: String, _ port: Int) -> Line? {
    guard let index = ports.firstIndex(of: port), let line = try? Line(port: port) else {
      return nil
    }
    let login = Login(server: "DFS\(index + 1)", user: user)
    guard (try? login.perform(on: line, within: 10)) != nil else { return nil }
    return line
  }

  /// Sends much on several connections, reads for a while what is answered, and hangs up.
  private func flood(_ user: String, connections: Int, _ frames: [[UInt8]], port: Int) {
    let lines = (0..<connections).compactMap { _ in connected(user, port) }
    for line in lines { _ = try? line.exchange(frames.flatMap { $0 }, within: 0.5) }
  }

  /// Holds connections, with a frame that is never whole if there are `bytes`, and reads nothing.
  private func keep(_ user: String, connections: Int, _ bytes: [UInt8], port: Int) {
    let lines = (0..<connections).compactMap { _ in goesOn ? connected(user, port) : nil }
    for line in lines where !bytes.isEmpty { _ = try? line.exchange(bytes, within: 0.2) }
    hold(lines)
  }

  private func stayStrangers(_ count: Int, port: Int) {
    hold((0..<count).compactMap { _ in goesOn ? try? Line(port: port) : nil })
  }

  private func hold(_ lines: [Line]) {
    for _ in 0..<50 where goesOn { usleep(200_000) }
    withExtendedLifetime(lines) {}
  }

  /// A wrong password for the honest user, and names that there are not.
  private func guess(port: Int) {
    guard let index = ports.firstIndex(of: port) else { return }
    for name in [FourServers.user, "nobody-\(UInt32.random(in: 0...UInt32.max))"] {
      guard let line = try? Line(port: port) else { continue }
      let login = Login(server: "DFS\(index + 1)", user: name, password: "wrong")
      try? login.perform(on: line, within: 3)
    }
  }

  // MARK: Frames

  private static func list(_ items: [[Field]]) -> [UInt8] {
    items.map { Field(number: 1, value: .message($0)) }.encoded
  }

  private static func frame(_ kind: UInt64, _ inner: [UInt8], id: UInt64 = 9) -> [UInt8] {
    RawFrame(
      header: [
        Field(number: 1, value: .varint(id)), Field(number: kind, value: .bytes(inner)),
      ]
    ).encoded
  }

  private static func frames(_ kind: UInt64, _ inner: [UInt8], _ count: UInt64) -> [[UInt8]] {
    (0..<count).map { frame(kind, inner, id: 16 + $0) }
  }

  // MARK: The honest user

  /// Files are written, listed, read back without the kernel's cache, compared, renamed and removed.
  /// - Returns: how many rounds there were, and the longest call in seconds.
  func honest(_ place: String, until end: Date) -> (rounds: Int, longest: Double, call: String) {
    var kept: [(path: String, content: [UInt8])] = []
    var (rounds, longest, slowest) = (0, 0.0, "none")
    func call(_ name: String, _ body: () -> Bool) {
      let start = Date()
      let isGood = body()
      let took = Date().timeIntervalSince(start)
      if took > longest { (longest, slowest) = (took, name) }
      if !isGood { findings.add("\(name): \(String(cString: strerror(errno)))") }
      if took > Self.limit { findings.add("\(name) took \(took) s") }
    }
    while Date() < end, findings.isEmpty {
      rounds += 1
      let size = rounds % 10 == 0 ? Int.random(in: 0...2_000_000) : Int.random(in: 0...20_000)
      let content = (0..<size).map { _ in UInt8.random(in: 0...255) }
      let path = "\(place)/file\(rounds)"
      var file: Int32 = -1
      call("open") {
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        return file >= 0
      }
      call("write") { write(file, content, content.count) == content.count }
      if rounds % 2 == 0 { call("fsync") { fsync(file) == 0 } }
      call("close") { close(file) == 0 }
      kept.append((path, content))
      let old = kept.randomElement() ?? (path, content)
      call("read") { Self.isThere(old.path, old.content) }
      call("list") { (try? FileManager.default.contentsOfDirectory(atPath: place)) != nil }
      if kept.count > 40 {
        let first = kept.removeFirst()
        call("rename") { rename(first.path, "\(place)/old") == 0 }
        call("unlink") { unlink("\(place)/old") == 0 }
      }
    }
    return (rounds, longest, slowest)
  }

  private static func isThere(_ path: String, _ content: [UInt8]) -> Bool {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    var bytes = [UInt8](repeating: 0, count: content.count + 1)
    var count = 0
    while count < bytes.count {
      let part = bytes.withUnsafeMutableBytes {
        read(file, $0.baseAddress?.advanced(by: count), $0.count - count)
      }
      guard part >= 0 else { return false }
      guard part > 0 else { break }
      count += part
    }
    errno = EBADMSG
    return bytes.prefix(count).elementsEqual(content)
  }
}
