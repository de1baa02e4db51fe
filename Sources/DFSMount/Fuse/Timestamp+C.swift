internal import CFuse
internal import DFSCore
internal import Glibc

// Swift sees C's `timespec` through libfuse's headers, so it stays in this folder.

extension Timestamp {
  init(_ time: timespec) { self.init(seconds: time.tv_sec, nanoseconds: time.tv_nsec) }
}

extension timespec {
  init(_ time: Timestamp) { self.init(tv_sec: time.seconds, tv_nsec: time.fraction) }
}
