public import DFSCore

/// Parts cut into what one read may ask for.
extension Split.Piece {
  /// The piece in steps of at most `bytes`, which is a multiple of a block.
  public func steps(of bytes: Int) -> some Sequence<Split.Piece> {
    stride(from: range.lowerBound, to: range.upperBound, by: UInt64.Stride(bytes)).lazy.map {
      Split.Piece(part: part, range: $0..<min($0 + UInt64(bytes), range.upperBound))
    }
  }
}

extension Split {
  /// All bytes of a part.
  public func whole(_ part: PartIndex) -> Piece { Piece(part: part, range: 0..<length(of: part)) }
}
