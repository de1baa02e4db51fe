internal import DFSCore
internal import NIOPosix
internal import Synchronization

/// Who logs in, and with what password: the one of the password file, as it is by then, after a server
/// has refused the one before.
final class Account: Sendable {
  /// The password file of the configuration, where the password comes from there.
  private let file: String?
  private let current: Mutex<Credentials>

  var credentials: Credentials { current.withLock { $0 } }

  init(_ credentials: Credentials, _ configuration: ClientConfiguration) {
    let isConfigured = configuration.user ?? credentials.user == credentials.user
    file = isConfigured && configuration.password == nil ? configuration.passwordFile : nil
    current = Mutex(credentials)
  }

  /// Reads the password file again, if there is one, and then calls `done`, on one of `threads`.
  /// A file that cannot be read leaves the password as it is.
  func renew(on threads: NIOThreadPool, _ done: @escaping @Sendable () -> Void) {
    guard let file else { return done() }
    threads.submit { _ in
      if let password = try? PasswordSource.file(file).read() {
        self.current.withLock { $0 = Credentials(user: $0.user, password: password) }
      }
      done()
    }
  }
}
