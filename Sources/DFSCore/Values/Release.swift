/// The release of these programs: what `--version` says, servers greet with and the package is
/// named after. The newest entry of CHANGELOG.md is this one (`RepositoryRules`).
public enum Release {
  public static let version = "1.1"
}
