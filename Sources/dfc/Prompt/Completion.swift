import DFSClient
import DFSCore
import DFSSystem
import Dispatch
import Foundation
import Synchronization

/// What the TAB key does to the line of the prompt: completes a command, a name on the servers or a
/// local one, as far as it is the only one, and shows those that it may be.
struct Completion: Sendable {
  /// How long a key may wait for the servers.
  private static let patience = DispatchTimeInterval.seconds(3)
  /// Names that are shown.
  private static let shownNames = 100

  /// What is inserted at the cursor.
  private(set) var text = ""
  /// What the word may become, if it is not clear.
  private(set) var names: [String] = []

  /// Blocks, `patience` at most.
  /// - Parameter line: up to the cursor (`ByteText`).
  init(_ line: String, in session: Session) {
    guard let unfinished = Words.unfinished(line) else { return }
    take(Self.candidates(unfinished, session), unfinished)
  }

  /// A candidate is the whole word; those that end with a slash go on.
  private mutating func take(_ candidates: [[UInt8]], _ unfinished: Words.Unfinished) {
    guard let first = candidates.first else { return }
    let common = candidates.dropFirst().reduce(first[...]) { common, next in
      common.prefix(zip(common, next).prefix { $0 == $1 }.count)
    }
    // Not into the middle of a character.
    let isOnly = candidates.count == 1
    let whole = isOnly ? common : common[..<Self.characters(common)]
    guard let more = unfinished.quoted(whole.dropFirst(unfinished.last.count)) else { return }
    text = more
    if isOnly, common.last != UInt8(ascii: "/") { text += unfinished.end }
    guard !isOnly, text.isEmpty else { return }
    names = candidates.prefix(Self.shownNames).map { candidate in
      let slash = candidate.dropLast().lastIndex(of: UInt8(ascii: "/"))
      return ByteText.text(of: candidate[(slash.map { $0 + 1 } ?? 0)...]).printable
    }
    if candidates.count > names.count { names.append("… \(candidates.count) in all") }
  }

  /// Bytes of the characters that are whole.
  private static func characters(_ bytes: ArraySlice<UInt8>) -> Int {
    var end = bytes.endIndex
    while end > bytes.startIndex, String(validating: bytes[..<end], as: UTF8.self) == nil,
      bytes.endIndex - end < 4
    {
      end -= 1
    }
    return end
  }

  // MARK: Candidates

  private static func candidates(
    _ unfinished: Words.Unfinished, _ session: Session
  ) -> [[UInt8]] {
    guard let command = unfinished.words.first else { return commands(unfinished.last) }
    for operand in Commands.find(command)?.operands ?? [] {
      let found =
        switch operand {
        case .command: commands(unfinished.last)
        case .local: local(unfinished.last)
        case .remote: remote(unfinished.last, session)
        }
      if !found.isEmpty { return found }
    }
    return []
  }

  private static func commands(_ start: [UInt8]) -> [[UInt8]] {
    let start = ByteText.text(of: start).lowercased().utf8
    return Commands.words.map { Array($0.utf8) }.filter { $0.starts(with: start) }
  }

  private static func split(_ word: [UInt8]) -> (directory: [UInt8], name: ArraySlice<UInt8>) {
    let slash = word.lastIndex(of: UInt8(ascii: "/"))
    return slash.map { (Array(word[...$0]), word[($0 + 1)...]) } ?? ([], word[...])
  }

  private static func local(_ word: [UInt8]) -> [[UInt8]] {
    let (directory, start) = split(word)
    let place = directory.isEmpty ? LocalPath(".") : LocalPath(directory)
    let names = (try? place.names()) ?? []
    return complete(directory, start, names.map(\.bytes)) { name in
      let path = (try? FileName(name)).map { place.appending($0) }
      return ((try? path?.status()) ?? nil)?.isDirectory ?? false
    }
  }

  private static func remote(_ word: [UInt8], _ session: Session) -> [[UInt8]] {
    let (directory, start) = split(word)
    let items = waiting {
      let service = try await session.service()
      let path = try RemotePath(bytes: directory)
      return try await service.list(path.resolve(on: service).id, .current)
    }
    let kinds = Dictionary((items ?? []).map { ($0.name.bytes, $0.inode.kind) }) { $1 }
    return complete(directory, start, Array(kinds.keys)) { kinds[$0] == .directory }
  }

  private static func complete(
    _ directory: [UInt8], _ start: ArraySlice<UInt8>, _ names: [[UInt8]],
    isDirectory: ([UInt8]) -> Bool
  ) -> [[UInt8]] {
    // Hidden names only for who begins with their dot.
    let isHidden = { (name: [UInt8]) in name.first == UInt8(ascii: ".") && start.isEmpty }
    return names.filter { $0.starts(with: start) && !isHidden($0) }
      .sorted { $0.lexicographicallyPrecedes($1) }
      .map { directory + $0 + (isDirectory($0) ? [UInt8(ascii: "/")] : []) }
  }

  /// The result of a task, on a thread that may wait for it; nil if it fails or takes too long.
  private static func waiting<Value: Sendable>(
    _ work: @escaping @Sendable () async throws -> Value
  ) -> Value? {
    let (done, answer) = (DispatchSemaphore(value: 0), Answer<Value>())
    let task = Task {
      let value = try? await work()
      answer.value.withLock { $0 = value }
      done.signal()
    }
    if done.wait(timeout: .now() + patience) == .timedOut { task.cancel() }
    return answer.value.withLock { $0 }
  }

  private final class Answer<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
  }
}
