// libfuse3's low-level interface, as Swift can import it: what its importer cannot see (bit fields
// and flags beyond Int32) is set and read by the small functions below.
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <fuse3/fuse_opt.h>
#include <errno.h>
#include <unistd.h>

static inline void dfs_file_info_set(
    struct fuse_file_info *info, uint64_t handle, int keep_cache, int direct_io, int no_flush) {
  info->fh = handle;
  info->keep_cache = keep_cache != 0;
  info->direct_io = direct_io != 0;
  info->noflush = no_flush != 0;
}

// Whether a write comes from the page cache (a mapping) and not from a write(2).
static inline int dfs_file_info_is_writeback(const struct fuse_file_info *info) {
  return info->writepage;
}

// FUSE_TMPFILE (51), Linux 6.1, for which libfuse has no operation yet: it asks and is answered as
// FUSE_CREATE (35) is, with O_TMPFILE among the flags; so it is handed to libfuse as that.
static inline void dfs_accept_tmpfile(struct fuse_buf *buffer) {
  struct {
    uint32_t length;
    uint32_t opcode;
  } *header = buffer->mem;
  if (buffer->flags & FUSE_BUF_IS_FD || buffer->size < sizeof *header) return;
  if (header->opcode == 51) header->opcode = 35;
}

// fuse_in_header.unique; 0 if it is not in memory.
static inline uint64_t dfs_request_number(struct fuse_buf buffer) {
  const struct {
    uint32_t length;
    uint32_t opcode;
    uint64_t unique;
  } *header = buffer.mem;
  return buffer.flags & FUSE_BUF_IS_FD || buffer.size < sizeof *header ? 0 : header->unique;
}

// __O_TMPFILE, which Swift's Glibc does not show; x86, Arm and RISC-V have the same.
static inline int dfs_asks_for_tmpfile(int flags) { return (flags & 020000000) != 0; }

// Makes the kernel ask again for every entry that it knows, when it next uses it; takes no lock that
// could wait for an answer. FUSE_NOTIFY_INC_EPOCH (8), Linux 6.16; an older kernel refuses it, and
// libfuse has no name for it yet.
static inline int dfs_expire_entries(struct fuse_session *session) {
  struct {
    uint32_t length;
    int32_t code;
    uint64_t unique;
  } message = {sizeof message, 8, 0};
  return write(fuse_session_fd(session), &message, sizeof message) == sizeof message ? 0 : errno;
}
