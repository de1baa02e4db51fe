internal import DFSCore
internal import Glibc
internal import Synchronization

/// What is due before and after the kernel has an answer.
extension FileSystem {
  func deliver(_ reply: Reply, to caller: Caller, over channel: any RequestChannel) {
    if case .directory(let page) = reply { return deliver(page, over: channel) }
    prepare(reply.delivery, to: caller)
    if !channel.send(reply) { wasNotDelivered(reply, counted: true) }
  }

  func deliver(
    _ error: DFSError, of operation: Operation, about subject: KernelRequest.Subject?,
    to caller: Caller, over channel: any RequestChannel
  ) {
    let number = note(error, of: operation, about: subject)
    // It comes again, with what its names mean then.
    if number == ESTALE {
      looks.begin(caller)
      _ = kernel.expireNames()
    }
    channel.fail(number)
  }

  private func prepare(_ delivery: Delivery, to caller: Caller) {
    // Attributes come with a lookup.
    if let handle = delivery.handle, delivery.lookup == nil { renewSize(handle) }
    if delivery.isAskedAgain { looks.begin(caller) }
    if let name = delivery.lost { kernel.expire(name) }
    if let lookup = delivery.lookup { nodes.remember(lookup.id, as: lookup.name) }
    if let told = delivery.told { kernel.noteTold(told) }
  }

  private func renewSize(_ handle: UInt64) {
    guard let handle = try? handles.file(handle), !handle.isPastPages else { return }
    kernel.renewSize(of: handle.file)
  }

  private func deliver(_ page: DirectoryPage, over channel: any RequestChannel) {
    let (bytes, items) = channel.pack(page)
    let entries = page.withAttributes ? items.filter { $0.entry != nil } : []
    for item in entries {
      nodes.remember(item.attributes.inode.id, as: item.entry)
      kernel.noteTold(item.attributes)
    }
    guard !channel.send(packed: bytes) else { return }
    for item in entries { nodes.forget(item.attributes.inode.id, 1) }
  }

  /// The kernel did not take the answer: it was killed, or answered otherwise, before.
  /// - Parameter counted: the lookup was noted.
  func wasNotDelivered(_ reply: Reply, counted: Bool) {
    let delivery = reply.delivery
    if counted, let lookup = delivery.lookup { nodes.forget(lookup.id, 1) }
    if let handle = delivery.handle { closeUndelivered(handle) }
    if case .locked(let id, let lock) = reply { unlockUndelivered(id, lock) }
  }

  private func closeUndelivered(_ handle: UInt64) {
    handles.removeDirectory(handle)
    closing.withLock { $0 += 1 }
    Task {
      await self.release(handle) {}
      closing.withLock { $0 -= 1 }
    }
  }
}
