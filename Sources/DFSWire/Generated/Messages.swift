// scripts/generate-protobuf makes this of dfs.proto. A message itself is a file in Messages.
public import DFSCore

/// What a client asks of a server; each request gets one `Reply`, in any order.
public enum Request: Hashable, Sendable {
  case hello(Hello)
  case loginBegin(LoginBegin)
  case loginEnd(LoginEnd)
  case ping(Ping)
  case namespace(Namespace)
  case query(Query)
  case refillRows(RefillRows)
  case refillEnd(RefillEnd)
  case refillChanges(RefillChanges)
  case putPart(PutPart)
  case getPart(GetPart)
  case syncParts(SyncParts)
  case dropParts(DropParts)
  case copies(Copies)
  case hold(Hold)
  case release(Release)
  case space(Space)
  case missing(Missing)
  case health(Health)
  case scrub(Scrub)
  case refillBegin(RefillBegin)
  case getSmallParts(GetSmallParts)
  case join(Join)
  case getBytes(GetBytes)
  case lease(Lease)

  /// Nil if `kind` is a message of another kind.
  init?(_ kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .hello(let message): self = .hello(try decoded(message))
    case .loginBegin(let message): self = .loginBegin(try decoded(message))
    case .loginEnd(let message): self = .loginEnd(try decoded(message))
    case .ping(let message): self = .ping(try decoded(message))
    case .namespace(let message): self = .namespace(try decoded(message))
    case .query(let message): self = .query(try decoded(message))
    case .refillRows(let message): self = .refillRows(try decoded(message))
    case .refillEnd(let message): self = .refillEnd(try decoded(message))
    case .refillChanges(let message): self = .refillChanges(try decoded(message))
    case .putPart(let message): self = .putPart(try decoded(message))
    case .getPart(let message): self = .getPart(try decoded(message))
    case .syncParts(let message): self = .syncParts(try decoded(message))
    case .dropParts(let message): self = .dropParts(try decoded(message))
    case .copies(let message): self = .copies(try decoded(message))
    case .hold(let message): self = .hold(try decoded(message))
    case .release(let message): self = .release(try decoded(message))
    case .space(let message): self = .space(try decoded(message))
    case .missing(let message): self = .missing(try decoded(message))
    case .health(let message): self = .health(try decoded(message))
    case .scrub(let message): self = .scrub(try decoded(message))
    case .refillBegin(let message): self = .refillBegin(try decoded(message))
    case .getSmallParts(let message): self = .getSmallParts(try decoded(message))
    case .join(let message): self = .join(try decoded(message))
    case .getBytes(let message): self = .getBytes(try decoded(message))
    case .lease(let message): self = .lease(try decoded(message))
    default: return nil
    }
  }

  var wire: ProtoHeader.OneOf_Kind {
    switch self {
    case .hello(let message): .hello(message.wire)
    case .loginBegin(let message): .loginBegin(message.wire)
    case .loginEnd(let message): .loginEnd(message.wire)
    case .ping(let message): .ping(message.wire)
    case .namespace(let message): .namespace(message.wire)
    case .query(let message): .query(message.wire)
    case .refillRows(let message): .refillRows(message.wire)
    case .refillEnd(let message): .refillEnd(message.wire)
    case .refillChanges(let message): .refillChanges(message.wire)
    case .putPart(let message): .putPart(message.wire)
    case .getPart(let message): .getPart(message.wire)
    case .syncParts(let message): .syncParts(message.wire)
    case .dropParts(let message): .dropParts(message.wire)
    case .copies(let message): .copies(message.wire)
    case .hold(let message): .hold(message.wire)
    case .release(let message): .release(message.wire)
    case .space(let message): .space(message.wire)
    case .missing(let message): .missing(message.wire)
    case .health(let message): .health(message.wire)
    case .scrub(let message): .scrub(message.wire)
    case .refillBegin(let message): .refillBegin(message.wire)
    case .getSmallParts(let message): .getSmallParts(message.wire)
    case .join(let message): .join(message.wire)
    case .getBytes(let message): .getBytes(message.wire)
    case .lease(let message): .lease(message.wire)
    }
  }

  func check(body bytes: Int) throws(DFSError) {
    switch self {
    case .hello(let message): try message.check(body: bytes)
    case .loginBegin(let message): try message.check(body: bytes)
    case .loginEnd(let message): try message.check(body: bytes)
    case .ping(let message): try message.check(body: bytes)
    case .namespace(let message): try message.check(body: bytes)
    case .query(let message): try message.check(body: bytes)
    case .refillRows(let message): try message.check(body: bytes)
    case .refillEnd(let message): try message.check(body: bytes)
    case .refillChanges(let message): try message.check(body: bytes)
    case .putPart(let message): try message.check(body: bytes)
    case .getPart(let message): try message.check(body: bytes)
    case .syncParts(let message): try message.check(body: bytes)
    case .dropParts(let message): try message.check(body: bytes)
    case .copies(let message): try message.check(body: bytes)
    case .hold(let message): try message.check(body: bytes)
    case .release(let message): try message.check(body: bytes)
    case .space(let message): try message.check(body: bytes)
    case .missing(let message): try message.check(body: bytes)
    case .health(let message): try message.check(body: bytes)
    case .scrub(let message): try message.check(body: bytes)
    case .refillBegin(let message): try message.check(body: bytes)
    case .getSmallParts(let message): try message.check(body: bytes)
    case .join(let message): try message.check(body: bytes)
    case .getBytes(let message): try message.check(body: bytes)
    case .lease(let message): try message.check(body: bytes)
    }
  }

  /// See `RequestMessage.order`.
  public var order: RequestOrder? {
    switch self {
    case .hello(let message): message.order
    case .loginBegin(let message): message.order
    case .loginEnd(let message): message.order
    case .ping(let message): message.order
    case .namespace(let message): message.order
    case .query(let message): message.order
    case .refillRows(let message): message.order
    case .refillEnd(let message): message.order
    case .refillChanges(let message): message.order
    case .putPart(let message): message.order
    case .getPart(let message): message.order
    case .syncParts(let message): message.order
    case .dropParts(let message): message.order
    case .copies(let message): message.order
    case .hold(let message): message.order
    case .release(let message): message.order
    case .space(let message): message.order
    case .missing(let message): message.order
    case .health(let message): message.order
    case .scrub(let message): message.order
    case .refillBegin(let message): message.order
    case .getSmallParts(let message): message.order
    case .join(let message): message.order
    case .getBytes(let message): message.order
    case .lease(let message): message.order
    }
  }

  /// See `RequestMessage.weight`.
  public var weight: Int {
    switch self {
    case .hello(let message): message.weight
    case .loginBegin(let message): message.weight
    case .loginEnd(let message): message.weight
    case .ping(let message): message.weight
    case .namespace(let message): message.weight
    case .query(let message): message.weight
    case .refillRows(let message): message.weight
    case .refillEnd(let message): message.weight
    case .refillChanges(let message): message.weight
    case .putPart(let message): message.weight
    case .getPart(let message): message.weight
    case .syncParts(let message): message.weight
    case .dropParts(let message): message.weight
    case .copies(let message): message.weight
    case .hold(let message): message.weight
    case .release(let message): message.weight
    case .space(let message): message.weight
    case .missing(let message): message.weight
    case .health(let message): message.weight
    case .scrub(let message): message.weight
    case .refillBegin(let message): message.weight
    case .getSmallParts(let message): message.weight
    case .join(let message): message.weight
    case .getBytes(let message): message.weight
    case .lease(let message): message.weight
    }
  }

  /// See `RequestMessage.reserve`.
  public var reserve: Int? {
    switch self {
    case .hello(let message): message.reserve
    case .loginBegin(let message): message.reserve
    case .loginEnd(let message): message.reserve
    case .ping(let message): message.reserve
    case .namespace(let message): message.reserve
    case .query(let message): message.reserve
    case .refillRows(let message): message.reserve
    case .refillEnd(let message): message.reserve
    case .refillChanges(let message): message.reserve
    case .putPart(let message): message.reserve
    case .getPart(let message): message.reserve
    case .syncParts(let message): message.reserve
    case .dropParts(let message): message.reserve
    case .copies(let message): message.reserve
    case .hold(let message): message.reserve
    case .release(let message): message.reserve
    case .space(let message): message.reserve
    case .missing(let message): message.reserve
    case .health(let message): message.reserve
    case .scrub(let message): message.reserve
    case .refillBegin(let message): message.reserve
    case .getSmallParts(let message): message.reserve
    case .join(let message): message.reserve
    case .getBytes(let message): message.reserve
    case .lease(let message): message.reserve
    }
  }
}

