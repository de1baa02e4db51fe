/// For how long the kernel may answer with attributes from its own memory. Of what servers push it is
/// told, so the answer is good as long as none was pushed since it was asked for.
enum Lifetime: Hashable, Sendable {
  /// It asks again before each use: handles of the file read another version, and the kernel has one
  /// size for all of them.
  case none
  /// A moment: it is open here, or may change without being heard of.
  case brief
  /// As long as `FileService.changes` is that.
  case untilChange(since: UInt64)
}
