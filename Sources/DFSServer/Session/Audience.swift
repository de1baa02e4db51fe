internal import DFSCore
internal import DFSStore
internal import DFSWire
internal import Synchronization

/// Who is told of the changes of one user's namespace: the connections that asked for pushes.
final class Audience: Sendable {
  private struct Listener {
    let client: ClientID
    let queue: PushQueue
  }

  private let listeners = Mutex<[SessionID: Listener]>([:])

  func add(_ session: SessionID, client: ClientID, _ queue: PushQueue) {
    listeners.withLock { $0[session] = Listener(client: client, queue: queue) }
  }

  func remove(_ session: SessionID) { listeners.withLock { $0[session] = nil } }

  /// Tells all but the connections of the client that made the change.
  func tell(_ keys: [RowKey]?, head: Head, author: ClientID?) {
    listeners.withLock { listeners in
      for listener in listeners.values where listener.client != author {
        listener.queue.add(keys, head: head)
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
    store.setCommitObserver { keys, head, author in
      audience.tell(keys, head: head, author: author)
    }
    return audience
  }
}

/// One connection, for as long as the server lives.
typealias SessionID = UInt64
