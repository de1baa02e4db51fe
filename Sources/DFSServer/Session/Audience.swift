internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import Synchronization

/// Who is told of the changes of one user's namespace: the connections that asked for pushes.
final class Audience: Sendable {
  private let listeners = Mutex<[SessionID: PushQueue]>([:])

  /// - Parameter unshown: the head up to which there may be changes that the listener was not told of and will see
  ///   later than it is here; asked after it is among the others.
  func add(_ session: SessionID, _ queue: PushQueue, unshown: () -> Head?) {
    listeners.withLock { $0[session] = queue }
    if let head = unshown() { queue.add(nil, head: head, number: 0) }
  }

  func remove(_ session: SessionID) { listeners.withLock { $0[session] = nil } }

  /// Tells all but the connection that brought the change.
  func tell(_ keys: [RowKey]?, head: Head, author: SessionID?, number: UInt64) {
    listeners.withLock { listeners in
      for (session, queue) in listeners where session != author {
        queue.add(keys, head: head, number: number)
      }
    }
  }
}

/// One for each user who has logged in since the start.
final class Audiences: Sendable {
  private let audiences = Mutex<[UserName: Audience]>([:])

  /// The audience of a user, told by `store` from now on.
  func audience(of user: UserName, store: UserStore) -> Audience {
    let audience = audiences.withLock { audiences in
      if let known = audiences[user] { return known }
      let new = Audience()
      audiences[user] = new
      return new
    }
    store.setCommitObserver { keys, head, author, number in
      audience.tell(keys, head: head, author: author, number: number)
    }
    return audience
  }
}

/// One connection, for as long as the server lives.
typealias SessionID = UInt64
