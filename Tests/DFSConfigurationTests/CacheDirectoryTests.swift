import DFSConfiguration
import DFSCore
import Foundation
import Testing

@testable import DFSConfiguration

/// Where written files are kept: which directory, and what others could do in it.
@Suite struct CacheDirectoryTests {
  private static func choice(
    _ configured: String? = nil, user: UInt32 = 1000, in environment: [String: String]
  ) -> String {
    CacheDirectory(configured: configured, user: user, environment: { environment[$0] }).path
  }

  @Test func theFirstThatIsNamedIsChosen() {
    let all = [
      "CACHE_DIRECTORY": "/var/cache/unit:/var/cache/other", "XDG_CACHE_HOME": "/c", "HOME": "/h",
    ]
    #expect(Self.choice("/own", in: all) == "/own")
    #expect(Self.choice(in: all) == "/var/cache/unit")
    #expect(Self.choice(in: ["XDG_CACHE_HOME": "/c", "HOME": "/h"]) == "/c/dfs")
    #expect(Self.choice(in: ["XDG_CACHE_HOME": "relative", "HOME": "/h"]) == "/h/.cache/dfs")
    #expect(Self.choice(in: ["CACHE_DIRECTORY": "relative", "HOME": "/h"]) == "/h/.cache/dfs")
  }

  /// A service has no home; nobody else may be able to make the directory that it then takes.
  @Test func withoutAHomeItIsADirectoryOfItsOwn() {
    #expect(Self.choice(in: [:]) == "/var/tmp/dfs-1000")
    #expect(Self.choice(user: 0, in: [:]) == "/var/cache/dfs")
    #expect(
      Self.choice(user: 0, in: ["HOME": "/h"]) == "/var/cache/dfs", "one for the whole machine")
    #expect(Self.choice(user: 0, in: ["XDG_CACHE_HOME": "/c"]) == "/c/dfs")
  }

  /// A directory of its own for `body`.
  private static func scratch(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "dfs-cache-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  private static func configured(_ path: String) -> CacheDirectory {
    CacheDirectory(configured: path, user: geteuid(), environment: { _ in nil })
  }

  private static func found(_ cacheHome: String) -> CacheDirectory {
    CacheDirectory(
      configured: nil, user: geteuid(),
      environment: { $0 == "XDG_CACHE_HOME" ? cacheHome : nil })
  }

  @Test func itIsMadeForItsOwnerOnly() throws {
    try Self.scratch { directory in
      let cache = Self.found(directory + "/a/b")
      #expect(try cache.examine() == directory + "/a/b/dfs")
      #expect(!FileManager.default.fileExists(atPath: directory + "/a"), "examining makes nothing")
      for _ in 1...2 { #expect(try cache.make() == directory + "/a/b/dfs") }
      for path in ["a", "a/b", "a/b/dfs"] {
        let attributes = try FileManager.default.attributesOfItem(atPath: directory + "/" + path)
        #expect(attributes[.posixPermissions] as? Int == 0o700)
      }
    }
  }

  @Test func aPlantedLinkIsRefused() throws {
    try Self.scratch { directory in
      let elsewhere = directory + "/elsewhere"
      mkdir(elsewhere, 0o700)
      for target in [elsewhere, directory + "/none"] {
        symlink(target, directory + "/dfs")
        for attempt in [Self.found(directory).make, Self.found(directory).examine] {
          let error = #expect(throws: DFSError.self) { try attempt() }
          #expect(error?.code == .configuration)
          #expect(error?.message.contains("\(directory)/dfs is a symbolic link") == true)
          #expect(error?.message.contains("Cache-Directory in dfc.conf") == true)
        }
        unlink(directory + "/dfs")
      }
      #expect(!FileManager.default.fileExists(atPath: directory + "/none"))
    }
  }

  /// An administrator may have put it on another disk; somebody else may not have.
  @Test func aLinkThatWasConfiguredIsFollowedIfItIsOurs() throws {
    try Self.scratch { directory in
      let (link, elsewhere) = (directory + "/link", directory + "/elsewhere")
      mkdir(elsewhere, 0o700)
      symlink(elsewhere, link)
      let made = try Self.configured(link).make()
      #expect(made == link)
      guard geteuid() == 0 else { return }
      lchown(link, 1000, 1000)
      let error = #expect(throws: DFSError.self) { try Self.configured(link).make() }
      #expect(error?.message.contains("a symbolic link of user 1000") == true)
    }
  }

  @Test(arguments: [0o777, 0o1777, 0o720, 0o702] as [mode_t])
  func whereOthersCanWriteIsRefused(_ mode: mode_t) throws {
    try Self.scratch { directory in
      mkdir(directory + "/dfs", 0o700)
      chmod(directory + "/dfs", mode)
      for cache in [Self.found(directory), Self.configured(directory + "/dfs")] {
        let error = #expect(throws: DFSError.self) { try cache.make() }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains("run: chmod 700 \(directory)/dfs") == true)
      }
      chmod(directory + "/dfs", 0o755)
      let made = try Self.found(directory).make()
      #expect(made == directory + "/dfs")
    }
  }

  @Test(.enabled(if: geteuid() == 0, "needs root, to give a directory away"))
  func whatBelongsToSomebodyElseIsRefused() throws {
    try Self.scratch { directory in
      mkdir(directory + "/dfs", 0o700)
      chown(directory + "/dfs", 1000, 1000)
      let error = #expect(throws: DFSError.self) { try Self.found(directory).make() }
      #expect(error?.message.contains("belongs to user 1000, and this runs as user 0") == true)
    }
  }

  @Test func whatIsNoDirectoryIsRefused() throws {
    try Self.scratch { directory in
      close(open(directory + "/dfs", O_CREAT | O_WRONLY, 0o600))
      let error = #expect(throws: DFSError.self) { try Self.found(directory).make() }
      #expect(error?.message.contains("Not a directory") == true)
      let below = #expect(throws: DFSError.self) { try Self.found(directory + "/dfs").make() }
      #expect(below?.code == .inputOutput)
    }
  }
}
