import ArgumentParser

/// Where dfc begins.
@main enum Door {
  static func main() async {
    Interrupts.shared.begin()
    await Dfc.main()
  }
}
