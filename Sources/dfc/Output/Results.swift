import DFSCore
import Foundation

/// One object of `--json`: a line of JSON with its keys in order.
struct JSONObject: Encodable {
  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private var fields: [(key: String, value: any Encodable)] = []

  subscript(_ key: String) -> (any Encodable)? {
    get { fields.first { $0.key == key }?.value }
    set { if let newValue { fields.append((key, newValue)) } }
  }

  /// A name or a path: its text, and its bytes in hexadecimal too if they are no UTF-8.
  mutating func set(_ key: String, _ bytes: [UInt8]) {
    self[key] = String(decoding: bytes, as: UTF8.self)
    let isText = String(validating: bytes, as: UTF8.self) != nil
    if !isText { self[key + "Hexadecimal"] = bytes.hexadecimal }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    for field in fields {
      try container.encode(field.value, forKey: Key(stringValue: field.key))
    }
  }

  func line() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    return ByteText.escapingControls(inJSON: try encoder.encode(self)) + [UInt8(ascii: "\n")]
  }
}

extension JSONObject {
  /// Which content of a file something is about; nothing if the file is one content.
  mutating func set(_ place: ContentPlace) {
    switch place {
    case .whole: return
    case .base: self["content"] = "base"
    case .layer(let number):
      self["content"] = "layer"
      self["layer"] = number
    }
  }

  /// A command's failure, for who reads its results.
  /// - Parameter name: the text of a name or a path (`ByteText`).
  static func failure(_ command: String, _ name: String, _ error: any Error) -> JSONObject {
    var object = JSONObject()
    object["command"] = command
    object.set("name", ByteText.bytes(of: name))
    object["error"] = (error as? DFSError)?.code.rawValue ?? "failed"
    object["message"] = "\(error)"
    return object
  }
}

extension Inode {
  /// `drwxr-xr-x`
  var modeText: String {
    let kinds: [FileKind: String] = [
      .regular: "-", .directory: "d", .symlink: "l", .fifo: "p", .socket: "s",
      .characterDevice: "c", .blockDevice: "b",
    ]
    let bits = (0..<9).map { index in
      mode & (0o400 >> UInt32(index)) != 0 ? ["r", "w", "x"][index % 3] : "-"
    }
    return (kinds[kind] ?? "?") + bits.joined()
  }

  /// `file`, `directory`, `link` …, for JSON.
  var kindText: String { kind == .regular ? "file" : "\(kind)" }
}
