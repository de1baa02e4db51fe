/// A terminal that types lines to dfc's prompt, and sees what it shows.
enum Terminal {
  /// The beginning of a program in Python: `typed(line)` and `until(text)`, both of bytes, and the end of a
  /// `terminal` on which the process `pid` runs `dfc $CONF`.
  static let script = """
    import os, pty, select, sys, time
    rest = b""
    def until(text):
        global rest
        seen, end = rest, time.monotonic() + 20
        while text not in seen:
            assert time.monotonic() < end, seen
            if select.select([terminal], [], [], 0.1)[0]: seen += os.read(terminal, 4096)
        shown = seen.index(text) + len(text)
        rest = seen[shown:]
        return seen[:shown]
    def typed(line):
        global rest
        rest = b""
        os.write(terminal, line)
        return until(b"\\ndfc> ")
    pid, terminal = pty.fork()
    if pid == 0: os.execvp("dfc", ["dfc", os.environ["CONF"]])
    until(b"dfc> ")

    """
}
