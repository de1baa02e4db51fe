internal import Dispatch
internal import NIOCore

/// The event loop of all clients of a world: its time is the world's.
///
/// `@unchecked Sendable`: a world is run by one thread from its beginning to its end (`World.run`), and
/// only what that thread runs has the loop.
final class SimulatedLoop: EventLoop, NIOSerialEventLoopExecutor, @unchecked Sendable {
  private unowned let world: World
  /// What fails the promises of what is scheduled and was not performed.
  private var cancellations: [Int: () -> Void] = [:]
  private var scheduled = 0

  init(world: World) { self.world = world }

  var inEventLoop: Bool { true }
  var now: NIODeadline { .uptimeNanoseconds(UInt64(world.now) * 1_000) }

  func execute(_ task: @escaping () -> Void) { world.tasks.soon(task) }

  func submit<T>(_ task: @escaping () throws -> T) -> EventLoopFuture<T> {
    scheduleTask(in: .zero, task).futureResult
  }

  @discardableResult
  func scheduleTask<T>(
    deadline: NIODeadline, _ task: @escaping () throws -> T
  ) -> Scheduled<T> {
    scheduleTask(in: deadline - now, task)
  }

  @discardableResult
  func scheduleTask<T>(
    in time: TimeAmount, _ task: @escaping () throws -> T
  ) -> Scheduled<T> {
    let promise = makePromise(of: T.self)
    scheduled += 1
    let number = scheduled
    cancellations[number] = { promise.fail(EventLoopError.cancelled) }
    world.after(Int(time.nanoseconds / 1_000)) { [self] in
      guard cancellations.removeValue(forKey: number) != nil else { return }
      do {
        promise.assumeIsolated().succeed(try task())
      } catch {
        promise.fail(error)
      }
    }
    return Scheduled(promise: promise) { self.cancel(number) }
  }

  private func cancel(_ number: Int) { cancellations.removeValue(forKey: number)?() }

  /// The world has ended.
  func cancelAll() {
    for number in cancellations.keys.sorted() { cancel(number) }
  }

  func shutdownGracefully(
    queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void
  ) {
    callback(nil)
  }
}
