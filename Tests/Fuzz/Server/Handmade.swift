/// Sessions of requests that undisturbed programs send too rarely to be recorded: a server is refilled
/// with rows, copies are synced and dropped. Made of what was recorded, so that they fit its state.
struct Handmade {
  private let view: Value
  private let part: Value
  private let rows: [Field]
  private let changes: [Field]

  /// Nil if a view was not recorded.
  init?(requests: [RawFrame], answers: [RawFrame]) {
    func inner(_ frame: RawFrame) -> [Field] {
      frame.header.bytes(frame.kind).flatMap { [Field]($0[...]) } ?? []
    }
    let steps = requests.filter { $0.kind == 14 }.map(inner)
    guard let view = steps.lazy.compactMap({ $0.first { $0.number == 1 }?.value }).first else {
      return nil
    }
    self.view = view
    part =
      requests.filter { $0.kind == 21 }.lazy.compactMap { inner($0).first?.value }.first
      ?? .message([])
    // Of the answers to queries, and of steps that append.
    rows = answers.filter { $0.kind == 46 }.flatMap { answer -> [Field] in
      inner(answer).filter { $0.number == 1 }.flatMap { field -> [Field] in
        guard case .message(let rows) = field.value else { return [] }
        return rows.filter { $0.number == 1 }
      }
    }
    changes = steps.compactMap { step in
      guard case .message(let apply)? = step.first(where: { $0.number == 3 })?.value else {
        return nil
      }
      return apply.first { $0.number == 3 }
    }
  }

  private func frame(_ kind: UInt64, _ fields: [Field]) -> RawFrame {
    RawFrame(
      header: [Field(number: 1, value: .varint(20)), Field(number: kind, value: .message(fields))])
  }

  private func step(_ number: UInt64, _ value: Value) -> RawFrame {
    frame(14, [Field(number: number, value: value)])
  }

  private func head(_ number: UInt64) -> Value {
    .message([
      Field(number: 1, value: view), Field(number: 2, value: .varint(number)),
      Field(number: 3, value: .message([])),
    ])
  }

  private func transfer(_ content: [RawFrame]) -> [RawFrame] {
    let viewField = Field(number: 1, value: view)
    let install = Value.message([
      viewField, Field(number: 2, value: head(7)), Field(number: 4, value: head(7)),
    ])
    var frames = [step(1, view), frame(31, [viewField])] + content
    frames += [frame(18, [viewField, Field(number: 2, value: head(7))]), step(2, install)]
    for (index, change) in changes.prefix(3).enumerated() {
      let number = Field(number: 2, value: .varint(8 + UInt64(index)))
      frames.append(
        step(3, .message([viewField, number, Field(number: 3, value: change.value)])))
    }
    return frames + [step(5, .message([])), frame(29, []), frame(27, [])]
  }

  var sessions: [[RawFrame]] {
    let some = Array(rows.prefix(40)).map { Field(number: 1, value: $0.value) }
    let entries = changes.prefix(4).enumerated().map { index, change in
      Field(
        number: 1,
        value: .message([
          Field(number: 1, value: .varint(7 + UInt64(index))),
          Field(number: 2, value: change.value), Field(number: 3, value: .message([])),
        ]))
    }
    let list = [Field(number: 1, value: part)]
    return [
      transfer([]), transfer([frame(17, some)]), transfer([frame(17, some), frame(19, entries)]),
      [frame(22, list), frame(23, list), frame(32, list), frame(21, list)],
    ]
  }
}