/// What a server answers to a request.
public enum Reply: Hashable, Sendable {
  case greeting(Greeting)
  case loginContinue(LoginContinue)
  case loginDone(LoginDone)
  case done(Done)
  case pong(Pong)
  case namespaceReply(NamespaceReply)
  case answers(Answers)
  case part(Part)
  case copyList(CopyList)
  case spaceReport(SpaceReport)
  case failed(Failed)
  case missingList(MissingList)
  case healthReport(HealthReport)
  case smallParts(SmallParts)
  case partBytes(PartBytes)

  /// Nil if `kind` is a message of another kind.
  init?(_ kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .greeting(let message): self = .greeting(try decoded(message))
    case .loginContinue(let message): self = .loginContinue(try decoded(message))
    case .loginDone(let message): self = .loginDone(try decoded(message))
    case .done(let message): self = .done(try decoded(message))
    case .pong(let message): self = .pong(try decoded(message))
    case .namespaceReply(let message): self = .namespaceReply(try decoded(message))
    case .answers(let message): self = .answers(try decoded(message))
    case .part(let message): self = .part(try decoded(message))
    case .copyList(let message): self = .copyList(try decoded(message))
    case .spaceReport(let message): self = .spaceReport(try decoded(message))
    case .failed(let message): self = .failed(try decoded(message))
    case .missingList(let message): self = .missingList(try decoded(message))
    case .healthReport(let message): self = .healthReport(try decoded(message))
    case .smallParts(let message): self = .smallParts(try decoded(message))
    case .partBytes(let message): self = .partBytes(try decoded(message))
    default: return nil
    }
  }

  var wire: ProtoHeader.OneOf_Kind {
    switch self {
    case .greeting(let message): .greeting(message.wire)
    case .loginContinue(let message): .loginContinue(message.wire)
    case .loginDone(let message): .loginDone(message.wire)
    case .done(let message): .done(message.wire)
    case .pong(let message): .pong(message.wire)
    case .namespaceReply(let message): .namespaceReply(message.wire)
    case .answers(let message): .answers(message.wire)
    case .part(let message): .part(message.wire)
    case .copyList(let message): .copyList(message.wire)
    case .spaceReport(let message): .spaceReport(message.wire)
    case .failed(let message): .failed(message.wire)
    case .missingList(let message): .missingList(message.wire)
    case .healthReport(let message): .healthReport(message.wire)
    case .smallParts(let message): .smallParts(message.wire)
    case .partBytes(let message): .partBytes(message.wire)
    }
  }

  func check(body bytes: Int) throws(DFSError) {
    switch self {
    case .greeting(let message): try message.check(body: bytes)
    case .loginContinue(let message): try message.check(body: bytes)
    case .loginDone(let message): try message.check(body: bytes)
    case .done(let message): try message.check(body: bytes)
    case .pong(let message): try message.check(body: bytes)
    case .namespaceReply(let message): try message.check(body: bytes)
    case .answers(let message): try message.check(body: bytes)
    case .part(let message): try message.check(body: bytes)
    case .copyList(let message): try message.check(body: bytes)
    case .spaceReport(let message): try message.check(body: bytes)
    case .failed(let message): try message.check(body: bytes)
    case .missingList(let message): try message.check(body: bytes)
    case .healthReport(let message): try message.check(body: bytes)
    case .smallParts(let message): try message.check(body: bytes)
    case .partBytes(let message): try message.check(body: bytes)
    }
  }

  /// See `ReplyMessage.toldHead`.
  public var toldHead: Head? {
    switch self {
    case .greeting(let message): message.toldHead
    case .loginContinue(let message): message.toldHead
    case .loginDone(let message): message.toldHead
    case .done(let message): message.toldHead
    case .pong(let message): message.toldHead
    case .namespaceReply(let message): message.toldHead
    case .answers(let message): message.toldHead
    case .part(let message): message.toldHead
    case .copyList(let message): message.toldHead
    case .spaceReport(let message): message.toldHead
    case .failed(let message): message.toldHead
    case .missingList(let message): message.toldHead
    case .healthReport(let message): message.toldHead
    case .smallParts(let message): message.toldHead
    case .partBytes(let message): message.toldHead
    }
  }

  /// See `ReplyMessage.isLong`.
  public var isLong: Bool {
    switch self {
    case .greeting(let message): message.isLong
    case .loginContinue(let message): message.isLong
    case .loginDone(let message): message.isLong
    case .done(let message): message.isLong
    case .pong(let message): message.isLong
    case .namespaceReply(let message): message.isLong
    case .answers(let message): message.isLong
    case .part(let message): message.isLong
    case .copyList(let message): message.isLong
    case .spaceReport(let message): message.isLong
    case .failed(let message): message.isLong
    case .missingList(let message): message.isLong
    case .healthReport(let message): message.isLong
    case .smallParts(let message): message.isLong
    case .partBytes(let message): message.isLong
    }
  }

  /// See `ReplyMessage.showing`.
  public func showing(_ shown: (String) -> String) -> Reply {
    switch self {
    case .greeting(let message): .greeting(message.showing(shown))
    case .loginContinue(let message): .loginContinue(message.showing(shown))
    case .loginDone(let message): .loginDone(message.showing(shown))
    case .done(let message): .done(message.showing(shown))
    case .pong(let message): .pong(message.showing(shown))
    case .namespaceReply(let message): .namespaceReply(message.showing(shown))
    case .answers(let message): .answers(message.showing(shown))
    case .part(let message): .part(message.showing(shown))
    case .copyList(let message): .copyList(message.showing(shown))
    case .spaceReport(let message): .spaceReport(message.showing(shown))
    case .failed(let message): .failed(message.showing(shown))
    case .missingList(let message): .missingList(message.showing(shown))
    case .healthReport(let message): .healthReport(message.showing(shown))
    case .smallParts(let message): .smallParts(message.showing(shown))
    case .partBytes(let message): .partBytes(message.showing(shown))
    }
  }
}

