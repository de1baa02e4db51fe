internal import DFSCore
internal import DFSWire

/// What servers say in words. It is shown to people and logged, so it is made harmless where it comes in:
/// control characters and line breaks are escaped, and it has at most `bound` characters.
enum ServerText {
  static let bound = 1000

  static func shown(_ text: String) -> String {
    let text = text.utf8.count > bound ? String(text.unicodeScalars.prefix(bound)) + "…" : text
    return text.printable
  }
}

extension DFSError {
  /// The error as a server told it, fit to be shown.
  var ofServer: DFSError { DFSError(code, ServerText.shown(description)) }
}

extension Reply {
  /// The answer with its words fit to be shown.
  var withShownText: Reply {
    switch self {
    case .failed(let error): return .failed(error.ofServer)
    case .health(var report):
      report.software = ServerText.shown(report.software)
      return .health(report)
    case .hello(let greeting):
      // Its identity is compared and hashed, never shown.
      return .hello(
        ServerGreeting(
          version: greeting.version, cluster: greeting.cluster,
          server: ServerText.shown(greeting.server), identity: greeting.identity,
          software: ServerText.shown(greeting.software), clusterID: greeting.clusterID))
    default: return self
    }
  }
}
