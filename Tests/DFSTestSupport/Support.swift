import DFSCore
