import ArgumentParser
import DFSClient
import DFSCommandLine
import DFSCore
import DFSSystem

/// Shows the servers, and how the user's files and copies are.
struct Status: SessionCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show the servers and the health of the files.",
    usage: "status [OPTIONS]",
    discussion: """
      For each server: whether it is up, its release, the number of the last change that it has, the \
      space that is left, its copies, how many it lacks and how many were ever found damaged, and \
      when all its copies were last read back. Then the files: with two good copies of each part, \
      with reduced redundancy, incomplete.

      The exit status is 0 if every file is complete and all servers are up, 1 if something has reduced \
      redundancy (or a server is away or has not got the last changes), 4 if a file is incomplete, 5 if \
      fewer than two servers are up.
      """)

  @OptionGroup var results: ResultOptions

  func run(in session: Session) async throws {
    let service = try await session.patientService()
    let states = await service.serverStates()
    let health = await service.health()
    let text = results.isJSON(session) ? try json(states, health).line() : lines(states, health)
    try await session.console.write(text)
    let status = Self.status(states, health)
    if status != .success { throw Reported(status: status) }
  }

  static func status(_ states: [ServerState], _ health: ClusterHealth) -> ExitStatus {
    let answering = states.count { $0.isUp && health.reports[$0.server] != nil }
    if answering < 2 { return .serversMissing }
    if health.files.incomplete > 0 { return .incomplete }
    let isReduced =
      health.files.reduced > 0 || answering < states.count || health.isPartial
      || !health.lagging.isEmpty
    return isReduced ? .failed : .success
  }

  private static let titles = [
    "server", "state", "release", "change", "free", "copies", "missing", "damaged", "last scrub",
  ]

  private func lines(_ states: [ServerState], _ health: ClusterHealth) -> [UInt8] {
    let rows = [Self.titles] + states.map { row($0, health.reports[$0.server]) }
    let widths = Self.titles.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in rows {
      text +=
        zip(row, widths).map { $0.rightPadded(to: $1) }.joined(separator: "  ").trimmedRight + "\n"
    }
    for state in states where !state.isUp {
      text += "\(state.server) is down: \(state.problem?.message ?? "no answer")\n"
    }
    return Array((text + summary(health)).utf8)
  }

  private func row(_ state: ServerState, _ report: HealthReport?) -> [String] {
    let name = "\(state.server)"
    guard let report else {
      return [name, state.isUp ? "silent" : "down"]
        + Array(repeating: "-", count: Self.titles.count - 2)
    }
    return [
      name, "up", report.software, "\(report.head.number)", Progress.size(report.space.available),
      "\(report.copies)", "\(report.missing)", "\(report.damaged)", Self.text(report.scrub),
    ]
  }

  private static func text(_ scrub: ScrubReport) -> String {
    if scrub.isRunning {
      return "running, \(Progress.size(scrub.checkedBytes)) of \(Progress.size(scrub.totalBytes))"
    }
    guard scrub.lastEndSeconds > 0 else { return "never" }
    return Timestamp(seconds: Int(scrub.lastEndSeconds), nanoseconds: 0).local
      + (scrub.damaged > 0 ? ", \(scrub.damaged) bad" : "")
  }

  private func summary(_ health: ClusterHealth) -> String {
    let files = health.files
    var text =
      "\(files.count) files: \(files.complete) complete, \(files.reduced) with reduced redundancy, "
      + "\(files.incomplete) incomplete" + (health.isPartial ? " (at least)" : "") + "\n"
    if !health.lagging.isEmpty {
      text +=
        "\(health.lagging) \(health.lagging.count == 1 ? "has" : "have") not got the last changes "
        + "yet: what is missing of those is not counted\n"
    }
    let (copies, bytes) = health.reports.values.reduce((UInt64(0), UInt64(0))) {
      ($0.0 + $1.missing, $0.1 + $1.missingBytes)
    }
    if copies > 0 { text += "\(copies) copies are to be brought, \(Progress.size(bytes))\n" }
    if health.substitutes > 0 {
      text += "\(health.substitutes) files have copies that substitute for a server that was away\n"
    }
    let unsettled = health.unsettled
    if unsettled.files > 0 {
      text +=
        "\(unsettled.files) files are not settled: \(unsettled.layers) layers, "
        + "\(Progress.size(unsettled.bytes))\n"
    }
    return text
  }

  private func json(_ states: [ServerState], _ health: ClusterHealth) -> JSONObject {
    var object = JSONObject()
    object["servers"] = states.map { json($0, health.reports[$0.server]) }
    let files = health.files
    object["files"] = files.count
    object["complete"] = files.complete
    object["reduced"] = files.reduced
    object["incomplete"] = files.incomplete
    object["lagging"] = health.lagging.servers.map { "\($0)" }
    object["standIns"] = health.substitutes
    object["isPartial"] = health.isPartial
    object["unsettled"] = health.unsettled.files
    object["layers"] = health.unsettled.layers
    object["layerBytes"] = health.unsettled.bytes
    return object
  }

  private func json(_ state: ServerState, _ report: HealthReport?) -> JSONObject {
    var object = JSONObject()
    object["server"] = "\(state.server)"
    object["isUp"] = state.isUp
    if let problem = state.problem { object["problem"] = problem.message }
    guard let report else { return object }
    object["release"] = report.software
    object["change"] = report.head.number
    object["view"] = report.head.view.round
    object["freeBytes"] = report.space.available
    object["requests"] = report.requests
    object["copies"] = report.copies
    object["missing"] = report.missing
    object["missingBytes"] = report.missingBytes
    object["damaged"] = report.damaged
    object["scrubRunning"] = report.scrub.isRunning
    object["scrubCheckedBytes"] = report.scrub.checkedBytes
    object["scrubTotalBytes"] = report.scrub.totalBytes
    object["scrubDamaged"] = report.scrub.damaged
    if report.scrub.lastEndSeconds > 0 {
      let end = Timestamp(seconds: Int(report.scrub.lastEndSeconds), nanoseconds: 0)
      object["lastScrub"] = end.universal
    }
    return object
  }
}
