internal import Glibc

/// Seconds since 1970, for grace periods only: nothing that must be safe depends on it.
enum WallClock {
  static var seconds: Int64 { Int64(time(nil)) }
}