/// From a server, without being asked.
public enum Push: Hashable, Sendable {
  case changed(Changed)
  case everythingChanged(EverythingChanged)
  case goingAway(GoingAway)

  /// Nil if `kind` is a message of another kind.
  init?(_ kind: ProtoHeader.OneOf_Kind) throws(DFSError) {
    switch kind {
    case .changed(let message): self = .changed(try decoded(message))
    case .everythingChanged(let message): self = .everythingChanged(try decoded(message))
    case .goingAway(let message): self = .goingAway(try decoded(message))
    default: return nil
    }
  }

  var wire: ProtoHeader.OneOf_Kind {
    switch self {
    case .changed(let message): .changed(message.wire)
    case .everythingChanged(let message): .everythingChanged(message.wire)
    case .goingAway(let message): .goingAway(message.wire)
    }
  }

  func check(body bytes: Int) throws(DFSError) {
    switch self {
    case .changed(let message): try message.check(body: bytes)
    case .everythingChanged(let message): try message.check(body: bytes)
    case .goingAway(let message): try message.check(body: bytes)
    }
  }
}

extension Request.Hello {
  public static var name: String { "hello" }
  public var request: Request { .hello(self) }
}

extension Request.LoginBegin {
  public static var name: String { "login_begin" }
  public var request: Request { .loginBegin(self) }
}

