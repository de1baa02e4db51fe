import DFSTestSupport
import Dispatch
import Foundation
import Glibc

/// dfs-torture: real servers, mounts and dfc calls under faults; what clients were told is judged.
/// Status 1 if a promise was broken, 2 if the run could not be made. `scripts/torture` builds and
/// runs it.
@main
struct Torture {
  static func main() async {
    signal(SIGPIPE, SIG_IGN)
    let words = Array(CommandLine.arguments.dropFirst())
    switch (words.first, words.count) {
    case ("--worker", 2): return Worker.run(mount: words[1])
    case ("--guard", 2): return Guard.run(over: words[1])
    default: await run(Options(words))
    }
  }

  private static func run(_ options: Options) async {
    var base = options.directory
    while base.count > 1, base.hasSuffix("/") { base.removeLast() }
    let directory = base + "/dfs-torture-" + UUID().uuidString
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
      let keeper = try Guard.start(over: directory)
      let (stop, interrupted) = (StopFlag(), StopFlag())
      let signals = [SIGINT, SIGTERM, SIGHUP].map { onSignal($0, stop, interrupted, keeper) }
      let status: Int32
      do {
        if let programs = options.programs {
          let run = try await ProgramRun(programs, options, in: directory, stop: stop)
          status = try await run.perform()
        } else {
          status = try await Run(options, in: directory, stop: stop).perform()
        }
      } catch {
        // That everything is being ended is why: who ends it ends this process.
        while interrupted.isSet { pause() }
        say("the run could not be made: \(error)")
        status = 2
      }
      keeper.end(keeps: options.keeps)
      if options.keeps { say("kept: \(directory)") }
      signals.forEach { $0.cancel() }
      exit(status)
    } catch {
      say("\(error)")
      exit(2)
    }
  }

  static func say(_ text: String) {
    FileHandle.standardError.write(Data("dfs-torture: \(text)\n".utf8))
  }

  private static func onSignal(
    _ number: Int32, _ stop: StopFlag, _ interrupted: StopFlag, _ keeper: Guard
  ) -> any DispatchSourceSignal {
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler {
      interrupted.set()
      stop.set()
      keeper.end(keeps: false)
      _exit(128 + number)
    }
    source.activate()
    return source
  }
}
