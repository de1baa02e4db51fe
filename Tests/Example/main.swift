// The example of Sources/DFSClient/DFSClient.docc, which has what follows word for word.

import DFSClient
import DFSConfiguration
import DFSCore
import Logging

let configuration = try ClientConfiguration.read(path: ClientConfiguration.standardPath())
let client = try await DFSClient.connect(
  configuration, credentials: .of(configuration), logger: Logger(label: "example"))
let file = try await client.publish(
  BytesContent("Hello, four servers!\n".utf8),
  to: .name(
    parent: .root, try FileName("hello"),
    NewInode(kind: .regular, mode: 0o644, owner: 0, group: 0)),
  durable: true, progress: nil)
if let version = file.version {
  print(String(decoding: try await client.read(version, 0..<version.size), as: UTF8.self))
}
await client.close()