extension Request.LoginEnd {
  public static var name: String { "login_end" }
  public var request: Request { .loginEnd(self) }
}

extension Request.Ping {
  public static var name: String { "ping" }
  public var request: Request { .ping(self) }
}

extension Request.Namespace {
  public static var name: String { "namespace" }
  public var request: Request { .namespace(self) }
}

extension Request.Query {
  public static var name: String { "query" }
  public var request: Request { .query(self) }
}

extension Request.RefillRows {
  public static var name: String { "refill_rows" }
  public var request: Request { .refillRows(self) }
}

extension Request.RefillEnd {
  public static var name: String { "refill_end" }
  public var request: Request { .refillEnd(self) }
}

extension Request.RefillChanges {
  public static var name: String { "refill_changes" }
  public var request: Request { .refillChanges(self) }
}

extension Request.PutPart {
  public static var name: String { "put_part" }
  public var request: Request { .putPart(self) }
}

extension Request.GetPart {
  public static var name: String { "get_part" }
  public var request: Request { .getPart(self) }
}

extension Request.SyncParts {
  public static var name: String { "sync_parts" }
  public var request: Request { .syncParts(self) }
}

extension Request.DropParts {
  public static var name: String { "drop_parts" }
  public var request: Request { .dropParts(self) }
}

extension Request.Copies {
  public static var name: String { "copies" }
  public var request: Request { .copies(self) }
}

extension Request.Hold {
  public static var name: String { "hold" }
  public var request: Request { .hold(self) }
}

extension Request.Release {
  public static var name: String { "release" }
  public var request: Request { .release(self) }
}

