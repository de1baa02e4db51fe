import Foundation

/// What dfs.proto says of the messages, as far as tests need it.
struct ProtoSchema {
  struct Field {
    let name: String
    let number: UInt64
    let type: String
    let isRepeated: Bool
    /// The fields of a oneof exclude one another.
    let oneof: String?

    /// A number that is calculated with; identities and sets of bits are `fixed`.
    var isQuantity: Bool { ["uint32", "uint64", "int32", "int64"].contains(type) }
    var isFixed: Bool { type == "fixed32" || type == "fixed64" }
  }

  let messages: [String: [Field]]

  static func load() throws -> ProtoSchema {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources/DFSWire/dfs.proto").path
    return ProtoSchema(text: try String(contentsOfFile: path, encoding: .utf8))
  }

  init(text: String) {
    var messages: [String: [Field]] = [:]
    var stack: [(kind: String, name: String)] = []
    let code = text.split(separator: "\n").map { line in
      line.range(of: "//").map { String(line[..<$0.lowerBound]) } ?? String(line)
    }.joined(separator: " ")
    var words: [Substring] = []
    for token in code.replacingOccurrences(of: "{", with: " { ")
      .replacingOccurrences(of: "}", with: " } ").replacingOccurrences(of: ";", with: " ; ")
      .split(separator: " ")
    {
      switch token {
      case "{":
        stack.append((String(words[0]), words.count > 1 ? String(words[1]) : ""))
        if words[0] == "message" { messages[String(words[1])] = messages[String(words[1])] ?? [] }
        words = []
      case "}":
        stack.removeLast()
        words = []
      case ";":
        let message = stack.last { $0.kind == "message" }
        if let message, stack.last?.kind != "enum", let field = Self.field(words, stack.last) {
          messages[message.name, default: []].append(field)
        }
        words = []
      default: words.append(token)
      }
    }
    self.messages = messages
  }

  private static func field(_ words: [Substring], _ place: (kind: String, name: String)?) -> Field?
  {
    let words = words.filter { $0 != "optional" }
    guard let equals = words.firstIndex(of: "="), let number = UInt64(words[equals + 1]) else {
      return nil
    }
    return Field(
      name: String(words[equals - 1]), number: number, type: String(words[equals - 2]),
      isRepeated: words[0] == "repeated", oneof: place?.kind == "oneof" ? place?.name : nil)
  }
}

/// Bytes of any message of the schema.
struct ProtoSample {
  let schema: ProtoSchema
  /// What stands in the place of a number; by message and field.
  static let valid: [String: UInt64] = [
    "PartExtent.offset": 0, "PartExtent.length": 1, "RowKey.table": 2,
  ]

  /// The fields that lead from a message to another one or to a number.
  typealias Path = [ProtoSchema.Field]

  /// All ways to a number.
  func paths(of message: String, where isWanted: (ProtoSchema.Field) -> Bool) -> [Path] {
    (schema.messages[message] ?? []).flatMap { field -> [Path] in
      if isWanted(field) { return [[field]] }
      return paths(of: field.type, where: isWanted).map { [field] + $0 }
    }
  }

  /// A message with all its fields, of each oneof the one that is on the path (or the first), and
  /// `value` at the end of the path.
  func bytes(_ message: String, _ path: Path, value: UInt64?) -> [UInt8] {
    var bytes: [UInt8] = []
    var chosen: Set<String> = []
    for field in schema.messages[message] ?? [] {
      if let oneof = field.oneof {
        if let next = path.first, next.oneof == oneof {
          guard next.number == field.number else { continue }
        } else {
          guard chosen.insert(oneof).inserted else { continue }
        }
      }
      let isNext = path.first?.number == field.number
      bytes += encoded(
        field, in: message, rest: isNext ? Array(path.dropFirst()) : [],
        value: isNext ? value : nil, isEnd: isNext && path.count == 1)
    }
    return bytes
  }

  private func encoded(
    _ field: ProtoSchema.Field, in message: String, rest: Path, value: UInt64?, isEnd: Bool
  ) -> [UInt8] {
    let number = (isEnd ? value : nil) ?? Self.valid["\(message).\(field.name)"] ?? 1
    switch field.type {
    case "uint32", "uint64", "int64", "bool", "Table":
      return Self.tag(field.number, 0) + Self.varint(number)
    case "fixed64":
      if field.isRepeated { return [] }
      return Self.tag(field.number, 1) + withUnsafeBytes(of: number.littleEndian) { Array($0) }
    case "fixed32":
      let number = UInt32(truncatingIfNeeded: number)
      return Self.tag(field.number, 5) + withUnsafeBytes(of: number.littleEndian) { Array($0) }
    case "bytes", "string": return Self.tag(field.number, 2) + [1, UInt8(ascii: "a")]
    default:
      let inner = bytes(field.type, rest, value: value)
      return Self.tag(field.number, 2) + Self.varint(UInt64(inner.count)) + inner
    }
  }

  private static func tag(_ number: UInt64, _ wireType: UInt64) -> [UInt8] {
    varint(number << 3 | wireType)
  }

  static func varint(_ number: UInt64) -> [UInt8] {
    var (rest, bytes) = (number, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }
}
