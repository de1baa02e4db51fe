import DFSCore
import Testing

extension OnAMount {
  @Suite struct Attributes {
    @Test(.needsFuse) func toldAttributesAreAnsweredAndNotListed() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M; echo hello > f; mkdir d
          cat > $LOCAL/test.py <<'END'
          import errno, os
          def fails(number, body):
              try: body()
              except OSError as error: assert error.errno == number, error
              else: assert False, "it was not refused"
          get = lambda name: os.getxattr("f", "user.dfs." + name).decode()
          assert get("md5") == "b1946ac92492d2347c6235b4d2611184"
          assert get("placement").count("=DFS") == 4
          assert get("health").startswith("incomplete 1=none")   # copies are on no server here
          assert os.listxattr("f") == []
          fails(errno.EPERM, lambda: os.setxattr("f", "user.dfs.md5", b""))
          fails(errno.EPERM, lambda: os.removexattr("f", "user.dfs.md5"))
          fails(errno.ENODATA, lambda: os.getxattr("d", "user.dfs.md5"))
          fails(errno.ENODATA, lambda: os.getxattr("f", "user.dfs.process"))
          # Not what is written and not published, but what is.
          with open("f", "w") as file:
              file.write("more"); file.flush()
              assert get("md5") == "b1946ac92492d2347c6235b4d2611184"
          assert get("md5") != "b1946ac92492d2347c6235b4d2611184"
          END
          python3 $LOCAL/test.py
          """)
      }
    }

    @Test(.needsFuse) func nameSpacesOfAttributes() async throws {
      try await Mounted.run { mounted in
        try await mounted.succeed(
          """
          cd $M; echo hello > f; chmod 700 f
          cat > $LOCAL/test.py <<'END'
          import errno, os
          names = ["user.a/b", "user.x"]
          if os.geteuid() == 0: names += ["security.capability", "trusted.t"]
          for name in names:
              value = b"\\1\\0\\0\\2" + b"\\0" * 16 if name == "security.capability" else b"value"
              os.setxattr("f", name, value); assert os.getxattr("f", name) == value, name
          assert sorted(os.listxattr("f")) == sorted(names)
          # As on a local disk, who writes takes the capability away.
          with open("f", "a") as file: file.write("!")
          assert "security.capability" not in os.listxattr("f")
          # What has no name keeps what is set from now on.
          with open("f") as file:
              os.unlink("f"); os.setxattr(file.fileno(), "user.y", b"y")
              assert os.listxattr(file.fileno()) == ["user.y"]
              os.removexattr(file.fileno(), "user.y"); assert os.listxattr(file.fileno()) == []
          END
          python3 $LOCAL/test.py
          """)
      }
    }
  }
}
