import Testing

@testable import DFSMount

@Suite struct PagesInFlightTests {
  private let pages = PagesInFlight()

  /// Only those that were asked for after the write, wherever they are told of.
  @Test func whatIsReadSinceAWriteIsStale() {
    pages.noteRead(0..<65536, 5)
    pages.noteRead(0..<4096, 12)
    pages.beginWrite(4000..<20000, 10)
    pages.noteRead(8192..<12288, 9)
    pages.noteRead(16384..<40960, 11)
    pages.noteRead(20480..<40960, 13)
    #expect(pages.endWrite(10) == [4000..<4096, 16384..<20000])
    #expect(pages.endWrite(10).isEmpty)
  }

  /// The last ones are enough: others that came before a write did so long before.
  @Test func manyReadsTakeNoMoreRoom() {
    for number in 0..<100_000 { pages.noteRead(0..<4096, UInt64(number)) }
    pages.beginWrite(0..<10, 100_000)
    #expect(pages.endWrite(100_000).isEmpty)
    pages.beginWrite(0..<10, 99_990)
    #expect(pages.endWrite(99_990) == [0..<10])
  }
}
