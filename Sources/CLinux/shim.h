// What Swift's Glibc module leaves out: extended attributes, syncing one file system, holes in files,
// files in memory, sizes as the kernel has them, what the allocator keeps.
#pragma once
#include <malloc.h>
#include <stdint.h>
#include <sys/uio.h>
#include <sys/xattr.h>

// <unistd.h> and <fcntl.h> declare them for _GNU_SOURCE only, which Swift does not set.
int syncfs(int descriptor);
int sync_file_range(int descriptor, long offset, long count, unsigned int flags);
enum { DFS_SYNC_FILE_RANGE_WRITE = 2 };
ssize_t preadv2(int descriptor, const struct iovec *to, int count, off_t offset, int flags);
int memfd_create(const char *name, unsigned int flags);
int statx(int directory, const char *path, int flags, unsigned int mask, void *found);
int fallocate(int descriptor, int mode, long offset, long length);
enum { DFS_FALLOC_KEEP_SIZE = 1, DFS_FALLOC_PUNCH_HOLE = 2, DFS_SEEK_DATA = 3, DFS_SEEK_HOLE = 4 };

// A file without a name; -1 on failure. It is closed in programs that are started.
static inline int dfs_memory_file(const char *name) { return memfd_create(name, 1u /* MFD_CLOEXEC */); }

// Reads what is in memory already, without waiting for the disk; fewer bytes, or -1, where that is not all.
static inline ssize_t dfs_read_cached(int descriptor, void *to, size_t count, off_t offset) {
  struct iovec place = {to, count};
  return preadv2(descriptor, &place, 1, offset, 0x8 /* RWF_NOWAIT */);
}

// The size of a file: as the file system tells it now (asks), or as the kernel has it; -1 on failure. Of struct statx of
// Linux, whose header would declare for Swift what Glibc does: 256 bytes, with the size at 40.
static inline int64_t dfs_size(const char *path, int asks) {
  uint64_t found[32];
  int flags = asks ? 0x2000 /* AT_STATX_FORCE_SYNC */ : 0x4000 /* AT_STATX_DONT_SYNC */;
  int result = statx(-100 /* AT_FDCWD */, path, flags, 0x200 /* STATX_SIZE */, found);
  return result == 0 ? (int64_t)found[5] : -1;
}
