/// Why a run could not be made; no fault of the system under test.
struct TortureFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
