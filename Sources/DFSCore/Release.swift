/// The release of these programs, for people.
public enum Release {
  public static let version = "1.0"
}
