import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSCore

/// Makes files that were changed in place one content again.
struct Settle: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "settle", abstract: "Store files that were changed in place as a whole again.",
    usage: "settle [PATH…] [--wait] [OPTIONS]",
    discussion: """
      What is written into a stored file is first kept as a layer over it. A file that is not changed for a \
      while is settled: its layers and what is below become one content again, split in four and placed by its MD5. \
      A mount does that by itself; this does it now, for each PATH, or for all files that are not settled. \
      All four servers must be up. With --wait it goes on until all is settled, though a server is away or a \
      file is changed meanwhile.

      The exit status is 0 if all is settled, 1 if a file was changed meanwhile or could not be settled, 5 if too \
      few servers are up.
      """)

  static let operands: [Operand] = [.remote]

  @Flag(help: "Go on until everything is settled.")
  var wait = false

  @OptionGroup var results: ResultOptions

  @Argument(help: ArgumentHelp("Files of the servers.", valueName: "path"))
  var paths: [String] = []

  private static let pause = Duration.seconds(1)

  func run(in session: Session) async throws {
    let service = try await session.patientService()
    let outcome = Outcome(of: "settle", in: session, isJSON: results.isJSON(session))
    let meter = results.meter(session, isSingle: false, verb: "settling")
    defer { meter.end() }
    var (count, left) = (0, 0)
    var before: UInt64 = 0
    let settle = { (name: String, inode: Inode) async throws in
      guard let version = inode.version, !version.isSettled else { return }
      meter.expect(version.storedBytes, name)
      try await outcome.of(name) { [before] in
        let isSettled = try await self.isSettled(inode.id, on: service) {
          meter.reached(before + $0)
        }
        if isSettled { count += 1 } else { left += 1 }
      }
      before += version.storedBytes
      meter.reached(before)
      meter.finishFile()
    }
    for path in paths {
      try await outcome.of(path) {
        let path = try RemotePath(path)
        try await settle("\(path)", try await path.resolve(on: service))
      }
    }
    if paths.isEmpty {
      var after: FileName?
      repeat {
        let page = try await service.unsettled(after: after)
        for inode in page.inodes { try await settle("inode \(inode.id)", inode) }
        after = page.next
      } while after != nil
    }
    meter.end()
    try await tell(count, left, in: session)
    try outcome.finish()
    if left > 0 { throw Reported(status: .failed) }
  }

  /// - Returns: false if it was changed meanwhile.
  private func isSettled(
    _ id: InodeID, on service: any ClusterAdministration,
    _ progress: @escaping @Sendable (UInt64) -> Void
  ) async throws -> Bool {
    while true {
      do {
        if try await service.settle(id, progress) == .settled { return true }
        guard wait else { return false }
      } catch let error as DFSError where error.code == .serversMissing && wait {
        await service.reconnect(within: Self.pause)
      }
      try await Task.sleep(for: Self.pause)
    }
  }

  private func tell(_ count: Int, _ left: Int, in session: Session) async throws {
    guard results.isJSON(session) else {
      if results.isQuiet(session) { return }
      let rest =
        left > 0 ? "; \(left) were changed meanwhile: settle them again, or with --wait" : ""
      return try await session.console.line("\(count) files settled\(rest)")
    }
    var object = JSONObject()
    object["command"] = "settle"
    object["settled"] = count
    object["changed"] = left
    try await session.console.write(object.line())
  }
}
