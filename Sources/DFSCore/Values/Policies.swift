/// What a user chooses in dfc.conf and other modules act on.

/// Which connections to servers are encrypted (TLS 1.3).
public enum Encryption: String, Sendable, Hashable, CaseIterable {
  /// All but those to loopback addresses of this machine.
  case auto
  case always
  /// None. The servers must be started with `--plaintext`.
  case off
}

/// How many servers a write needs (key `Writes`, mount option `writes=`).
public enum WritePolicy: String, Sendable, Hashable, CaseIterable {
  /// All four servers must be up, else a write is refused at once.
  case all
  /// Three servers are enough.
  case quorum

  /// How many servers that is.
  public var serverCount: Int { self == .all ? Limits.serverCount : Limits.quorum }
}
