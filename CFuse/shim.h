// libfuse3's low-level interface, as Swift can import it: what its importer cannot see (bit fields
// and flags beyond Int32) is set and read by the small functions below.
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <fuse3/fuse_opt.h>
#include <malloc.h>
#include <sys/xattr.h>

static inline void dfs_file_info_set(
    struct fuse_file_info *info, uint64_t handle, int keep_cache, int direct_io) {
  info->fh = handle;
  info->keep_cache = keep_cache != 0;
  info->direct_io = direct_io != 0;
}

// Whether a write comes from the page cache (a mapping) and not from a write(2).
static inline int dfs_file_info_is_writeback(const struct fuse_file_info *info) {
  return info->writepage;
}
