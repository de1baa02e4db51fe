internal import DFSCore
internal import DFSSystem

/// The limits of the numbers in dfc.conf.
enum ConfigurationLimits {
  /// Bytes.
  static let spool: ClosedRange<UInt64> = 16 << 20...8 << 50
  static let spoolMemory: ClosedRange<UInt64> = 0...1 << 30
  static let readCache: ClosedRange<UInt64> = 4 << 20...64 << 30
  static let healRate: ClosedRange<UInt64> = 1 << 20...64 << 30
  static let rows = 1_000...100_000_000
  /// Milliseconds.
  static let call = 2_000...3_600_000
  static let connect = 1_000...60_000
  static let hedge = 10...2_000
}

/// The text of one setting, and what can be read from it.
struct ConfigurationValue {
  /// The keyword, for messages.
  let key: String
  let text: String

  private func wrong(_ remedy: String) -> DFSError {
    DFSError(.configuration, "\(key) '\(text.printable)' \(remedy)")
  }

  // MARK: Words

  /// A name of the alphabet of user names.
  func name() throws(DFSError) -> String {
    do throws(DFSError) {
      return try UserName(text).text
    } catch {
      throw wrong(
        "is not a name: 1 to \(Limits.userNameBytes) of A–Z a–z 0–9 . _ @ -, not beginning with a dot"
      )
    }
  }

  func choice<Choice: RawRepresentable & CaseIterable>(of type: Choice.Type) throws(DFSError)
    -> Choice where Choice.RawValue == String
  {
    if let choice = Choice(rawValue: text.lowercased()) { return choice }
    throw wrong("is not known; use " + Choice.allCases.map(\.rawValue).joined(separator: " or "))
  }

  /// A path: `~/` is the home directory, a relative one starts where the file `path` is.
  func path(besides path: String) -> String {
    if text.utf8.starts(with: "~/".utf8), let home = ByteText.environment("HOME") {
      return home + text.dropFirst(1)
    }
    let slash = UInt8(ascii: "/")
    guard text.utf8.first != slash, let last = path.utf8.lastIndex(of: slash) else { return text }
    return path[...last] + text
  }

  // MARK: Numbers

  /// Bytes: a whole number, with K, M, G or T (powers of 1024) or without a unit.
  func bytes(in limits: ClosedRange<UInt64>) throws(DFSError) -> UInt64 {
    let (digits, unit) = parts
    let shifts = ["": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40]
    let short = unit.hasSuffix("ib") ? String(unit.dropLast(2)) : unit
    guard let number = UInt64(digits), let shift = shifts[short] else {
      throw wrong("is not a size; write bytes as a whole number, or with K, M, G or T, such as 64M")
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: 1 << UInt64(shift))
    guard !overflow, limits.contains(product) else {
      throw wrong(
        "is out of range: \(Self.size(limits.lowerBound)) to \(Self.size(limits.upperBound))")
    }
    return product
  }

  func count(in limits: ClosedRange<Int>) throws(DFSError) -> Int {
    guard let number = Int(text) else { throw wrong("is not a whole number") }
    guard limits.contains(number) else {
      throw wrong("is out of range: \(limits.lowerBound) to \(limits.upperBound)")
    }
    return number
  }

  /// A duration with its unit, ms or s. The limits are milliseconds.
  func milliseconds(in limits: ClosedRange<Int>) throws(DFSError) -> Int {
    let (digits, unit) = parts
    let factors = ["ms": 1, "s": 1000]
    guard let number = Int(digits), let factor = factors[unit] else {
      throw wrong("is not a duration; write a whole number with its unit, such as 500ms or 5s")
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    guard !overflow, limits.contains(product) else {
      throw wrong(
        "is out of range: \(Self.duration(limits.lowerBound)) to "
          + Self.duration(limits.upperBound))
    }
    return product
  }

  func seconds(in limits: ClosedRange<Int>) throws(DFSError) -> Int {
    let milliseconds = try milliseconds(in: limits)
    guard milliseconds.isMultiple(of: 1000) else { throw wrong("is not a whole number of seconds") }
    return milliseconds / 1000
  }

  /// The digits at the front, and the unit after them in lower case.
  private var parts: (digits: String, unit: String) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let unit = text[digits.endIndex...].drop { $0.isWhitespace }
    return (String(digits), unit.lowercased())
  }

