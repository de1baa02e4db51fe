import DFSSystem
import DFSTestSupport
import Foundation
import Glibc

/// One run: sets the system up, lets clients and faults at it, looks at the end, judges and reports.
struct Run {
  /// What a call may take beyond the configured time: that counts from its last progress, and the
  /// machine may be busy.
  private static let slackSeconds = 5

  private let options: Options
  private let cluster: Cluster
  private let recorder: Recorder
  private let stop: StopFlag

  init(_ options: Options, in directory: String, stop: StopFlag) async throws {
    (self.options, self.stop) = (options, stop)
    recorder = Recorder(
      callLimitSeconds: Cluster.callTimeoutSeconds + Self.slackSeconds,
      options.isUndisturbed ? .sharing : .faults)
    cluster = try await Cluster(
      options.isUndisturbed ? Cluster.Plan.sharing(mounts: options.mounts) : Cluster.Plan.histories,
      in: directory, mountOptions: options.mountOptions)
  }

  /// - Returns: the exit status.
  func perform() async throws -> Int32 {
    let dfc = try DfcClient(
      title: "begin", configuration: cluster.dfcPlaces[0].configuration,
      directory: "\(cluster.directory)/begin.local")
    let made = try dfc.run(["mkdir"] + GroupKind.allCases.map(\.directory))
    guard made.status == 0 else { throw TortureFailure("no directories: \(made.errors)") }
    for place in cluster.mountPlaces { try await cluster.startMount(place) }
    let judge = Judge(recorder)
    let seconds = try await torture(judge)
    if options.isUndisturbed { return try lookAtSharing(judge, after: seconds) }
    var look = try FinalLook(cluster, recorder)
    try await waitUntilWritable(dfc)
    progress("looking at everything")
    try look.look()
    judge.judgeAll(look.events)
    return report(look.files, seconds: options.seconds)
  }

  private func lookAtSharing(_ judge: Judge, after seconds: Int) throws -> Int32 {
    var look = try SharingLook(cluster, recorder)
    progress("looking at everything")
    try look.look()
    judge.judgeAll(look.events)
    return report(look.files, kept: look.kept, seconds: seconds)
  }

  /// - Returns: how many seconds it took.
  private func torture(_ judge: Judge) async throws -> Int {
    let begin = Clock.now
    let drivers = Drivers(cluster, recorder, stop: stop)
    let faults = Faults(cluster: cluster, recorder: recorder, seed: options.seed, stop: stop)
    drivers.start(seed: options.seed)
    let isUndisturbed = options.isUndisturbed
    async let servers: Void = hurt { if !isUndisturbed { try await faults.hurtServers() } }
    async let mounts: Void = hurt { if !isUndisturbed { try await faults.hurtMounts() } }
    let end = ContinuousClock.now + .seconds(options.seconds)
    while ContinuousClock.now < end, !stop.isSet, recorder.problems.isEmpty,
      recorder.counts.acknowledged < options.operations ?? .max
    {
      try await Task.sleep(for: .milliseconds(500))
      judge.judgeResting()
      progress("\(recorder.counts.acknowledged) operations acknowledged")
    }
    stop.set()
    _ = try await (servers, mounts)
    try await eventually("the clients end", within: .seconds(2 * Drivers.answerSeconds)) {
      drivers.areDone
    }
    return Int((Clock.now - begin) / 1_000_000_000)
  }

  /// A fault that cannot be performed ends the run.
  private func hurt(_ body: () async throws -> Void) async throws {
    do {
      try await body()
    } catch {
      stop.set()
      throw error
    }
  }

  private func waitUntilWritable(_ dfc: DfcClient) async throws {
    try await eventually("a write is accepted at the end", within: .seconds(60)) {
      let made = try dfc.run(["mkdir", "-p", "end"])
      return made.status == 0
    }
  }

  // MARK: What is said

  private func progress(_ text: String) {
    guard isatty(2) == 1 else { return }
    let seconds = (Clock.now - recorder.origin) / 1_000_000_000
    FileHandle.standardError.write(
      Data("\r\u{1b}[K\(seconds) of \(options.seconds) s: \(text)".utf8))
  }

  private func report(_ filesRead: Int, kept: Int? = nil, seconds: Int) -> Int32 {
    if isatty(2) == 1 { FileHandle.standardError.write(Data("\r\u{1b}[K".utf8)) }
    let counts = recorder.counts
    if counts.callsTooLong > 0 {
      recorder.problem(
        .other,
        "\(counts.callsTooLong) calls on a mount took longer than the configured "
          + "\(Cluster.callTimeoutSeconds) s: \(counts.longCalls.joined(separator: "; "))")
    }
    let report = Report(
      recorder, seconds: seconds, seed: options.seed,
      filesReadAtEnd: filesRead, kept: kept)
    if !report.isGood {
      for problem in recorder.problems { Torture.say("\(problem.kind.rawValue): \(problem.text)") }
      Torture.say("what was done to the system:\n" + recorder.faultLog.joined(separator: "\n"))
    }
    print(options.isJSON ? report.json : report.line)
    return report.isGood ? 0 : 1
  }
}
