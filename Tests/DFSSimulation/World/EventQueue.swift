/// Virtual time: actions in the order of their time, and of their scheduling where times are equal.
/// A binary heap.
struct EventQueue {
  private struct Event {
    let time: Int
    let order: Int
    let action: () -> Void

    func precedes(_ other: Event) -> Bool { (time, order) < (other.time, other.order) }
  }

  private var heap: [Event] = []
  private var scheduled = 0

  mutating func schedule(at time: Int, _ action: @escaping () -> Void) {
    scheduled += 1
    heap.append(Event(time: time, order: scheduled, action: action))
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func next() -> (time: Int, action: () -> Void)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return (first.time, first.action) }
    heap[0] = last
    var parent = 0
    while let child = smallestChild(of: parent), heap[child].precedes(heap[parent]) {
      heap.swapAt(child, parent)
      parent = child
    }
    return (first.time, first.action)
  }

  private func smallestChild(of parent: Int) -> Int? {
    let left = 2 * parent + 1
    guard left < heap.count else { return nil }
    let right = left + 1
    return right < heap.count && heap[right].precedes(heap[left]) ? right : left
  }
}
