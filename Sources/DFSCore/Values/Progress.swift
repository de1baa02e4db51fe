/// How far a command is, and the line that says so.
public struct Progress: Sendable {
  /// Bytes that are to move, as far as it is known.
  public var total: UInt64 = 0
  /// Bytes that have moved.
  public var done: UInt64 = 0
  /// Files that are to move, as far as it is known.
  public var files = 0
  /// Files that have moved.
  public var finishedFiles = 0
  /// The file that `line` names, where it is the only one.
  public var name = ""
  /// What is done, as a word for people: `storing`.
  public var phase = ""
  /// When, and how many bytes were done then: the last seconds, for the rate.
  public var samples: [(time: ContinuousClock.Instant, done: UInt64)] = []

  private static let window = 25

  /// Nothing is known yet.
  public init() {}

  /// Notes for the rate how many bytes are done at `time`; the last 25 samples are kept.
  public mutating func sample(at time: ContinuousClock.Instant) {
    samples.append((time, done))
    if samples.count > Self.window { samples.removeFirst() }
  }

  /// Bytes a second, over the samples.
  public var rate: Double? {
    guard let first = samples.first, let last = samples.last, last.time > first.time,
      last.done > first.done
    else { return nil }
    let elapsed = first.time.duration(to: last.time) / Duration.seconds(1)
    return Double(last.done - first.done) / elapsed
  }

  /// `storing notes.iso [=====>    ]  45%  1.2 GiB of 2.7 GiB  310 MiB/s  0:05 left`
  public func line(width: Int) -> String {
    let fraction = total == 0 ? 1 : min(1, Double(done) / Double(total))
    var numbers = "\(Int(fraction * 100))%".leftPadded(to: 4)
    numbers += "  \(Self.size(done)) of \(Self.size(total))"
    if let rate {
      numbers += "  \(Self.size(UInt64(rate)))/s"
      numbers += "  \(Self.time(Double(total - min(done, total)) / rate)) left"
    }
    let subject = files > 1 ? "\(phase) \(finishedFiles) of \(files) files" : "\(phase) \(name)"
    let room = max(0, width - numbers.count - 4)
    let label =
      subject.count > room / 2 ? String(subject.prefix(max(0, room / 2 - 1))) + "…" : subject
    let length = min(40, room - label.count)
    guard length > 4 else { return String(numbers.prefix(max(0, width - 1))) }
    return "\(label) [\(Self.bar(fraction, length))] \(numbers)"
  }

  private static func bar(_ fraction: Double, _ length: Int) -> String {
    let filled = Int(fraction * Double(length))
    guard filled < length else { return String(repeating: "=", count: length) }
    return String(repeating: "=", count: filled) + ">"
      + String(repeating: " ", count: length - filled - 1)
  }

  /// `1.2 GiB`
  public static func size(_ bytes: UInt64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var (number, unit) = (Double(bytes), 0)
    while number >= 1000, unit < units.count - 1 { (number, unit) = (number / 1024, unit + 1) }
    guard unit > 0 else { return "\(bytes) B" }
    let tenths = Int((number * 10).rounded())
    return (tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(tenths / 10)") + " \(units[unit])"
  }

  /// `1:02:03` or `2:03`
  public static func time(_ seconds: Double) -> String {
    let whole = Int(min(seconds.rounded(.up), 360_000))
    let two = { (number: Int) in String(number).leftPadded(to: 2, with: "0") }
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    return hours > 0
      ? "\(hours):\(two(minutes)):\(two(whole % 60))" : "\(minutes):\(two(whole % 60))"
  }
}

extension String {
  /// The text with `character` in front up to `width` characters; longer text as it is.
  public func leftPadded(to width: Int, with character: Character = " ") -> String {
    String(repeating: character, count: max(0, width - count)) + self
  }

  /// The text with blanks behind it up to `width` characters; longer text as it is.
  public func rightPadded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
