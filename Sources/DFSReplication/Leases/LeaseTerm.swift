/// How long a read lease holds after the last sign of life, on either side.
///
/// Leases are those of Gray and Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache
/// Consistency" (SOSP 1989): a server shows no change before each holder has dropped what it changes, or its lease
/// has run out. Of clocks only the rates take part: a lease is safe as long as no client's clock runs slower than a
/// server's by more than `granted` / `trusted`.
public struct LeaseTerm: Hashable, Sendable {
  /// A server waits so long for a holder that it does not hear.
  public let granted: Duration
  /// A client trusts a lease for so long after it sent the last message that was answered.
  public let trusted: Duration

  /// - Parameter granted: three times `trusted` or more.
  public init(granted: Duration, trusted: Duration) {
    (self.granted, self.trusted) = (granted, trusted)
  }

  /// What servers and mounts use. Shorter than the silence after which a server counts as lost, so that those that wait
  /// for a holder that died are waited for.
  public static let standard = LeaseTerm(
    granted: .milliseconds(1500), trusted: .milliseconds(500))
}
