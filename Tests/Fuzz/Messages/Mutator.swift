import DFSTestSupport

/// Makes frames that nobody should send out of frames that were sent. All chance is the seed's.
struct Mutator {
  var random: SplitMix64

  init(seed: UInt64, _ number: UInt64) {
    random = SplitMix64(seed: seed &* 0x9e37_79b9_7f4a_7c15 &+ number)
    _ = random.next()
  }

  /// Where numbers end, in one type or another, and where this system limits them.
  static let extremes: [UInt64] = {
    var numbers: [UInt64] = [0, 1, 2, 3, 4, 255, 256, 4096, 4097, 65_535, 65_536]
    for bits: UInt64 in [20, 31, 32, 40, 48, 53, 62, 63] {
      let power = UInt64(1) << bits
      numbers += [power - 1, power, power + 1]
    }
    return numbers + [UInt64.max, UInt64.max - 1, UInt64.max - 2, (UInt64(1) << 63) - 2]
  }()

  /// Those at which one more, or another type, is too much.
  private static let ends: [UInt64] = [
    .max, .max - 1, (1 << 63) - 1, 1 << 63, 1 << 53, (1 << 32) - 1,
  ]

  private mutating func extreme() -> UInt64 {
    random.chance(40) ? random.pick(Self.ends) : random.pick(Self.extremes)
  }

  private static let texts: [[UInt8]] = {
    let words = [
      "", ".", "..", "../../etc/passwd", "a/b", "\0", "\u{1b}[2J\n", "n,,n=Alice,r=x", "é",
    ]
    var texts = words.map { Array($0.utf8) }
    texts.append([0xff, 0xfe])
    texts.append([UInt8](repeating: 0x61, count: 256))
    texts.append([UInt8](repeating: 0x80, count: 70_000))
    return texts
  }()

  /// - Parameter others: frames that parts may be taken from.
  mutating func mutated(_ frame: RawFrame, _ others: [RawFrame]) -> RawFrame {
    var frame = frame
    for _ in 0..<(random.chance(70) ? 1 : 1 + random.below(4)) { change(&frame, others) }
    return frame
  }

  private mutating func change(_ frame: inout RawFrame, _ others: [RawFrame]) {
    switch random.below(100) {
    case ..<45: changeNumber(&frame)
    case ..<57: changeBytes(&frame)
    case ..<65: edit(&frame) { $0.remove(at: $1) }
    case ..<73:
      let times = random.chance(90) ? 1 + random.below(8) : random.below(6000)
      edit(&frame) { fields, index in
        fields.insert(contentsOf: Array(repeating: fields[index], count: times), at: index)
      }
    case ..<78:
      let number = UInt64(random.below(64))
      edit(&frame) { $0[$1].number = max(1, number) }
    case ..<83:
      guard let kind = frame.header.firstIndex(where: { $0.number >= 10 }) else { return }
      frame.header[kind].number = UInt64(10 + random.below(54))
    case ..<88:
      let other = random.pick(others).header
      if let part = other.last { edit(&frame) { $0[$1].value = part.value } }
    case ..<93:
      var body = frame.body
      if random.chance(50), !body.isEmpty {
        body.removeLast(1 + random.below(body.count))
      } else {
        body += [UInt8](repeating: 7, count: 1 + random.below(random.chance(80) ? 256 : 1 << 20))
      }
      frame.body = body
    case ..<97:
      // Deeper than any message is.
      var value = Value.bytes([])
      for _ in 0..<(10 + random.below(200)) { value = .message([Field(number: 1, value: value)]) }
      edit(&frame) { $0[$1].value = value }
    default: frame.header.append(contentsOf: random.pick(others).header)
    }
  }

  private mutating func changeNumber(_ frame: inout RawFrame) {
    let count = frame.header.count(\.isNumber)
    guard count > 0 else { return }
    var place = random.below(count)
    let number = random.chance(80) ? extreme() : random.next()
    frame.header.edit(&place, \.isNumber) { $0[$1].value.set(number) }
  }

