internal import ArgumentParser
internal import DFSCommandLine
import DFSConfiguration
internal import DFSCore
internal import DFSMount
import DFSSystem
internal import Glibc
internal import Logging

/// Where dfs-mount begins.
@main enum Main {
  static func main() async { await Program.run(DfsMount.self) }
}

/// The executable of the mount: arguments in, exit status out.
struct DfsMount: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dfs-mount",
    abstract: "Mounts a user's files, which four servers keep.",
    usage: """
      dfs-mount [CONF] MOUNTPOINT [-f] [-o OPTION[,OPTION]…] …
      dfs-mount --unmount MOUNTPOINT [--lazy]
      """,
    discussion: """
      Without CONF it is the file that DFS_CONF names, else ~/.config/dfs/dfc.conf, else /etc/dfs/dfc.conf.

      Goes to the background once the mount answers; what hinders it is said within 10 seconds. A \
      mount that a killed process left is replaced. SIGTERM and SIGINT unmount.

      Unmounting waits until all that was written is stored, but with --lazy.

      Closing a written file stores it on the servers and returns the error if that fails; the log \
      says which servers and why.

      OPTIONS of -o: ro; allow_other (others may use the mount; mounted by root, files then belong \
      to whom they were given, else all belong to who mounted); default_permissions (is always on: \
      the kernel checks owner and mode); uid=N, gid=N, umask=OCTAL (what is \
      shown); writes=all|quorum (servers that a write needs: all four, or three; \
      quorum, unless dfc.conf says otherwise); heal=on|off; entry_timeout=S, attr_timeout=S (seconds for which the kernel \
      answers from its memory what it is told changes of; 60); locks=cluster or mount (where locks of files hold: in all mounts of the user, or in this one); layers=auto or always (always: store each change of a file as a layer over it); \
      relatime (reading moves times of access: a change on the servers for a first read); fsname=NAME, subtype=NAME; and the flags of mount(8): nosuid, \
      nodev, noexec, noatime, sync, dirsync, auto_unmount, …

      \(ExitStatus.help)
      """,
    version: "dfs-mount \(Release.version)")

  @Argument(help: "dfc.conf, which names the servers and the user.", completion: .file())
  var conf: String?

  @Argument(help: "The directory to mount on.", completion: .directory)
  var mountpoint: String?

  @Flag(name: [.customShort("f"), .long], help: "Stay in the foreground; log to standard error.")
  var foreground = false

  @Option(
    name: [.customShort("o"), .customLong("options")],
    help: ArgumentHelp("Mount options, as above.", valueName: "option,…"))
  var options: [String] = []

  @Option(help: "The log. (default: a file in the cache directory; with -f standard error)")
  var logFile: String?

  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = Logger.Level.info

  @Option(help: "Read the password from the first line of this file.")
  var passwordFile: String?

  @Option(help: "Read the password from this file descriptor.")
  var passwordFd: Int32?

  @Option(help: ArgumentHelp("Report to this descriptor when mounted.", visibility: .hidden))
  var statusFd: Int32?

  @Option(help: ArgumentHelp("Unmount this directory.", valueName: "mountpoint"))
  var unmount: String?

  @Flag(
    help: """
      With --unmount: at once, though files be open; they go on until they are closed, and the \
      process of the mount then stores what is left to store.
      """)
  var lazy = false

  func validate() throws {
    if unmount == nil, conf == nil {
      throw ValidationError("give the directory to mount on, after the configuration if need be")
    }
    if unmount != nil, conf != nil {
      throw ValidationError("--unmount takes one directory, and no configuration")
    }
  }

  func run() async throws {
    do {
      if let unmount {
        try await Unmounting.run(Mountpoint.resolve(unmount), lazily: lazy)
      } else if let first = conf {
        let conf = try mountpoint == nil ? ClientConfiguration.standardPath() : first
        try await mount(ByteText.absolute(conf), on: Mountpoint.resolve(mountpoint ?? first))
      }
    } catch let error as DFSError {
      try end(ExitStatus(of: error).rawValue, "\(error)")
    }
  }

  private func mount(_ conf: String, on mountpoint: String) async throws {
    let client = try ClientConfiguration.read(path: conf)
    var configuration = try MountConfiguration(mountpoint: mountpoint, client: client)
    configuration.options = try MountOptions(parsing: options)
    if let writes = configuration.options.writes { configuration.writes = writes }
    let credentials = try Credentials.of(client, source: passwordSource)
    if foreground {
      // After a change of the password the mount goes on with what the files then say.
      let renewable = RenewableCredentials(
        credentials, configuration: conf, passwordFile: passwordFile.map(ByteText.absolute))
      try await serve(client, configuration, renewable)
    } else {
      let log = logFile.map(ByteText.absolute) ?? configuration.defaultLogFile
      let background = Background(
        arguments: backgroundArguments(conf, mountpoint, log), mountpoint: mountpoint, logFile: log)
      let (status, message) = try background.start(password: credentials.password)
      if status != 0 { try end(status, message) }
    }
  }

  private func serve(
    _ client: ClientConfiguration, _ configuration: MountConfiguration,
    _ credentials: RenewableCredentials
  ) async throws {
    let logger = LogOutput(
      level: logLevel, descriptor: try logFile.map(LogFile.open)
    ).logger(label: "dfs-mount")
    let report = statusFd.map { StatusPipe(descriptor: $0) }
    do {
      try await MountProcess(client, configuration, logger: logger).run(credentials) { state in
        if state == .mounted { report?.report(0, "mounted") }
        tellManager(state, configuration, logger)
      }
    } catch {
      let error = error as? DFSError ?? DFSError(.inputOutput, "\(error)")
      logger.error("\(error)")
      report?.report(ExitStatus(of: error).rawValue, "\(error)")
      throw error
    }
  }

  /// Only a process that stays in the foreground is the service that its manager started.
  private func tellManager(
    _ state: MountProcess.State, _ configuration: MountConfiguration, _ logger: Logger
  ) {
    guard statusFd == nil else { return }
    let manager = ServiceManager()
    do throws(DFSError) {
      switch state {
      case .mounted: try manager.ready("mounted on \(configuration.mountpoint)")
      case .ending:
        try manager.stopping(
          "storing what was written", within: configuration.callTimeoutSeconds + 10)
      }
    } catch { logger.warning("\(error)") }
  }

  /// The same mount, served in the foreground of a process of its own.
  private func backgroundArguments(
    _ conf: String, _ mountpoint: String, _ log: String
  ) -> [String] {
    [
      "--foreground", "--status-fd=\(Background.statusDescriptor)",
      "--password-fd=\(Background.passwordDescriptor)", conf, mountpoint, "--log-file=\(log)",
      "--log-level=\(logLevel)",
    ] + options.flatMap { ["-o", $0] }
      + (passwordFile.map { ["--password-file=\(ByteText.absolute($0))"] } ?? [])
  }

  private var passwordSource: PasswordSource? {
    passwordFd.map(PasswordSource.descriptor) ?? passwordFile.map(PasswordSource.file)
  }

  private func end(_ status: Int32, _ message: String) throws -> Never {
    StandardError.write("dfs-mount: \(message.printableLines)\n")
    throw ExitCode(status)
  }
}

extension ExitStatus {
  fileprivate static let help = """
    EXIT STATUS: 0 mounted (or unmounted); 1 failed; 3 wrong user name or password; 5 fewer than two \
    servers answered; 64 usage error or configuration; 130 interrupted. The message says why.
    """
}