  private static func size(_ bytes: UInt64) -> String {
    let units = ["", "K", "M", "G", "T"]
    var (number, unit) = (bytes, 0)
    while number >= 1024, number.isMultiple(of: 1024), unit < units.count - 1 {
      (number, unit) = (number / 1024, unit + 1)
    }
    return "\(number)\(units[unit])"
  }

  private static func duration(_ milliseconds: Int) -> String {
    milliseconds.isMultiple(of: 1000) ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
  }

  // MARK: Servers

  /// `DFS1 HOST:PORT`, `DFS1 HOST PORT`, `DFS1 [IPv6]:PORT`; each may be followed by the fingerprint
  /// of the server's certificate.
  func server() throws(DFSError) -> (ServerIndex, ServerAddress) {
    var words = text.split { $0.isWhitespace }.map(String.init)
    var fingerprint: CertificateFingerprint?
    if let last = words.last, CertificateFingerprint.isMeant(by: last) {
      fingerprint = CertificateFingerprint(text: last)
      guard fingerprint != nil else {
        throw DFSError(
          .configuration,
          "'\(last.printable)' is not a fingerprint; write the one that the server prints when it starts: "
            + "SHA256: and 43 characters")
      }
      words.removeLast()
    }
    let name = words.first.map { $0.trimmed(of: { $0 == ":" }).uppercased() } ?? ""
    guard let index = ServerIndex.all.first(where: { $0.description == name }) else {
      throw wrong("names no server; the servers are DFS1, DFS2, DFS3 and DFS4")
    }
    let (host, port) = try Self.hostAndPort(words.dropFirst(), of: index)
    return (
      index, ServerAddress(name: name, host: host, port: port, fingerprint: fingerprint)
    )
  }

  private static func hostAndPort(_ words: ArraySlice<String>, of server: ServerIndex)
    throws(DFSError) -> (String, Int)
  {
    let remedy = "write 'Server \(server) HOST:PORT', an IPv6 address as [ADDRESS]:PORT"
    guard let first = words.first, words.count <= 2 else {
      throw DFSError(.configuration, "server \(server) needs one address; \(remedy)")
    }
    var (host, port) = (first, words.count == 2 ? words.last : nil)
    if port == nil, let colon = first.lastIndex(of: ":") {
      (host, port) = (String(first[..<colon]), String(first[first.index(after: colon)...]))
    }
    guard let port else {
      throw DFSError(
        .configuration, "server \(server) at '\(first.printable)' has no port; \(remedy)")
    }
    // `HOST: PORT` and `HOST :PORT` are one colon away from what is documented.
    if words.count == 2, host.hasSuffix(":"), !host.hasSuffix("::") { host.removeLast() }
    guard let number = Int(port.trimmed(of: { $0 == ":" })), (1...65535).contains(number) else {
      throw DFSError(
        .configuration, "server \(server) has the port '\(port.printable)'; ports are 1 to 65535")
    }
    guard let bare = Self.bare(host: host, isAlone: words.count == 2) else {
      throw DFSError(
        .configuration, "server \(server) at '\(host.printable)' is not a host; \(remedy)")
    }
    return (bare, number)
  }

  /// A host name or address without brackets; nil if it is none. An IPv6 address that is not in
  /// brackets must be alone, else its end cannot be told from a port.
  private static func bare(host: String, isAlone: Bool) -> String? {
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.count > 2
    let inner = isBracketed ? String(host.dropFirst().dropLast()) : host
    let isIPv6 = inner.contains(":")
    guard isIPv6 ? isBracketed || isAlone : !isBracketed else { return nil }
    let allowed: (UInt8) -> Bool = { byte in
      isIPv6
        ? "0123456789abcdefABCDEF:.%".utf8.contains(byte) || inner.contains("%")
        : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._".utf8.contains(byte)
    }
    guard !inner.isEmpty, inner.utf8.count <= 253, inner.utf8.allSatisfy(allowed) else {
      return nil
    }
    return inner
  }
}
