import DFSConfiguration
import DFSCore
import DFSTestSupport
import Foundation

/// Something between a client and its servers that records what passes, and maybe changes it.
///
/// Scripts find `RELAYED`, the dfc.conf whose four addresses are the relay's; `RECORD`, what has passed
/// through it; and the functions `relay` (starts it) and `unrelay` (ends it).
struct TLSRelay {
  enum Mode: String, CaseIterable {
    /// Passes bytes on as they are.
    case bytes
    /// Ends the encryption of the client, with a certificate of its own, and makes another one to the
    /// server: the man in the middle.
    case terminate
    /// Ends the encryption of the client and speaks plain with the server.
    case strip
    /// Answers as a release that knows no encryption: the downgrade.
    case old
  }

  let shell: Shell

  /// - Parameter encryption: what the relayed client's dfc.conf says.
  init(_ servers: FourServers, _ mode: Mode, encryption: Encryption = .always) throws {
    let directory = servers.directory
    let ports = try FourServers.freePorts(Limits.serverCount)
    let pairs = zip(ports, servers.addresses).map { "\($0):\($1.port)" }.joined(separator: " ")
    var text = "Encryption \(encryption.rawValue)\nUsername: \(FourServers.user)\n"
    text += "Password: \(FourServers.password)\n"
    for (port, address) in zip(ports, servers.addresses) {
      text += "Server \(address.name) 127.0.0.1:\(port)\n"
    }
    try Self.write(text, directory + "/relayed.conf")
    try Self.write(Self.program, directory + "/relay.py")
    try Self.write(
      """
      relay() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \\
          -subj /CN=relay -keyout $DIR/relay.key -out $DIR/relay.crt 2>/dev/null
        cat $DIR/relay.key $DIR/relay.crt > $DIR/relay.pem
        : > $RECORD
        python3 $DIR/relay.py \(mode.rawValue) $RECORD $DIR/relay.pem \(pairs) > $DIR/relay.out &
        relay_pid=$!
        trap unrelay EXIT
        for ((n = 0; n < 200; n++)); do
          if grep -q ready $DIR/relay.out; then return 0; fi
          sleep 0.05
        done
        echo 'the relay does not start' >&2; return 1
      }
      unrelay() { kill -9 $relay_pid 2>/dev/null || true; wait $relay_pid 2>/dev/null || true; }
      """, directory + "/relay.functions")
    shell = Shell([
      "DIR": directory, "CONF": servers.configurationFile, "RELAYED": directory + "/relayed.conf",
      "RECORD": directory + "/record", "BASH_ENV": directory + "/relay.functions",
    ])
  }

  private static func write(_ text: String, _ path: String) throws {
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
  }

  /// `relay.py MODE RECORD CERTIFICATE LISTEN:TARGET …`
  private static let program = """
    import socket, ssl, sys, threading
    mode, record, certificate = sys.argv[1:4]
    record = open(record, "ab", buffering=0)
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(certificate)
    outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outside.check_hostname = False
    outside.verify_mode = ssl.CERT_NONE

    def pump(a, b):
        try:
            while data := a.recv(65536):
                record.write(data)
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(client, target):
        try:
            if mode == "old":
                client.recv(65536)
                client.sendall(b"\\0\\0\\0\\5hello")
                return client.close()
            if mode in ("terminate", "strip"):
                client = inside.wrap_socket(client, server_side=True)
            server = socket.create_connection(("127.0.0.1", target))
            if mode == "terminate":
                server = outside.wrap_socket(server)
        except OSError:
            return client.close()
        threading.Thread(target=pump, args=(client, server), daemon=True).start()
        pump(server, client)

    def listen(socket, target):
        while True:
            client, _ = socket.accept()
            threading.Thread(target=serve, args=(client, target), daemon=True).start()

    threads = []
    for pair in sys.argv[4:]:
        port, target = map(int, pair.split(":"))
        listener = socket.create_server(("127.0.0.1", port))
        threads.append(threading.Thread(target=listen, args=(listener, target), daemon=True))
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()
    """
}
