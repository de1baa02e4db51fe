import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSCore

/// Brings back what servers lack.
struct Heal: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "heal", abstract: "Bring back what servers lack.",
    usage: "heal [--wait] [--accept-loss] [OPTIONS]",
    discussion: """
      Servers that missed changes are caught up, copies that are missing or damaged are brought \
      from their other replicas, and copies that substituted for a server that was away are rebalanced. A mount does \
      the same in the background. One pass, unless --wait says to go on until all is well, however \
      long a server is away; it says what it waits for.

      If one server alone says that most of what the others have is gone, nothing is changed until a person \
      has looked: --accept-loss believes that server. If it lost its data, or is not to be trusted, stop it \
      and move the user's directory there away instead.
      """)

  @Flag(help: "Go on until every server has what it should have.")
  var wait = false

  @Flag(help: "Believe a server that alone says that most files are gone.")
  var acceptLoss = false

  @OptionGroup var results: ResultOptions

  private static let pause = Duration.seconds(1)

  func run(in session: Session) async throws {
    let service = try await session.patientService()
    if acceptLoss { await service.acceptLoss() }
    let meter = HealMeter(session.console, isShown: !results.isQuiet(session))
    defer { meter.end() }
    var sum = HealReport()
    repeat {
      let report = try await service.heal { meter.show($0) }
      let before = sum.blockedBy
      sum.add(report)
      if report.isHealthy || !wait { break }
      meter.waits(for: report.blockedBy, wasWaitingFor: before)
      meter.show(report)
      try await Task.sleep(for: Self.pause)
    } while true
    meter.end()
    try await session.console.write(
      results.isJSON(session) ? try json(sum).line() : Array(text(sum).utf8))
    if !sum.isHealthy { throw Reported(status: .failed) }
  }

  private func text(_ report: HealReport) -> String {
    var text =
      "\(report.copies) copies brought, \(Progress.size(report.bytes)); "
      + "\(report.placementsRecorded) files rebalanced; \(report.copiesLeft) copies left"
      + (report.bytesLeft > 0 ? ", \(Progress.size(report.bytesLeft))" : "") + "\n"
    for reason in report.blockedBy { text += "blocked: \(reason)\n" }
    return text
  }

  private func json(_ report: HealReport) -> JSONObject {
    var object = JSONObject()
    object["copies"] = report.copies
    object["bytes"] = report.bytes
    object["placementsRecorded"] = report.placementsRecorded
    object["copiesLeft"] = report.copiesLeft
    object["bytesLeft"] = report.bytesLeft
    object["blockedBy"] = report.blockedBy
    return object
  }
}

/// Lets the servers read back their copies.
struct Scrub: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "scrub", abstract: "Let the servers read back all copies.",
    usage: "scrub [--wait] [OPTIONS]",
    discussion: """
      Each server that is up reads all copies of this user against their checksums, and looks for \
      those that are gone. What is damaged or gone is brought from its other replica by the next healing. \
      'status' shows how far it is.
      """)

  @Flag(help: "Until all have ended; status 1 if damage was found.")
  var wait = false

  @OptionGroup var results: ResultOptions

  func run(in session: Session) async throws {
    let service = try await session.patientService()
    let began = await service.scrub()
    guard !began.isEmpty else {
      throw DFSError(.serversMissing, "no server took the order; see 'status'")
    }
    guard wait else { return try await session.console.line("\(began) read back their copies") }
    let meter = results.meter(session, isSingle: false, verb: "reading back")
    defer { meter.end() }
    let reports = try await ended(began, service, meter)
    meter.end()
    let damaged = reports.values.reduce(0) { $0 + $1.damaged }
    let bytes = reports.values.reduce(0) { $0 + $1.checkedBytes }
    var object = JSONObject()
    object["bytes"] = bytes
    object["bad"] = damaged
    try await session.console.write(
      results.isJSON(session)
        ? try object.line()
        : Array("\(Progress.size(bytes)) read back: \(damaged) copies are bad or gone\n".utf8))
    if damaged > 0 { throw Reported(status: .failed) }
  }

  private func ended(
    _ servers: ServerSet, _ service: any ClusterAdministration, _ meter: Meter
  ) async throws -> [ServerIndex: ScrubReport] {
    var isFirst = true
    while true {
      let health = await service.health()
      let reports = health.reports.filter { servers.contains($0.key) }.mapValues(\.scrub)
      if isFirst { meter.expect(reports.values.reduce(0) { $0 + $1.totalBytes }, "copies") }
      isFirst = false
      meter.reached(reports.values.reduce(0) { $0 + $1.checkedBytes })
      if reports.values.allSatisfy({ !$0.isRunning }) { return reports }
      try await Task.sleep(for: .milliseconds(200))
    }
  }
}
