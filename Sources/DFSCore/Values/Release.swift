/// The release of these programs: what `--version` says, servers greet with and the package is
/// named after. The newest entry of CHANGELOG.md is this one (`RepositoryRules`).
public enum Release {
  /// Numbers with dots between them, and no letter in front.
  public static let version = "1.1"
}
