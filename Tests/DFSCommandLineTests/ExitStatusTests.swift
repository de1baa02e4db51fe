import DFSCommandLine
import DFSCore
import Testing

/// The exit statuses that docs/OPERATIONS.md promises.
@Suite struct ExitStatusTests {
  @Test(arguments: [
    (DFSError.Code.loginFailed, Int32(3)), (.incomplete, 4), (.serversMissing, 5),
    (.disconnected, 5), (.configuration, 64), (.cancelled, 130), (.notFound, 1), (.noSpace, 1),
  ])
  func errorsHaveTheirStatus(_ code: DFSError.Code, _ status: Int32) {
    #expect(ExitStatus(of: DFSError(code, "a test")).rawValue == status)
  }

  @Test func otherErrorsAreFailures() {
    struct Other: Error {}
    #expect(ExitStatus(of: Other()) == .failed)
    #expect(ExitStatus(of: CancellationError()) == .interrupted)
  }
}
