internal import DFSCore
internal import DFSSystem
internal import DFSWire
internal import Glibc
internal import Logging

/// Where a server's key and certificate come from: files that its operator names, else
/// `DIR/.dfs/tls.pem`, which the server makes when it is not there.
enum ServerCertificate {
  /// Bytes of a file with a key or certificates.
  private static let bytesLimit = 1 << 20

  /// Blocks.
  /// - Throws: `configuration` with the file and the remedy.
  static func load(
    _ options: ServerOptions, directory: ServerDirectory, logger: Logger
  ) throws(DFSError) -> TLSIdentity {
    if let certificate = options.tlsCertificate, let key = options.tlsKey {
      let certificates = try SecretFile.read(certificate, limit: bytesLimit).bytes
      let identity = try identity(
        "\(certificate.printable) with \(key.printable)", certificates, try secret(key))
      logger.info("the certificate is \(identity.fingerprint)")
      return identity
    }
    let path = "\(directory.path)/.dfs/tls.pem"
    if access(path.systemPath, F_OK) != 0, errno == ENOENT {
      let pem = try SelfSignedCertificate.make(name: directory.name)
      do throws(DFSError) {
        try keep(pem, path)
        logger.info("made a key and a certificate, \(path.printable)")
      } catch {
        // A full or failing disk does not keep a server from serving what it has.
        logger.warning(
          "the certificate cannot be kept, so that the next start makes another: \(error)")
        return try identity(path.printable, Array(pem.utf8), Array(pem.utf8))
      }
    }
    let pem = try secret(path)
    return try identity("\(path.printable); remove it, and the next start makes another", pem, pem)
  }

  private static func identity(
    _ place: String, _ certificates: [UInt8], _ key: [UInt8]
  ) throws(DFSError) -> TLSIdentity {
    do throws(DFSError) {
      return try TLSIdentity(certificates: certificates, key: key)
    } catch {
      throw DFSError(.configuration, "\(error); see \(place)")
    }
  }

  private static func secret(_ path: String) throws(DFSError) -> [UInt8] {
    let (bytes, exposure) = try SecretFile.read(path, limit: bytesLimit)
    // A group may be for those who may read keys, as Debian's ssl-cert is.
    guard exposure & 0o007 == 0 else { throw SecretFile.exposed(path, "holds a key") }
    return bytes
  }

  /// A crash leaves it whole or absent.
  private static func keep(_ pem: String, _ path: String) throws(DFSError) {
    try UsersDisk.write(
      Array(pem.utf8), to: path + ".new", owner: (user: geteuid(), group: getegid()))
    guard rename((path + ".new").systemPath, path.systemPath) == 0 else {
      throw .system("cannot make \(path.printable)")
    }
    let directory = open(
      UsersDisk.directory(of: path).systemPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { close(directory) }
    guard directory >= 0, fsync(directory) == 0 else {
      throw .system("cannot sync \(path.printable)")
    }
  }
}
