import DFSClient
import DFSCommandLine
import DFSCore
import DFSSystem

/// What `verify` found, in numbers.
struct VerifyTally {
  let everyCopy: Bool
  /// Servers that are not up in the end.
  var down: ServerSet = []

  private var files = 0
  private var copies = 0
  private var copiesRead = 0
  private var bytesRead: UInt64 = 0
  private var missing = 0
  private var damaged = 0
  /// Servers whose copies are missing.
  private var missingOn: ServerSet = []
  /// Files of which a part has no good copy, or whose content is not what its MD5 says.
  private var unreadableFiles = 0

  init(everyCopy: Bool) { self.everyCopy = everyCopy }

  mutating func add(_ verdict: FileCheck.Verdict) {
    files += 1
    copies += verdict.copies
    copiesRead += verdict.copiesRead
    bytesRead += verdict.bytesRead
    unreadableFiles += verdict.isReadable ? 0 : 1
    for copy in verdict.bad {
      if copy.fault == .damaged {
        damaged += 1
      } else {
        missing += 1
        missingOn.insert(copy.server)
      }
    }
  }

  var status: ExitStatus {
    if unreadableFiles > 0 { return .incomplete }
    return missing + damaged > 0 ? .failed : .success
  }

  /// `120 files, 960 copies, 1.2 GiB read back: 3 copies missing (DFS2 is down), 1 damaged`
  var text: String {
    let read = everyCopy ? "" : " (\(copiesRead) in full)"
    return "\(Self.count(files, "file")), \(Self.count(copies, "copy", "copies"))\(read), "
      + "\(Progress.size(bytesRead)) read back: \(finding)"
  }

  private var finding: String {
    var findings: [String] = []
    if missing > 0 { findings.append("\(Self.count(missing, "copy", "copies")) missing\(reason)") }
    if damaged > 0 {
      let noun = findings.isEmpty ? (damaged == 1 ? " copy" : " copies") : ""
      findings.append("\(damaged)\(noun) damaged")
    }
    if unreadableFiles > 0 {
      findings.append("\(Self.count(unreadableFiles, "file")) with a part that has no good copy")
    }
    return findings.isEmpty ? "all good" : findings.joined(separator: ", ")
  }

  private var reason: String {
    let absent = missingOn.intersection(down)
    guard !absent.isEmpty else { return "" }
    return " (\(absent) \(absent.count == 1 ? "is" : "are") down)"
  }

  private static func count(_ number: Int, _ one: String, _ many: String? = nil) -> String {
    "\(number) \(number == 1 ? one : many ?? one + "s")"
  }

  func json(at time: Timestamp) -> JSONObject {
    var object = JSONObject()
    object["command"] = "verify"
    object["kind"] = "summary"
    object["time"] = time.universal
    object["all"] = everyCopy
    object["files"] = files
    object["copies"] = copies
    object["copiesRead"] = copiesRead
    object["bytesRead"] = bytesRead
    object["good"] = copies - missing - damaged
    object["missing"] = missing
    object["damaged"] = damaged
    object["unreadableFiles"] = unreadableFiles
    object["down"] = down.servers.map(\.description)
    return object
  }
}
