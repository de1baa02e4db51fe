import DFSCore
import DFSSystem
import DFSTestSupport
import Foundation
import Testing

/// What a service manager is told, over real sockets.
@Suite struct ServiceManagerTests {
  private static let names = [
    NSTemporaryDirectory() + "dfs-notify-\(getpid())", "@dfs-notify-\(getpid())",
  ]

  @Test(arguments: names) func itIsToldThroughItsSocket(_ name: String) async throws {
    let socket = try ManagerSocket(name)
    let manager = ServiceManager(socketPath: name)
    try manager.ready("listens on 127.0.0.1:10001\nREADY=0")
    #expect(
      try await socket.next() == ["READY=1", #"STATUS=listens on 127.0.0.1:10001\x0aREADY=0"#],
      "a status is one line")
    try manager.stopping("storing", within: 40)
    #expect(
      try await socket.next() == ["STOPPING=1", "STATUS=storing", "EXTEND_TIMEOUT_USEC=40000000"])
  }

  @Test func withoutAManagerNobodyIsTold() throws {
    try ServiceManager(socketPath: nil).ready("listens")
  }

  @Test(arguments: ["", "@", "relative", "/" + String(repeating: "x", count: 108)])
  func whatIsNoSocketIsRefused(_ name: String) {
    let error = #expect(throws: DFSError.self) {
      try ServiceManager(socketPath: name).ready("listens")
    }
    #expect(error?.message.contains("NOTIFY_SOCKET is '\(name)'") == true)
  }

  @Test func aManagerThatIsGoneIsAnError() {
    let error = #expect(throws: DFSError.self) {
      try ServiceManager(socketPath: "/nonexistent/notify").ready("listens")
    }
    #expect(error?.message.contains("No such file or directory") == true)
  }
}
