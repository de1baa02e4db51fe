import DFSTestSupport
import Foundation
import Glibc

/// Ordinary programs on a real mount while one server after the other is hurt: none may fail, and
/// what is there in the end is what the same program makes of local files.
struct ProgramRun {
  /// Of one script; a program that hangs is a broken promise.
  private static let limit = Duration.seconds(3600)

  /// As it is by default: a program that is told of a timeout has failed.
  private static let callTimeoutSeconds = 30

  private let programs: [Program]
  private let options: Options
  private let cluster: Cluster
  private let recorder = Recorder(
    callLimitSeconds: Self.callTimeoutSeconds, .faults)
  private let stop: StopFlag
  private let sources: String

  init(
    _ programs: [Program], _ options: Options, in directory: String, stop: StopFlag
  ) async throws {
    (self.programs, self.options, self.stop) = (programs, options, stop)
    cluster = try await Cluster(
      Cluster.Plan.programs, in: directory, mountOptions: options.mountOptions,
      callTimeoutSeconds: Self.callTimeoutSeconds)
    sources = directory + "/sources"
  }

  /// - Returns: the exit status.
  func perform() async throws -> Int32 {
    for place in cluster.mountPlaces { try await cluster.startMount(place) }
    try FileManager.default.createDirectory(atPath: sources, withIntermediateDirectories: false)
    var maker = ProgramSources(in: sources, files: options.files, seed: options.seed)
    try maker.make()
    var report = ProgramReport(seed: options.seed, files: options.files)
    for program in programs where !stop.isSet {
      let row = try await row(program)
      report.programs.append(row)
      if !options.isJSON { print(row.line) }
      fflush(nil)
    }
    if !report.isGood {
      for row in report.programs where row.outcome == .failed {
        Torture.say("\(row.name) failed: \(row.text)")
      }
    }
    print(options.isJSON ? report.json : report.line)
    return report.isGood ? 0 : 1
  }

  // MARK: One program

  private func row(_ program: Program) async throws -> ProgramReport.Row {
    var row = ProgramReport.Row(name: program.name)
    guard program.missing.isEmpty else {
      row.outcome = .skipped
      row.text = "there is no \(program.missing.joined(separator: ", no "))"
      return row
    }
    let place = Workplace(program, round: 0, in: cluster, sources: sources)
    let prepared = try await run(program.prepare, place, options.files)
    guard prepared.status == 0 else {
      throw TortureFailure("\(program.name) cannot be prepared: \(prepared.text)")
    }
    repeat {
      row.rounds += 1
      try await perform(program, &row)
    } while row.outcome == .passed && row.seconds < Double(options.seconds) && !stop.isSet
    return row
  }

  /// One round: under faults, and then a look when they are over.
  private func perform(_ program: Program, _ row: inout ProgramReport.Row) async throws {
    let place = Workplace(program, round: row.rounds, in: cluster, sources: sources)
    try place.make()
    let before = recorder.counts.faults
    let logBegin = recorder.faultLog.count
    let begin = ContinuousClock.now
    let run = try await underFaults(round: row.rounds) {
      try await self.run(program.run, place, options.files)
    }
    row.seconds += (ContinuousClock.now - begin).seconds
    row.add(recorder.counts.faults, without: before)
    let log = recorder.faultLog[logBegin...].joined(separator: "\n")
    guard run.status == 0 else {
      return row.fail("status \(run.status) under faults: \(run.text)\n\(log)")
    }
    for mount in cluster.mountPlaces where cluster.hasEnded(mount) {
      return row.fail("\(mount.title) ended by itself\n\(log)")
    }
    let check = try await self.run(program.check, place, options.files)
    if check.status != 0 {
      row.fail("status \(check.status) when the faults were over: \(check.text)\n\(log)")
    }
  }

  /// Lets faults at the servers before `body` begins and until it ends; then all are well again.
  private func underFaults<Value: Sendable>(
    round: Int, _ body: () async throws -> Value
  ) async throws -> Value {
    let over = StopFlag()
    let before = recorder.counts.faults.values.reduce(0, +)
    // Each round of each program has faults of its own.
    let faults = Faults(
      cluster: cluster, recorder: recorder, seed: options.seed &+ UInt64(before &+ round),
      stop: over, isGentle: true)
    async let hurt: Void = faults.hurtServers()
    let value: Value
    do {
      try await eventually("a server is hurt", within: .seconds(20)) {
        recorder.counts.faults.values.reduce(0, +) > before
      }
      value = try await body()
    } catch {
      over.set()
      _ = try? await hurt
      throw error
    }
    over.set()
    try await hurt
    return value
  }

  // MARK: Scripts

  private struct Ended: Sendable {
    let status: Int32
    /// The end of what it said.
    let text: String
  }

  private func run(_ script: String, _ place: Workplace, _ files: Int) async throws -> Ended {
    let output = "\(cluster.directory)/output"
    unlink(output)
    var variables = place.variables
    variables["COUNT"] = "\(files)"
    let process = try ChildProcess.start(
      "/bin/bash", ["-c", "set -euo pipefail\n" + Program.functions + script],
      environment: variables, output: .file(output), errors: .file(output))
    var status: Int32?
    do {
      try await eventually("the program ends", within: Self.limit) {
        status = process.endIfEnded()
        if status == nil, stop.isSet { throw TortureFailure("stopped") }
        return status != nil
      }
    } catch {
      process.killGroup()
      process.wait()
      if stop.isSet { throw error }
    }
    let said = FileManager.default.contents(atPath: output) ?? Data()
    return Ended(
      status: status ?? 128 + SIGKILL, text: String(decoding: said.suffix(4000), as: UTF8.self))
  }

  /// The directories of one round.
  private struct Workplace {
    let here: String
    let variables: [String: String]
    private let local: String

    init(_ program: Program, round: Int, in cluster: Cluster, sources: String) {
      let name = "\(program.name)-\(round)"
      let mounts = cluster.mountPlaces.compactMap(\.mount)
      here = "\(mounts[0])/\(name)"
      local = "\(cluster.directory)/local-\(name)"
      variables = [
        "SOURCE": sources, "HERE": here, "THERE": "\(mounts[1])/\(name)", "LOCAL": local,
        "HOME": cluster.directory, "LC_ALL": "C", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
      ]
    }

    func make() throws {
      for directory in [here, local] {
        try FileManager.default.createDirectory(
          atPath: directory, withIntermediateDirectories: false)
      }
    }
  }
}

extension Duration {
  var seconds: Double { self / .seconds(1) }
}
