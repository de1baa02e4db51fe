internal import DFSCommandLine
internal import DFSCore
import DFSRescue
internal import DFSStore
import DFSSystem
internal import Dispatch
internal import Foundation
internal import Synchronization

/// What `dfs rescue` prints. Paths that could not be rebuilt and the summary are results and go to
/// standard output; notes and the progress bar to standard error.
final class RescueOutput: Sendable {
  private let isJSON: Bool
  private let isQuiet: Bool
  /// The ticker of the bar, and whether the last line of the terminal is one.
  private let bar = Mutex<(ticker: (any DispatchSourceTimer)?, isShown: Bool)>((nil, false))

  init(isJSON: Bool, isQuiet: Bool) {
    self.isJSON = isJSON
    self.isQuiet = isQuiet
  }

  func tell(_ event: RescueEvent) {
    clearBar()
    switch event {
    case .note(let text):
      if !isQuiet { StandardError.write("dfs: \(text.printable)\n") }
    case .loss(let loss):
      if isJSON { return write(LossObject(loss)) }
      print("\(ByteText.text(of: loss.path).printable): \(loss.reason)")
    }
  }

  /// - Parameter place: where the files are, as it was named.
  func finish(_ summary: RescueSummary, _ request: Rescue.Request, place: String) {
    hideProgress()
    if isJSON { return write(SummaryObject(summary, request, place)) }
    guard !isQuiet else { return }
    print(Self.text(summary, request))
    if summary.refusedAttributes > 0 {
      StandardError.write(
        "dfs: \(summary.refusedAttributes) extended attributes could not be set there\n")
    }
    if !summary.hasOwners {
      StandardError.write("dfs: owners were not set, and no set-user-ID bits: that takes root\n")
    } else if summary.droppedBits > 0 {
      StandardError.write(
        "dfs: set-user-ID and set-group-ID bits of \(summary.droppedBits) files were dropped; "
          + "--privileged keeps them\n")
    }
  }

  private static func text(_ summary: RescueSummary, _ request: Rescue.Request) -> String {
    let others = [
      ("directories", summary.directories), ("symbolic links", summary.symlinks),
      ("hard links", summary.hardLinks), ("fifos, sockets and devices", summary.specials),
      ("without a name", summary.nameless),
    ]
    let list = others.filter { $0.1 > 0 }.map { "; \($0.0): \($0.1)" }.joined()
    return "rebuilt \(summary.files) files (\(summary.bytes) bytes) of \(request.user) in "
      + "\(request.output.printable)\(list); incomplete: \(summary.incomplete); "
      + "damaged databases: \(summary.damagedDatabases), copies: \(summary.damagedCopies)"
  }

  private func write(_ object: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    guard let data = try? encoder.encode(object) else { return }
    print(String(decoding: ByteText.escapingControls(inJSON: data), as: UTF8.self))
  }

  // MARK: The bar

  /// Shows a bar on a terminal from the second second on.
  func show(_ progress: RescueProgress) {
    guard !isQuiet, isatty(STDERR_FILENO) == 1 else { return }
    let ticker = DispatchSource.makeTimerSource(queue: .global())
    ticker.setEventHandler { [weak self] in self?.draw(progress) }
    ticker.schedule(deadline: .now() + 1, repeating: 0.2)
    bar.withLock { $0.ticker = ticker }
    ticker.resume()
  }

  private func draw(_ progress: RescueProgress) {
    let line = progress.sample()?.line(width: Self.width) ?? "reading the names …"
    bar.withLock { bar in
      guard bar.ticker != nil else { return }
      StandardError.write(Self.erase + line)
      bar.isShown = true
    }
  }

  /// The bar goes, and does not come again.
  func hideProgress() {
    bar.withLock { bar in
      bar.ticker?.cancel()
      bar.ticker = nil
    }
    clearBar()
  }

  private func clearBar() {
    bar.withLock { bar in
      if bar.isShown { StandardError.write(Self.erase) }
      bar.isShown = false
    }
  }

  private static let erase = "\r\u{1b}[K"

  private static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }
}

/// A line of `--json` for a path that could not be rebuilt.
private struct LossObject: Encodable {
  let kind = "incomplete"
  let path: String
  /// The bytes of the path in hexadecimal, if they are no UTF-8.
  let pathHexadecimal: String?
  let missingParts: [Int]
  let reason: String
  let isPartlyWritten: Bool

  init(_ loss: RescueLoss) {
    path = String(decoding: loss.path, as: UTF8.self)
    let isText = String(validating: loss.path, as: UTF8.self) != nil
    pathHexadecimal = isText ? nil : loss.path.hexadecimal
    missingParts = loss.missingParts.map(\.number)
    reason = loss.reason
    isPartlyWritten = loss.isPartlyWritten
  }
}

/// The last line of `--json`.
private struct SummaryObject: Encodable {
  let kind = "summary"
  let user: String
  let output: String
  /// The bytes of the path in hexadecimal, if they are no UTF-8.
  let outputHexadecimal: String?
  let files, directories, symlinks, hardLinks, specials, nameless: Int
  let bytes: UInt64
  let incomplete, damagedDatabases, damagedCopies, refusedAttributes, droppedBits: Int
  let hasOwners, isNamespaceWhole, isComplete: Bool

  init(_ summary: RescueSummary, _ request: Rescue.Request, _ place: String) {
    user = request.user.text
    let path = ByteText.bytes(of: place)
    output = String(decoding: path, as: UTF8.self)
    outputHexadecimal = ByteText.unicode(place) == nil ? path.hexadecimal : nil
    files = summary.files
    directories = summary.directories
    symlinks = summary.symlinks
    hardLinks = summary.hardLinks
    specials = summary.specials
    nameless = summary.nameless
    bytes = summary.bytes
    incomplete = summary.incomplete
    damagedDatabases = summary.damagedDatabases
    damagedCopies = summary.damagedCopies
    refusedAttributes = summary.refusedAttributes
    droppedBits = summary.droppedBits
    hasOwners = summary.hasOwners
    isNamespaceWhole = summary.isNamespaceWhole
    isComplete = summary.isComplete
  }
}
