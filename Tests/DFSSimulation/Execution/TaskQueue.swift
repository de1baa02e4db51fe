internal import CTaskHook

/// Runs the Swift tasks of the thread that uses it, one job after the other in the order in which they
/// became ready: so what they do is the same in each run.
final class TaskQueue {
  private enum Step {
    case job(UnsafeMutableRawPointer)
    case action(() -> Void)
  }

  private var ready: [Step] = []
  private var next = 0

  /// Does `body`; what this thread makes ready meanwhile comes here, and not to the cooperative pool.
  func own<Result>(_ body: () -> Result) -> Result {
    task_hook_set(
      { context, job in
        guard let context else { return }
        Unmanaged<TaskQueue>.fromOpaque(context).takeUnretainedValue().ready.append(.job(job))
      }, Unmanaged.passUnretained(self).toOpaque())
    defer { task_hook_set(nil, nil) }
    return body()
  }

  func soon(_ action: @escaping () -> Void) { ready.append(.action(action)) }

  /// Performs all that is ready, and what becomes ready by it.
  func run() {
    while next < ready.count {
      let step = ready[next]
      next += 1
      switch step {
      case .job(let job): task_hook_run(job)
      case .action(let action): action()
      }
    }
    ready.removeAll(keepingCapacity: true)
    next = 0
  }
}
