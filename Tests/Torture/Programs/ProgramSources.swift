import CLinux
import DFSTestSupport
import Foundation
import Glibc

/// What the programs work on: made on the local disk, the same for the same seed.
struct ProgramSources {
  private let directory: String
  private let files: Int
  private var random: SplitMix64
  /// Of everything that is made: a second of 2020.
  private static let epoch = 1_600_000_000

  /// - Parameter files: those of the largest tree; the others are in proportion.
  init(in directory: String, files: Int, seed: UInt64) {
    (self.directory, self.files) = (directory, files)
    random = SplitMix64(seed: seed ^ 0x736f_7572_6365)
  }

  mutating func make() throws {
    try makeTree("tree", files: files)
    try makeTree("part", files: max(files / 4, 1))
    try write(stream(commits: max(files / 10, 1)), to: "git.stream")
    try makeProject(units: max(files / 400, 8))
  }

  private func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: directory + "/" + name))
  }

  private func makeDirectory(_ name: String) throws {
    try FileManager.default.createDirectory(
      atPath: directory + "/" + name, withIntermediateDirectories: true)
  }

  // MARK: A tree

  /// Of small files for the most part, a hundred in a directory, with some of everything that a copy
  /// should carry over.
  private mutating func makeTree(_ name: String, files: Int) throws {
    var folder = name
    for number in 0..<files {
      if number.isMultiple(of: 100) {
        folder = "\(name)/d\(number / 1000)/e\(number / 100)"
        try makeDirectory(folder)
      }
      let path = "\(directory)/\(folder)/f\(number)"
      try Data(Content.bytes(number, size: size())).write(to: URL(fileURLWithPath: path))
      decorate(path, number)
      setTime(path, number)
    }
    for path in (FileManager.default.subpaths(atPath: "\(directory)/\(name)") ?? []) {
      let path = "\(directory)/\(name)/\(path)"
      var found = stat()
      if lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFDIR { setTime(path, 0) }
    }
  }

  private mutating func size() -> Int {
    switch random.below(100) {
    case 0..<90: Content.leastBytes + random.below(8000)
    case 90..<99: Content.leastBytes + random.below(130_000)
    default: 200_000 + random.below(800_000)
    }
  }

  private mutating func decorate(_ path: String, _ number: Int) {
    switch random.below(50) {
    case 0: symlink("f\(number)", path + ".symbolic")
    case 1: link(path, path + ".hard")
    case 2: chmod(path, 0o750)
    case 3: setxattr(path, "user.note", "\(number)", "\(number)".utf8.count, 0)
    default: chmod(path, 0o644)
    }
    if number.isMultiple(of: 50) { setTime(path + ".symbolic", number) }
  }

  private func setTime(_ path: String, _ number: Int) {
    let time = timespec(tv_sec: Self.epoch + number, tv_nsec: 123_456_789)
    utimensat(AT_FDCWD, path, [time, time], AT_SYMLINK_NOFOLLOW)
  }

  // MARK: A repository

  /// For git fast-import: each commit makes two files and changes one.
  private mutating func stream(commits: Int) -> String {
    var text = ""
    for number in 0..<commits {
      text += """
        commit refs/heads/main
        committer A <a@a> \(Self.epoch + number) +0000
        data \("commit \(number)".utf8.count)
        commit \(number)

        """
      for file in [2 * number, 2 * number + 1, random.below(2 * number + 1)] {
        let content = self.text(commit: number)
        text += "M 100644 inline d\(file / 500)/e\(file / 50)/f\(file).txt\n"
        text += "data \(content.utf8.count)\n\(content)\n"
      }
    }
    return text
  }

  private mutating func text(commit: Int) -> String {
    (0..<(1 + random.below(60))).map { _ in "\(commit) \(random.next()) \(random.next())\n" }
      .joined()
  }

  // MARK: A C project

  private mutating func makeProject(units: Int) throws {
    try makeDirectory("project")
    let names = (0..<units).map { "unit\($0)" }
    for (number, name) in names.enumerated() {
      try write("#pragma once\nunsigned \(name)(unsigned);\n", to: "project/\(name).h")
      try write(unit(number, of: units), to: "project/\(name).c")
    }
    let all = names.map { "#include \"\($0).h\"\n" }.joined()
    let sums = names.map { "  sum = sum * 31 + \($0)(sum);\n" }.joined()
    try write("#pragma once\n#include <stdio.h>\n\(all)", to: "project/all.h")
    try write(
      "#include \"all.h\"\n\nint main(void) {\n  unsigned sum = 1;\n\(sums)"
        + "  printf(\"%u\\n\", sum);\n  return 0;\n}\n", to: "project/main.c")
    let objects = (names + ["main"]).map { $0 + ".o" }.joined(separator: " ")
    try write(
      "CFLAGS = -O1 -Wall -Werror\nprogram: \(objects)\n\t$(CC) -o $@ \(objects)\n"
        + "%.o: %.c \(names.map { $0 + ".h" }.joined(separator: " ")) all.h\n"
        + "\t$(CC) $(CFLAGS) -c -o $@ $<\n", to: "project/Makefile")
  }

  private mutating func unit(_ number: Int, of count: Int) -> String {
    let table = (0..<500).map { _ in "\(random.below(1 << 31))u" }.joined(separator: ", ")
    let other = (number + 1) % count
    return """
      #include "all.h"

      static const unsigned table[] = {\(table)};

      unsigned unit\(number)(unsigned start) {
        unsigned sum = start;
        for (unsigned i = 0; i < sizeof table / sizeof *table; i++) sum = sum * 33 + table[i];
        return start % 7 == 0 ? sum : sum ^ (\(other)u * start);
      }

      """
  }
}