  private mutating func changeBytes(_ frame: inout RawFrame) {
    let count = frame.header.count(\.isBytes)
    guard count > 0 else { return }
    var place = random.below(count)
    let (isText, text, seed) = (random.chance(50), random.pick(Self.texts), random.next())
    frame.header.edit(&place, \.isBytes) { fields, index in
      guard !isText, case .bytes(var bytes) = fields[index].value, !bytes.isEmpty else {
        fields[index].value = .bytes(text)
        return
      }
      var random = SplitMix64(seed: seed)
      for _ in 0...random.below(4) {
        bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      if random.chance(30) { bytes.removeLast(1 + random.below(bytes.count)) }
      fields[index].value = .bytes(bytes)
    }
  }

  /// What could be true: another answer to such a question, a number nearby, another bit. Unlike most of
  /// what `mutated` makes it can be decoded, and so the connection stays.
  mutating func plausible(_ frame: RawFrame, _ others: [RawFrame]) -> RawFrame {
    var frame = frame
    if !frame.body.isEmpty, random.chance(50) {
      flip(&frame.body)
    } else if random.chance(25) {
      frame = random.pick([frame] + others.filter { $0.kind == frame.kind })
    } else if random.chance(75) {
      let step = UInt64(1 + random.below(random.chance(80) ? 2 : 5000))
      let isLess = random.chance(50)
      var place = random.below(frame.header.count(\.isNumber))
      frame.header.edit(&place, \.isNumber) { $0[$1].value.move(by: step, isLess: isLess) }
    } else {
      var (place, copy) = (random.below(frame.header.count(\.isBytes)), random)
      frame.header.edit(&place, \.isBytes) { fields, index in
        guard case .bytes(var bytes) = fields[index].value, !bytes.isEmpty else { return }
        bytes[copy.below(bytes.count)] ^= 1 << UInt8(copy.below(8))
        fields[index].value = .bytes(bytes)
      }
    }
    return frame
  }

  private mutating func flip(_ bytes: inout [UInt8]) {
    bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
  }

  /// A whole session: some of its numbers are others wherever they are, and some frames are mutated.
  mutating func session(_ frames: [RawFrame]) -> [RawFrame] {
    var session = Array(frames.prefix(10 + random.below(90)))
    for _ in 0..<random.below(4) {
      var value: Value?
      let frame = random.pick(session)
      let numbers = frame.header.count(\.isNumber)
      guard numbers > 0 else { continue }
      var (place, copy) = (random.below(numbers), frame.header)
      copy.edit(&place, \.isNumber) { value = $0[$1].value }
      let number = extreme()
      guard let value else { continue }
      for index in session.indices { session[index].header.replace(value, by: number) }
    }
    let percent = random.pick([0, 3, 15])
    for index in session.indices where random.chance(percent) {
      session[index] = mutated(session[index], frames)
    }
    return session
  }

  private mutating func edit(_ frame: inout RawFrame, _ body: (inout [Field], Int) -> Void) {
    var place = random.below(frame.header.count { _ in true })
    frame.header.edit(&place, { _ in true }, body)
  }

  /// Bytes that are no frame, or lie about their lengths.
  mutating func broken(_ frame: RawFrame) -> [UInt8] {
    var bytes = frame.encoded
    switch random.below(4) {
    case 0: bytes.replaceSubrange(0..<4, with: RawFrame.number(length()))
    case 1: bytes.replaceSubrange(4..<8, with: RawFrame.number(length()))
    case 2: bytes.removeLast(1 + random.below(bytes.count - 1))
    default:
      for _ in 0...random.below(8) {
        bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
    }
    return bytes
  }

  private mutating func length() -> Int { Int(truncatingIfNeeded: extreme()) }
}

/// Each number of each frame at each extreme, one after the other.
struct Sweep: Sendable {
  private let places: [(frame: Int, place: Int)]
  private let frames: [RawFrame]

  init(_ frames: [RawFrame]) {
    self.frames = frames
    places = frames.indices.flatMap { frame in
      (0..<frames[frame].header.count(\.isNumber)).map { (frame, $0) }
    }
  }

  var count: Int { places.count * Mutator.extremes.count }

  subscript(_ index: Int) -> RawFrame {
    let index = index % max(1, count)
    var (frame, place) = (frames[places[index / Mutator.extremes.count].frame], 0)
    place = places[index / Mutator.extremes.count].place
    let number = Mutator.extremes[index % Mutator.extremes.count]
    frame.header.edit(&place, \.isNumber) { $0[$1].value.set(number) }
    return frame
  }
}