extension Request.Space {
  public static var name: String { "space" }
  public var request: Request { .space(self) }
}

extension Request.Missing {
  public static var name: String { "missing" }
  public var request: Request { .missing(self) }
}

extension Request.Health {
  public static var name: String { "health" }
  public var request: Request { .health(self) }
}

extension Request.Scrub {
  public static var name: String { "scrub" }
  public var request: Request { .scrub(self) }
}

extension Request.RefillBegin {
  public static var name: String { "refill_begin" }
  public var request: Request { .refillBegin(self) }
}

extension Request.GetSmallParts {
  public static var name: String { "get_small_parts" }
  public var request: Request { .getSmallParts(self) }
}

extension Request.Join {
  public static var name: String { "join" }
  public var request: Request { .join(self) }
}

extension Request.GetBytes {
  public static var name: String { "get_bytes" }
  public var request: Request { .getBytes(self) }
}

extension Request.Lease {
  public static var name: String { "lease" }
  public var request: Request { .lease(self) }
}

extension Reply.Greeting {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .greeting(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .greeting(self) }
}

extension Reply.LoginContinue {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .loginContinue(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .loginContinue(self) }
}

extension Reply.LoginDone {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .loginDone(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .loginDone(self) }
}

extension Reply.Done {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .done(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .done(self) }
}

extension Reply.Pong {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .pong(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .pong(self) }
}

extension Reply.NamespaceReply {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .namespaceReply(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .namespaceReply(self) }
}

extension Reply.Answers {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .answers(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .answers(self) }
}

extension Reply.Part {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .part(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .part(self) }
}

extension Reply.CopyList {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .copyList(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .copyList(self) }
}

extension Reply.SpaceReport {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .spaceReport(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .spaceReport(self) }
}

extension Reply.Failed {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .failed(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .failed(self) }
}

extension Reply.MissingList {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .missingList(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .missingList(self) }
}

extension Reply.HealthReport {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .healthReport(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .healthReport(self) }
}

extension Reply.SmallParts {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .smallParts(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .smallParts(self) }
}

extension Reply.PartBytes {
  /// Nil if `reply` is of another kind.
  public init?(_ reply: Reply) {
    guard case .partBytes(let message) = reply else { return nil }
    self = message
  }

  public var reply: Reply { .partBytes(self) }
}

extension HeaderShape {
  static let header = HeaderShape([
    10: .one(Request.Hello.shape),
    11: .one(Request.LoginBegin.shape),
    12: .one(Request.LoginEnd.shape),
    13: .one(Request.Ping.shape),
    14: .one(Request.Namespace.shape),
    15: .one(Request.Query.shape),
    17: .one(Request.RefillRows.shape),
    18: .one(Request.RefillEnd.shape),
    19: .one(Request.RefillChanges.shape),
    20: .one(Request.PutPart.shape),
    21: .one(Request.GetPart.shape),
    22: .one(Request.SyncParts.shape),
    23: .one(Request.DropParts.shape),
    24: .one(Request.Copies.shape),
    25: .one(Request.Hold.shape),
    26: .one(Request.Release.shape),
    27: .one(Request.Space.shape),
    28: .one(Request.Missing.shape),
    29: .one(Request.Health.shape),
    30: .one(Request.Scrub.shape),
    31: .one(Request.RefillBegin.shape),
    32: .one(Request.GetSmallParts.shape),
    33: .one(Request.Join.shape),
    34: .one(Request.GetBytes.shape),
    35: .one(Request.Lease.shape),
    40: .one(Reply.Greeting.shape),
    41: .one(Reply.LoginContinue.shape),
    42: .one(Reply.LoginDone.shape),
    43: .one(Reply.Done.shape),
    44: .one(Reply.Pong.shape),
    45: .one(Reply.NamespaceReply.shape),
    46: .one(Reply.Answers.shape),
    47: .one(Reply.Part.shape),
    48: .one(Reply.CopyList.shape),
    49: .one(Reply.SpaceReport.shape),
    50: .one(Reply.Failed.shape),
    51: .one(Reply.MissingList.shape),
    52: .one(Reply.HealthReport.shape),
    53: .one(Reply.SmallParts.shape),
    54: .one(Reply.PartBytes.shape),
    60: .one(Push.Changed.shape),
    61: .one(Push.EverythingChanged.shape),
    62: .one(Push.GoingAway.shape),
  ])
}
